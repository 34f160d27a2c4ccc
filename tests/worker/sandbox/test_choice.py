"""Which sandbox SANDBOX=... names, and what is refused."""

import os

import pytest

from bot.ports import SandboxRefused
from bot.worker.sandbox import KINDS, LADDER, NOT_YET, choose_sandbox


@pytest.mark.parametrize("kind", sorted(NOT_YET))
async def test_kinds_of_later_versions_say_so(kind: str) -> None:
    refused = await choose_sandbox(kind)
    assert isinstance(refused, SandboxRefused)
    assert refused.reason == "sandbox.unavailable"
    assert kind in refused.say


async def test_an_unknown_kind_is_refused() -> None:
    refused = await choose_sandbox("chroot")
    assert isinstance(refused, SandboxRefused)
    assert refused.reason == "sandbox.unknown"


async def test_none_only_when_set() -> None:
    chosen = await choose_sandbox("none")
    assert not isinstance(chosen, SandboxRefused)
    assert not chosen.isolates
    assert "none" in KINDS
    assert "none" not in LADDER


@pytest.mark.skipif(os.geteuid() != 0, reason="says what root is told")
async def test_root_is_refused() -> None:
    refused = await choose_sandbox("auto")
    assert isinstance(refused, SandboxRefused)
    assert refused.reason == "sandbox.root"
    with pytest.raises(PermissionError):
        from bot.ports import SandboxSpec

        await KINDS["bubblewrap"]((), ()).start(["true"], SandboxSpec(run="r"))
