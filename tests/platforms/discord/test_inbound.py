"""What each Discord payload becomes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.inbound import (
    EVENT,
    BotAdded,
    ButtonPress,
    Command,
    FormSent,
    Message,
    MessageDeleted,
    MessageEdited,
    Unreadable,
)
from platforms.discord.custom_ids import at_home, home_of, value_of
from platforms.discord.inbound import instant, plain, read, read_past, snowflake_at, tidy
from platforms.discord.places import Places
from tests.platforms.discord.payloads import (
    ANA,
    APP,
    BO,
    DEV,
    DM,
    EVERY_KIND,
    GUILD,
    IN_THREAD,
    ME,
    MENTION,
    MESSAGE,
    NOW,
    OTHER,
    THREAD,
    TOKEN,
    edited,
    event,
    form,
    interaction,
    menu,
    message,
    pressed,
    reaction,
    said,
    subcommand,
    user,
)


def see(payload: dict[str, Any]) -> Any:
    return read(payload, ME, NOW)


@pytest.mark.parametrize(("payload", "kind"), EVERY_KIND)
def test_every_kind_is_read_and_survives_the_store(payload: dict[str, Any], kind: str | None) -> None:
    found = see(payload)
    assert (found.kind if found else None) == kind
    if found is not None:
        assert found.key.startswith(f"{APP}:")
        again = EVENT.validate_json(EVENT.dump_json(found))
        assert again == found
        assert read(found.raw, ME, NOW).key == found.key, "a stored payload can be read again"


def test_a_message_in_a_channel_is_a_thread_of_its_own() -> None:
    found = see(said(f"hi <@{BO}>", mentions=[user(BO, "bo")]))
    assert isinstance(found, Message)
    assert found.key == f"{APP}:m:{MESSAGE}"
    assert (found.text, found.mentions_others, found.in_thread) == ("hi @Bo", True, False)
    assert (found.thread.channel_id, found.thread.root, found.thread.native) == (DEV, MESSAGE, None)
    assert (found.person.id, found.person.name, found.person.kind) == (ANA, "Ana", "human")
    assert found.sent_at == instant(MESSAGE)


def test_a_message_in_a_thread_names_channel_and_thread() -> None:
    found = see({**said("hello", channel_id=THREAD), "place": IN_THREAD})
    assert (found.thread.channel_id, found.thread.root, found.thread.native) == (DEV, THREAD, THREAD)
    assert found.in_thread


@pytest.mark.parametrize(
    ("text", "door", "read_as"),
    [
        (f"{MENTION} fix the login", "mention", "fix the login"),
        (f"<@!{APP}>: fix the login", "mention", "fix the login"),
        (f"hey {MENTION}, fix the login", "mention", "fix the login"),
        (f"the login fails {MENTION} look", "mention", "the login fails  look"),
        ("!codetask fix the login", "bang", "fix the login"),
        ("！codetask：fix the login", "bang", "fix the login"),
        (f"{MENTION} !codetask status", "mention", "status"),
        ("!codetask —repo web fix “it”", "bang", '--repo web fix "it"'),
    ],
)
def test_doors(text: str, door: str, read_as: str) -> None:
    found = see(said(text))
    assert isinstance(found, Command)
    assert (found.door, found.text, found.message_id) == (door, read_as, MESSAGE)


@pytest.mark.parametrize("text", ["codetask fix it", "say !codetask fix it", f"<@{BO}> fix it", "!codetasks", ""])
def test_what_does_not_address_the_bot_is_a_message(text: str) -> None:
    assert isinstance(see(said(text)), Message)


def test_everything_in_a_direct_message_is_addressed_to_the_bot() -> None:
    told = {
        key: one for key, one in message("fix the login", channel_id=DM).items() if key not in ("guild_id", "member")
    }
    found = see(event("MESSAGE_CREATE", told))
    assert isinstance(found, Command)
    assert (found.workspace_id, found.thread.channel_id, found.door) == ("dm", DM, "mention")


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"author": user(bot=True)}, "bot"),
        ({"webhook_id": OTHER}, "webhook"),
        ({"member": {"flags": 16, "roles": []}}, "guest"),
    ],
)
def test_who_is_no_ordinary_person(more: dict[str, Any], kind: str) -> None:
    assert see(said("hello", **more)).person.kind == kind


@pytest.mark.parametrize("more", [{"author": user(APP, "codetask", bot=True)}, {"webhook_id": APP}])
def test_the_bot_does_not_hear_itself(more: dict[str, Any]) -> None:
    assert see(said("!codetask fix it", **more)) is None
    assert see(edited("!codetask fix it", **more)) is None


@pytest.mark.parametrize("kind", [1, 6, 7, 18, 20, 21, 46])
def test_discords_own_lines_are_no_messages(kind: int) -> None:
    assert see(said("x", type=kind)) is None


def test_an_edit_has_a_key_of_its_own_and_a_preview_is_none() -> None:
    found = see(edited("!codetask now this"))
    assert isinstance(found, MessageEdited)
    assert found.key == f"{APP}:e:{MESSAGE}:2026-03-06T14:03:00.000000+00:00"
    assert found.text == "now this"
    assert see(edited("x", edited_timestamp=None)) is None


def test_a_preview_after_an_edit_is_the_same_edit() -> None:
    first, second = see(edited("now this")), see(edited("now this", embeds=[{"type": "link", "url": "https://x.io"}]))
    assert first.key == second.key
    assert (first.text, first.message_id, first.thread) == (second.text, second.message_id, second.thread)


def test_a_deletion_names_the_message_and_its_thread() -> None:
    gone = event("MESSAGE_DELETE", {"id": MESSAGE, "channel_id": THREAD, "guild_id": GUILD})
    found = see({**gone, "place": IN_THREAD})
    assert isinstance(found, MessageDeleted)
    assert (found.key, found.message_id) == (f"{APP}:d:{MESSAGE}", MESSAGE)
    assert (found.thread.channel_id, found.thread.root, found.thread.native) == (DEV, THREAD, THREAD)


@pytest.mark.parametrize(
    ("emoji", "name"),
    [
        ({"id": None, "name": "💡"}, "bulb"),
        ({"id": None, "name": "👍🏽"}, "+1"),
        ({"id": None, "name": "✔️"}, "heavy_check_mark"),
        ({"id": OTHER, "name": "file_this", "animated": False}, "file_this"),
        ({"id": OTHER, "name": None}, OTHER),
    ],
)
def test_an_emoji_has_the_name_it_has_everywhere(emoji: dict[str, Any], name: str) -> None:
    found = see(event("MESSAGE_REACTION_ADD", reaction(emoji=emoji)))
    assert found.emoji == name
    assert found.key.startswith(f"{APP}:r:{MESSAGE}:{ANA}:")


def test_reactions_of_bots_are_theirs() -> None:
    told = reaction(member={"user": user(ANA, "ci", bot=True), "roles": []})
    assert see(event("MESSAGE_REACTION_ADD", told)).person.kind == "bot"


def test_reactions_come_with_person_and_emoji() -> None:
    found = see(event("MESSAGE_REACTION_ADD", reaction()))
    assert (found.emoji, found.added, found.person.id, found.message_id) == ("eyes", True, ANA, MESSAGE)
    assert see(event("MESSAGE_REACTION_ADD", reaction(user_id=APP))) is None


def test_a_slash_command_has_no_root_in_a_channel_and_one_in_a_thread() -> None:
    found = see(interaction(2, subcommand("status", id="CT-1")))
    assert isinstance(found, Command)
    assert (found.door, found.text, found.thread.root, found.person.locale) == ("slash", "status CT-1", None, "en-US")
    inside = see({**interaction(2, subcommand("status"), channel_id=THREAD), "place": IN_THREAD})
    assert (inside.thread.channel_id, inside.thread.root, inside.thread.native) == (DEV, THREAD, THREAD)
    assert inside.in_thread


def test_the_token_answers_and_is_never_kept_in_the_raw_payload() -> None:
    found = see(interaction(2, subcommand("status")))
    assert found.reply_token.value.endswith(TOKEN)
    assert found.reply_token.expires_at == NOW + timedelta(minutes=15)
    assert TOKEN not in str(found.raw)
    assert TOKEN not in repr(found)


def test_the_menu_names_message_and_author() -> None:
    found = see(interaction(2, menu("Follow up later", f"<@{BO}> the export")))
    assert (found.door, found.command, found.message_id, found.author.id) == ("shortcut", "followup", MESSAGE, BO)
    assert see(interaction(2, menu("Something else"))) is None


def test_a_press_is_read_from_its_custom_id_and_leaves_the_card_alone() -> None:
    found = see(pressed())
    assert isinstance(found, ButtonPress)
    assert (found.value, found.message_id, found.thread.root) == ("codetask:details:CT-1", MESSAGE, MESSAGE)
    assert found.reply_token is not None
    assert found.reply_token.value.startswith("more:")
    dialog = see(pressed("codetask:cancel:CT-1", flags=32768 | 64))
    assert dialog.reply_token.value.startswith("first:")
    assert dialog.thread.root is None
    assert see(pressed("codetask:cancel:CT-1#0?")) is None
    assert see(pressed("something:else")) is None


@pytest.mark.parametrize(
    ("custom_id", "value"),
    [
        ("codetask:cancel:CT-1", "codetask:cancel:CT-1"),
        ("codetask:cancel:CT-1#3", "codetask:cancel:CT-1"),
        ("codetask:cancel:CT-1#3?", "codetask:cancel:CT-1"),
        ("codetask:cancel:CT-1@123456789012345678#3?", "codetask:cancel:CT-1"),
        ("codetask:tz:IN-7-Etc/GMT+5@123456789012345678#3", "codetask:tz:IN-7-Etc/GMT+5"),
    ],
)
def test_custom_ids_carry_values(custom_id: str, value: str) -> None:
    assert value_of(custom_id) == value
    assert at_home(value, home_of(custom_id)) == custom_id.partition("#")[0]


def test_forms_are_read_in_rows_and_labels() -> None:
    found = see(form(note="use the other table"))
    assert isinstance(found, FormSent)
    assert found.fields == {"note": "use the other table"}
    label = {"type": 18, "component": {"type": 3, "custom_id": "repo", "values": ["web"]}}
    found = see(interaction(5, {"custom_id": "codetask:retry:CT-1", "components": [label]}))
    assert found.fields == {"repo": "web"}


def test_a_channel_that_lets_the_bot_in_is_told() -> None:
    found = see(event("CHANNEL_UPDATE", {"id": DEV, "guild_id": GUILD}, joined=DEV))
    assert isinstance(found, BotAdded)
    assert found.thread.channel_id == DEV
    assert see(event("CHANNEL_UPDATE", {"id": DEV, "guild_id": GUILD})) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"<@{ANA}> <@!{ANA}>", "@Ana @Ana"),
        (f"<#{DEV}> <@&{OTHER}>", f"#{DEV} @{OTHER}"),
        (f"<:party:{OTHER}> <a:wave:{OTHER}>", ":party: :wave:"),
        ("<https://x.io/a>", "https://x.io/a"),
        ("a < b > c", "a < b > c"),
    ],
)
def test_discords_escapes_are_undone(text: str, shown: str) -> None:
    assert plain(text, {ANA: "Ana"}) == shown


def test_history_reads_like_the_gateway_and_knows_own_messages() -> None:
    told = {key: one for key, one in message("!codetask fix it").items() if key not in ("guild_id", "member")}
    past = read_past(told, IN_THREAD | {"parent_id": DEV}, GUILD, ME, NOW)
    assert past is not None
    assert isinstance(past.event, Command)
    live = see({**said("!codetask fix it"), "place": IN_THREAD})
    assert (past.event.key, past.event.text, past.event.thread) == (live.key, live.text, live.thread)
    own = read_past({**told, "author": user(APP, bot=True), "nonce": "k" * 24}, {}, GUILD, ME, NOW)
    assert own is not None
    assert (own.own, own.event, own.delivery_key) == (True, None, "k" * 24)
    starter = read_past({"type": 21, "id": OTHER, "referenced_message": told}, IN_THREAD, GUILD, ME, NOW)
    assert starter is not None
    assert (starter.message.message_id, starter.message.in_thread) == (MESSAGE, False)
    assert read_past({**told, "type": 7}, {}, GUILD, ME, NOW) is None
    assert read_past({"type": 0}, {}, GUILD, ME, NOW) is None


def test_snowflakes_tell_the_time() -> None:
    at = datetime(2026, 3, 6, 14, 2, 1, 500_000, tzinfo=UTC)
    assert instant(str(snowflake_at(at))) == at
    assert snowflake_at(datetime(2001, 1, 1, tzinfo=UTC)) == 0


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(field=st.sampled_from(sorted({*message(), "data", "type", "member", "channel"})), odd=ODD)
def test_nothing_that_comes_raises(field: str, odd: object) -> None:
    for payload, _ in EVERY_KIND:
        found = see({**payload, "d": {**payload["d"], field: odd}})
        assert found is None or found.platform == "discord"


@pytest.mark.parametrize(
    "payload", [{}, {"t": None, "d": {}}, {"t": "MESSAGE_CREATE", "d": []}, {"t": "MESSAGE_CREATE"}]
)
def test_what_makes_no_sense_is_kept_with_a_reference(payload: dict[str, Any]) -> None:
    found = see(payload)
    assert isinstance(found, Unreadable)
    assert len(found.ref) == 4


def test_what_no_store_can_hold_is_tidied() -> None:
    assert tidy({"a\x00": "\ud800", "n": 2**70, "f": float("inf")}) == {"a\ufffd": "?", "n": None, "f": None}


@pytest.mark.parametrize(
    ("locale", "features", "expected"),
    [("zh-CN", ["COMMUNITY"], "zh-CN"), ("zh-CN", [], "zh-CN"), ("en-US", ["COMMUNITY"], "en-US"), ("en-US", [], None)],
)
def test_the_language_of_a_server_that_chose_one(locale: str, features: list[str], expected: str | None) -> None:
    """Servers that are no community cannot choose: theirs is always `en-US` and must not undo the default."""
    guild = {"id": GUILD, "locale": locale, "features": features}
    assert see(interaction(2, subcommand("status"), guild=guild, guild_locale=locale)).workspace_locale == expected
    places = Places()
    told = {"id": GUILD, "preferred_locale": locale, "features": features, "channels": [], "roles": []}
    places.learn("GUILD_CREATE", told)
    assert places.language_of(GUILD) == expected
    here = {"type": 0, "parent_id": None, "locale": places.language_of(GUILD)}
    assert see({**said("hello"), "place": here}).workspace_locale == expected
    joined = event("CHANNEL_UPDATE", {"id": DEV, "guild_id": GUILD}, joined=DEV)
    assert see({**joined, "place": here}).workspace_locale == expected
    places.learn("GUILD_UPDATE", {**told, "preferred_locale": "ja"})
    assert places.language_of(GUILD) == "ja"
    assert see(interaction(2, subcommand("status"), guild_id=None, guild_locale=None)).workspace_locale is None
