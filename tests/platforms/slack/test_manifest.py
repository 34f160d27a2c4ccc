"""The manifest is what the code says, within Slack's limits, with exactly the scopes that are used."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

from platforms.slack.inbound import SHORTCUTS
from platforms.slack.setup import (
    APP_SCOPES,
    BOT_SCOPES,
    EVENTS,
    FEATURES,
    METHODS,
    build_manifest,
    manifest_link,
    missing_scopes,
    render_manifest,
    setup_steps,
)

FOLDER = Path(__file__).parents[3] / "platforms" / "slack"
STORED = Path(__file__).parents[3] / "manifest" / "slack.yaml"
SCOPES_OF_SLACK = {
    *("app_mentions:read", "channels:history", "channels:read", "chat:write", "commands", "groups:history"),
    *("groups:read", "im:history", "im:read", "im:write", "mpim:history", "reactions:read", "reactions:write"),
    *("usergroups:read", "users:read"),
}
EVENTS_OF_SLACK = {
    *("app_mention", "message.channels", "message.groups", "message.im", "message.mpim", "reaction_added"),
    *("member_joined_channel", "channel_archive", "app_home_opened", "tokens_revoked", "app_uninstalled"),
}


def test_the_stored_manifest_is_the_generated_one() -> None:
    assert STORED.read_text("utf-8") == render_manifest(build_manifest())


def test_the_yaml_says_what_was_built() -> None:
    for manifest in (build_manifest(), build_manifest("https://codetask.example/webhooks/slack")):
        assert yaml.safe_load(render_manifest(manifest)) == manifest


def test_scopes_and_events_are_the_known_ones() -> None:
    assert set(BOT_SCOPES) == SCOPES_OF_SLACK
    assert set(EVENTS) == EVENTS_OF_SLACK
    manifest = build_manifest()
    assert manifest["oauth_config"]["scopes"]["bot"] == sorted(SCOPES_OF_SLACK)
    assert set(manifest["settings"]["event_subscriptions"]["bot_events"]) == EVENTS_OF_SLACK


def test_every_method_called_is_in_the_table_and_the_other_way_round() -> None:
    source = "".join(path.read_text("utf-8") for path in sorted(FOLDER.glob("*.py")))
    called = set(re.findall(r"self\._(?:client|writer|reader)\.([a-z]+_[a-zA-Z_]+)", source))
    assert called == {method.replace(".", "_") for method in METHODS}


def test_every_scope_is_used() -> None:
    used = {scope for table in (METHODS, EVENTS, FEATURES) for scopes in table.values() for scope in scopes}
    assert used == {*BOT_SCOPES, *APP_SCOPES}
    assert missing_scopes(frozenset(BOT_SCOPES)) == ()
    assert missing_scopes(frozenset(BOT_SCOPES) - {"commands"}) == ("commands",)


def test_limits() -> None:
    manifest = build_manifest()
    about, features = manifest["display_information"], manifest["features"]
    assert len(about["name"]) <= 35
    assert len(about["description"]) <= 140
    assert 175 <= len(about["long_description"]) <= 4000
    assert len(features["slash_commands"]) <= 50
    assert len(features["shortcuts"]) <= 10
    for command in features["slash_commands"]:
        assert len(command["command"]) <= 32
        assert len(command["description"]) <= 2000
        assert len(command["usage_hint"]) <= 1000
        assert command["should_escape"] is True
        assert "url" not in command
    for shortcut in features["shortcuts"]:
        assert len(shortcut["name"]) <= 24
        assert len(shortcut["description"]) <= 150
        assert len(shortcut["callback_id"]) <= 255
    assert {shortcut["callback_id"] for shortcut in features["shortcuts"]} == set(SHORTCUTS)


def test_the_http_form_names_its_address_everywhere() -> None:
    url = "https://codetask.example/webhooks/slack"
    manifest = build_manifest(url)
    assert manifest["settings"]["socket_mode_enabled"] is False
    assert manifest["settings"]["interactivity"]["request_url"] == url
    assert manifest["settings"]["event_subscriptions"]["request_url"] == url
    assert all(command["url"] == url for command in manifest["features"]["slash_commands"])
    assert build_manifest()["settings"]["socket_mode_enabled"] is True


def test_the_link_carries_the_manifest() -> None:
    link = urlsplit(manifest_link(build_manifest()))
    asked = parse_qs(link.query)
    assert (link.netloc, asked["new_app"]) == ("api.slack.com", ["1"])
    assert json.loads(asked["manifest_json"][0]) == build_manifest()


def test_the_steps_name_every_setting() -> None:
    assert "SLACK_BOT_TOKEN" in " ".join(setup_steps())
    assert "SLACK_APP_TOKEN" in " ".join(setup_steps())
    assert "SLACK_SIGNING_SECRET" in " ".join(setup_steps("https://codetask.example/webhooks/slack"))
