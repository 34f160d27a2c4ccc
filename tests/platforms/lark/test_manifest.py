"""The checklist is what the code says, with exactly the scopes and events that are used."""

import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from platforms.lark import adapter, inbound, reading, rest, sending
from platforms.lark.connection import load_client
from platforms.lark.inbound import MENU
from platforms.lark.settings import LarkSettings
from platforms.lark.setup import (
    CALLBACKS,
    EVENTS,
    METHODS,
    NEEDS,
    OPTIONAL,
    SCOPES,
    SENSITIVE_SCOPE,
    build_manifest,
    missing_scopes,
    register,
    render_manifest,
    setup_steps,
)
from platforms.lark.simulator import MANIFEST_EVENTS, MANIFEST_SCOPES

STORED = Path(__file__).parents[3] / "manifest" / "lark.yaml"


def test_the_stored_manifest_is_the_generated_one() -> None:
    assert STORED.read_text("utf-8") == render_manifest(build_manifest())


def test_the_yaml_says_what_was_built() -> None:
    for manifest in (build_manifest(), build_manifest("https://codetask.example/webhooks/lark")):
        assert yaml.safe_load(render_manifest(manifest)) == manifest


def test_scopes_and_events_are_the_known_ones() -> None:
    assert set(SCOPES) == MANIFEST_SCOPES
    assert {*EVENTS, *CALLBACKS} == MANIFEST_EVENTS
    assert {entry["name"] for entry in build_manifest()["scopes"]} == MANIFEST_SCOPES
    (sensitive,) = build_manifest()["sensitive_scopes"]
    assert (sensitive["name"], SENSITIVE_SCOPE in SCOPES) == (SENSITIVE_SCOPE, False)


def test_every_event_subscribed_to_is_read_and_the_other_way_round() -> None:
    assert set(inbound._READERS) == {*EVENTS, *CALLBACKS}


def test_every_path_called_is_in_the_table() -> None:
    source = "".join(Path(str(module.__file__)).read_text("utf-8") for module in (adapter, reading, rest, sending))
    source = source.replace("{IM}", reading.IM)
    found = set(re.findall(r'"(/(?:open-apis|callback)/[a-z0-9/_{}.]+)"', source.replace("_id}", "}")))
    known = {re.sub(r":id", "{}", path.split(" ", 1)[1]) for path in METHODS}
    called = {re.sub(r"\{[^}]*\}", "{}", path) for path in found} - {reading.IM}
    assert called <= known
    assert {path for path in known if not path.endswith("/reactions/{}")} <= called


def test_every_scope_is_used_and_what_is_missing_is_named() -> None:
    assert missing_scopes(MANIFEST_SCOPES) == ()
    assert missing_scopes(MANIFEST_SCOPES - {"im:chat:readonly"}) == ("im:chat:readonly",)
    assert missing_scopes(MANIFEST_SCOPES - OPTIONAL) == ()
    assert all(scopes[0] in SCOPES for scopes in NEEDS)
    wide = frozenset({"im:message", "im:chat", SENSITIVE_SCOPE, "im:message.p2p_msg"})
    assert missing_scopes(wide) == (), "one scope of each group is enough"


def test_the_steps_name_every_setting_and_both_services() -> None:
    steps = " ".join(setup_steps())
    for word in ("LARK_APP_ID", "LARK_APP_SECRET", "open.feishu.cn", SENSITIVE_SCOPE, *EVENTS, *CALLBACKS, *MENU):
        assert word in steps
    hooked = " ".join(setup_steps("https://codetask.example/webhooks/lark"))
    for word in ("LARK_ENCRYPT_KEY", "LARK_VERIFICATION_TOKEN", "CODETASK_LARK_TRANSPORT=webhook", "/webhooks/lark"):
        assert word in hooked


@pytest.mark.parametrize(
    ("brand", "domain"), [("lark", "https://open.larksuite.com"), ("feishu", "https://open.feishu.cn")]
)
def test_the_app_can_be_registered_by_a_link(monkeypatch: pytest.MonkeyPatch, brand: str, domain: str) -> None:
    """The SDK's flow talks to Lark's own pages, so here that one module is a stand-in of the same signature."""
    asked: dict[str, Any] = {}

    def flow(on_qr_code: Any, **given: Any) -> dict[str, Any]:
        asked.update(given)
        on_qr_code({"url": "https://accounts.larksuite.com/x", "expire_in": 600})
        return {"client_id": "cli_a1", "client_secret": "s", "user_info": {"tenant_brand": brand}}

    scene = ModuleType("lark_oapi.scene.registration")
    scene.register_app, scene.RegisterAppError = flow, RuntimeError  # type: ignore[attr-defined]
    load_client()
    for name in ("lark_oapi", "lark_oapi.scene"):
        stand_in = ModuleType(name)
        stand_in.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, stand_in)
    monkeypatch.setitem(sys.modules, "lark_oapi.scene.registration", scene)
    links: list[str] = []
    made = register(links.append, LarkSettings())
    assert links == ["https://accounts.larksuite.com/x"]
    assert made == {"LARK_APP_ID": "cli_a1", "LARK_APP_SECRET": "s", "CODETASK_LARK_API_URL": domain}
    assert asked["addons"]["scopes"]["tenant"] == list(SCOPES)
    assert asked["create_only"] is True
    assert "domain" not in asked
