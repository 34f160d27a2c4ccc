"""What each Slack payload becomes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.core.inbound import (
    EVENT,
    BotAdded,
    BotRemoved,
    ButtonPress,
    Command,
    FormSent,
    Message,
    MessageDeleted,
    MessageEdited,
    Reaction,
    Unreadable,
)
from platforms.slack.inbound import instant, plain, read, read_past, tidy
from tests.platforms.slack.payloads import (
    EVERY_KIND,
    LATER,
    ME,
    NOW,
    TS,
    deleted,
    edited,
    envelope,
    form,
    message,
    press,
    reaction,
    shortcut,
    slash,
)


def see(payload: dict[str, Any]) -> Any:
    return read(payload, ME, NOW)


def test_a_message_is_read_with_its_thread_and_person() -> None:
    event = see(envelope(message("hi <@U0BO>", thread_ts="1772800000.000001")))
    assert isinstance(event, Message)
    assert event.key == f"A0CODETASK:m:C0DEV:{TS}"
    assert (event.thread.root, event.in_thread, event.message_id) == ("1772800000.000001", True, TS)
    assert (event.person.id, event.person.kind, event.text, event.mentions_others) == (
        "U0ANA",
        "human",
        "hi @U0BO",
        True,
    )
    assert event.thread.canonical == "slack:T0ACME:C0DEV:1772800000.000001"


def test_a_root_message_with_its_own_thread_ts_is_not_in_a_thread() -> None:
    event = see(envelope(message(thread_ts=TS)))
    assert (event.thread.root, event.in_thread) == (TS, False)


def test_a_mention_has_one_key_however_it_arrives() -> None:
    text = "<@U0BOT> fix the login"
    mention = see(envelope({**message(text), "type": "app_mention"}, event_id="Ev0001"))
    same = see(envelope(message(text), event_id="Ev0002"))
    assert isinstance(mention, Command)
    assert isinstance(same, Command)
    assert mention.key == same.key
    assert mention.text == same.text == "fix the login"
    assert mention.event_id != same.event_id


@pytest.mark.parametrize(
    ("raw", "door", "text"),
    [
        ("<@U0BOT> fix it", "mention", "fix it"),
        ("<@U0BOT|codetask>: fix it", "mention", "fix it"),
        ("hey <@U0BOT>, cancel 42", "mention", "cancel 42"),
        ("The export is broken. <@U0BOT> please fix", "mention", "The export is broken.  please fix"),
        ("fix the login <@U0BOT>", "mention", "fix the login"),
        ("<@U0BOT> !codetask fix it", "mention", "fix it"),
        ("<@U0BOT>", "mention", ""),
        ("!codetask fix it", "bang", "fix it"),
        ("  !CodeTask: fix it", "bang", "fix it"),
        ("！codetask 修复登录", "bang", "修复登录"),
        ("!codetask", "bang", ""),
    ],
)
def test_doors(raw: str, door: str, text: str) -> None:
    event = see(envelope(message(raw)))
    assert isinstance(event, Command)
    assert (event.door, event.text, event.command) == (door, text, "codetask")


@pytest.mark.parametrize("raw", ["!codetasks are great", "say !codetask", "codetask fix", "<@U0BO> fix it", ""])
def test_no_door(raw: str) -> None:
    assert isinstance(see(envelope(message(raw))), Message)


def test_a_direct_message_needs_no_door() -> None:
    event = see(envelope(message("list", channel="D0ANA", channel_type="im")))
    assert isinstance(event, Command)
    assert event.text == "list"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("<https://x.io/a?b=1&amp;c=2>", "https://x.io/a?b=1&c=2"),
        ("<http://x.io|x.io>", "x.io"),
        ("<https://evil.io|https://good.io>", "https://good.io (https://evil.io)"),
        ("<mailto:a@b.io|a@b.io>", "a@b.io"),
        ("<@U1|ana> <#C1|dev> <#C2>", "@ana #dev #C2"),
        ("<!here> <!subteam^S1|@team> <!subteam^S2>", "@here @team @subteam"),
        ("<!date^1392734382^{date}|18 Feb>", "18 Feb"),
        ("“quoted” and ‘single’", "\"quoted\" and 'single'"),
        ("—repo acme/web add it", "--repo acme/web add it"),
        ("add it –draft", "add it --draft"),
        ("a — b and c—d, —however", "a — b and c—d, —however"),
        ("— cancel button does nothing", "-- cancel button does nothing"),
        ("&lt;@U1&gt; &lt;!channel&gt;", "<@U1> <!channel>"),
    ],
)
def test_slack_escapes_and_phone_typing_are_undone(raw: str, text: str) -> None:
    assert plain(raw) == text


@pytest.mark.parametrize(
    "event",
    [
        message(user="U0BOT", bot_id="B0BOT"),
        message(bot_id="B0BOT", subtype="bot_message", user=None),
        message(subtype="channel_join"),
        message(subtype="message_replied"),
        edited("same", "same"),
        edited("b", "a", edited=None),
        edited("b", "a", user="U0BOT", bot_id="B0BOT"),
        reaction(user="U0BOT"),
        reaction(item={"type": "file", "file": "F1"}),
        {"type": "member_joined_channel", "user": "U0ANA", "channel": "C0DEV"},
        {"type": "app_home_opened", "user": "U0ANA", "channel": "D0ANA"},
        {"type": "a_type_from_the_future", "thing": 1},
    ],
)
def test_what_is_not_for_us_is_dropped(event: dict[str, Any]) -> None:
    assert see(envelope(event)) is None


@pytest.mark.parametrize("payload", [{"type": "view_closed"}, {"type": "new_interaction"}, press(value=None)])
def test_other_payloads_are_dropped(payload: dict[str, Any]) -> None:
    assert see(payload) is None


def test_other_bots_guests_and_strangers_are_told_apart() -> None:
    def kind(**more: Any) -> str:
        return see(envelope(message(**more))).person.kind

    assert kind(bot_id="B0OTHER") == "bot"
    assert kind(subtype="bot_message", bot_id="B0HOOK", user=None) == "bot"
    assert kind(subtype="bot_message", user=None, username="hook") == "webhook"
    assert kind(user_profile={"is_restricted": True}) == "guest"
    assert kind(user_team="T0OTHER") == "external"
    assert kind(user_team="T0ACME") == "human"


def test_slack_connect_belongs_to_the_workspace_that_installed_the_app() -> None:
    grants = [{"team_id": "T0ACME", "user_id": "U0BOT"}]
    event = see(envelope(message(user_team="T0OTHER"), team_id="T0OTHER", authorizations=grants))
    assert (event.workspace_id, event.person.kind) == ("T0ACME", "external")


def test_an_edit_has_its_own_key_and_the_text_behind_the_door() -> None:
    event = see(envelope(edited("<@U0BOT> fix the login page", "<@U0BOT> fix the login")))
    assert isinstance(event, MessageEdited)
    assert event.key == f"A0CODETASK:e:C0DEV:{TS}:{LATER}"
    assert (event.message_id, event.text) == (TS, "fix the login page")


def test_deletions() -> None:
    event = see(envelope(deleted(thread_ts="1772800000.000001")))
    assert isinstance(event, MessageDeleted)
    assert (event.key, event.thread.root) == (f"A0CODETASK:d:C0DEV:{TS}", "1772800000.000001")
    tombstone = see(envelope(edited("This message was deleted.", "x", subtype="tombstone", edited=None)))
    assert isinstance(tombstone, MessageDeleted)
    assert tombstone.key == event.key


def test_reactions() -> None:
    event = see(envelope(reaction(reaction="thumbsup::skin-tone-3")))
    assert isinstance(event, Reaction)
    assert (event.emoji, event.added, event.message_id) == ("+1", True, TS)
    assert event.key == f"A0CODETASK:r:C0DEV:{TS}:U0ANA:thumbsup::skin-tone-3:{LATER}"
    assert see(envelope(reaction("reaction_removed"))).added is False


def test_joining_and_archiving() -> None:
    joined = see(envelope({"type": "member_joined_channel", "user": "U0BOT", "channel": "C0DEV"}))
    assert isinstance(joined, BotAdded)
    assert (joined.key, joined.thread.channel_id) == ("A0CODETASK:o:Ev0001", "C0DEV")
    assert isinstance(see(envelope({"type": "channel_archive", "channel": "C0DEV"})), BotRemoved)


def test_a_slash_command() -> None:
    event = see(slash("—repo acme/web “add” &lt;b&gt;"))
    assert isinstance(event, Command)
    assert (event.door, event.command, event.thread.root, event.in_thread) == ("slash", "codetask", None, False)
    assert event.text == '--repo acme/web "add" <b>'
    assert event.key == "A0CODETASK:c:13345224609.738474920.8088930838d88f008e0"
    assert event.reply_token is not None
    assert event.reply_token.uses_left == 5
    assert event.reply_token.expires_at == NOW + timedelta(minutes=30)
    assert see(slash(command="/followup")).command == "followup"
    assert see(slash(text=None)).text == ""


def test_a_button_press() -> None:
    event = see(press())
    assert isinstance(event, ButtonPress)
    assert (event.value, event.message_id, event.thread.root) == ("codetask:cancel:CT-42", LATER, TS)
    assert (event.person.name, event.person.kind) == ("ana", "human")
    assert see(press(user={"id": "U9", "team_id": "T0OTHER"})).person.kind == "external"


def test_a_shortcut_targets_the_message() -> None:
    event = see(shortcut())
    assert isinstance(event, Command)
    assert (event.door, event.text, event.message_id) == ("shortcut", "The export is broken", TS)
    assert (event.person.id, event.author.id if event.author else None) == ("U0ANA", "U0BO")
    assert see(shortcut("codetask_later")).command == "followup"
    assert see(shortcut("someone_elses")) is None


def test_a_form() -> None:
    event = see(form())
    assert isinstance(event, FormSent)
    assert (event.form, event.thread.root) == ("codetask:retry:CT-42", TS)
    assert event.fields == {"note": "use the other table", "repo": "acme/web"}
    assert see(form(callback_id="someone:else")) is None


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"type": 7},
        {"type": "event_callback"},
        {"type": "event_callback", "event": [1]},
        envelope(message(ts=1772805720.0001)),
        envelope(message(ts="soon")),
        envelope(message(user=None)),
        envelope(message(text=["a"])),
        slash(trigger_id=""),
        press(container={}),
        press(actions="x"),
        form(private_metadata="{"),
        form(private_metadata="[]"),
    ],
)
def test_what_cannot_be_read_is_kept(payload: dict[str, Any]) -> None:
    event = see(payload)
    assert isinstance(event, Unreadable)
    assert event.key.startswith("A0CODETASK:o:")
    assert len(event.ref) == 4
    assert see(payload).key == event.key


def test_deep_nesting_is_cut_not_fatal() -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    event = see(envelope(message("hello", blocks=deep)))
    assert event.text == "hello"
    assert EVENT.validate_json(EVENT.dump_json(event)) == event
    assert isinstance(see(envelope(deep)), Unreadable)


def test_every_kind_survives_the_store() -> None:
    for payload in EVERY_KIND:
        event = see(payload)
        assert EVENT.validate_json(EVENT.dump_json(event)) == event
        assert "token" not in event.raw


def test_nothing_reaches_the_store_that_postgres_refuses() -> None:
    event = see(envelope(message("a\x00b\ud800c", weird=float("nan"), huge=10**30)))
    assert isinstance(event, Message)
    dumped = EVENT.dump_json(event).decode()
    assert "\\u0000" not in dumped
    assert "NaN" not in dumped
    assert tidy({"a": [float("inf")]}) == {"a": [None]}


def test_a_ts_keeps_its_digits() -> None:
    assert instant("1772805720.123456") == datetime(2026, 3, 6, 14, 2, 0, 123456, tzinfo=UTC)
    assert see(envelope(message(ts="1772805720.123459"))).message_id == "1772805720.123459"


def test_history_reads_as_the_live_transport_would() -> None:
    said = {"type": "message", "user": "U0ANA", "ts": TS, "text": "<@U0BOT> fix it"}
    past = read_past(said, "C0DEV", ME, NOW)
    live = see(envelope(message("<@U0BOT> fix it")))
    assert past is not None
    assert isinstance(past.event, Command)
    assert (past.event.key, past.event.text, past.own) == (live.key, live.text, False)
    assert past.message.text == "@U0BOT fix it"


def test_own_history_carries_the_delivery_key_and_no_event() -> None:
    metadata = {"event_type": "codetask_delivery", "event_payload": {"key": "abc"}}
    said = {"type": "message", "bot_id": "B0BOT", "user": "U0BOT", "ts": TS, "text": "done", "metadata": metadata}
    past = read_past(said, "C0DEV", ME, NOW)
    assert past is not None
    assert (past.own, past.event, past.delivery_key) == (True, None, "abc")
    foreign = read_past({**said, "metadata": {"event_type": "x", "event_payload": {"key": "abc"}}}, "C0DEV", ME, NOW)
    assert foreign is not None
    assert foreign.delivery_key is None


@pytest.mark.parametrize("said", [{}, {"ts": 1}, {"ts": TS, "subtype": "channel_join"}, {"ts": TS, "text": 3}])
def test_odd_history_is_passed_over(said: dict[str, Any]) -> None:
    assert read_past(said, "C0DEV", ME, NOW) is None
