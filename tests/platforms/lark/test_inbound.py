"""What each Lark payload becomes."""

import json
import re
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
    Reaction,
    Unreadable,
)
from platforms.lark.inbound import instant, read, read_past, tidy
from tests.platforms.lark.payloads import (
    ANA,
    APP,
    AT,
    BO,
    BOT,
    CHAT,
    EVERY_KIND,
    KINDS,
    ME,
    NOW,
    OM,
    ROOT,
    TENANT,
    THREAD,
    envelope,
    form,
    mention,
    mentioned,
    menu,
    message,
    moved,
    press,
    reaction,
    recalled,
    received,
)


def see(payload: dict[str, Any]) -> Any:
    return read(payload, ME, NOW)


def test_a_message_is_read_with_its_thread_and_person() -> None:
    said = received(
        "hi @_user_1 and @_all", mentions=[mention(BO, name="Bo")], root_id=ROOT, parent_id=ROOT, thread_id=THREAD
    )
    event = see(said)
    assert isinstance(event, Message)
    assert event.key == f"{APP}:m:{OM}"
    assert (event.thread.root, event.thread.native, event.in_thread, event.message_id) == (ROOT, THREAD, True, OM)
    assert (event.person.id, event.person.kind, event.text) == (ANA, "human", "hi @Bo and @all")
    assert event.mentions_others
    assert event.thread.canonical == f"lark:{TENANT}:{CHAT}:{ROOT}"
    assert event.sent_at == datetime(2026, 3, 6, 14, 2, 0, 100_000, tzinfo=UTC)


def test_a_root_is_its_own_thread_also_in_a_topic_chat() -> None:
    assert (see(received()).thread.root, see(received()).in_thread) == (OM, False)
    topic = see(received(thread_id=THREAD, chat_type="topic_group"))
    assert (topic.thread.root, topic.thread.native, topic.in_thread) == (OM, THREAD, False)
    inside = see(received(thread_id=THREAD))
    assert (inside.thread.root, inside.thread.native, inside.in_thread) == (OM, THREAD, True)


@pytest.mark.parametrize(
    ("raw", "door", "text"),
    [
        ("@_user_1 fix it", "mention", "fix it"),
        ("@_user_1: fix it", "mention", "fix it"),
        ("hey @_user_1, cancel 42", "mention", "cancel 42"),
        ("The export is broken. @_user_1 please fix", "mention", "The export is broken.  please fix"),
        ("@_user_1 !codetask fix it", "mention", "fix it"),
        ("@_user_1", "mention", ""),
        ("!codetask fix it", "bang", "fix it"),
        ("  !CodeTask: fix it", "bang", "fix it"),
        ("！codetask，修复登录", "bang", "修复登录"),
        ("你好 @_user_1 修复登录", "mention", "修复登录"),
        ("@_user_1 —repo acme/web “add” it", "mention", '--repo acme/web "add" it'),
    ],
)
def test_doors(raw: str, door: str, text: str) -> None:
    event = see(mentioned(raw))
    assert isinstance(event, Command)
    assert (event.door, event.text, event.command) == (door, text, "codetask")


@pytest.mark.parametrize("raw", ["!codetasks are great", "say !codetask", "@_user_10 fix it", "@codetask fix it", ""])
def test_no_door(raw: str) -> None:
    assert isinstance(see(received(raw, mentions=[mention(BOT), mention(BO, "@_user_10", "Bo")])), Message)


def test_a_mention_is_who_the_list_says_not_who_the_text_names() -> None:
    assert isinstance(see(received("@_user_1 fix it", mentions=[mention(BO)])), Message)
    assert isinstance(see(received("@_user_1 fix it")), Message)


def test_a_direct_message_needs_no_door() -> None:
    event = see(received("list", chat_type="p2p"))
    assert isinstance(event, Command)
    assert event.text == "list"


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([[{"tag": "at", "user_id": "@_user_1"}, {"tag": "text", "text": " fix it"}]], "fix it"),
        ([[{"tag": "at", "user_id": "@_user_1"}], [{"tag": "code_block", "text": "a = 1"}]], "```\na = 1\n```"),
        (
            [[{"tag": "text", "text": "!codetask see "}, {"tag": "a", "text": "docs", "href": "https://x.io"}]],
            "see docs (https://x.io)",
        ),
        ([[{"tag": "text", "text": "!codetask a"}, {"tag": "img"}, "odd", {"tag": "md", "text": "b"}], 7], "ab"),
    ],
)
def test_rich_text(lines: Any, text: str) -> None:
    content = json.dumps({"title": "", "content": lines})
    event = see(mentioned(content=content, message_type="post"))
    assert isinstance(event, Command)
    assert event.text == text
    wrapped = json.dumps({"en_us": {"title": "", "content": lines}})
    assert see(mentioned(content=wrapped, message_type="post")).text == text


def test_pictures_and_cards_say_nothing() -> None:
    for kind in ("image", "file", "interactive", "sticker"):
        event = see(received(message_type=kind, content='{"image_key": "img_1"}'))
        assert (event.kind, event.text) == ("message", "")


@pytest.mark.parametrize(
    "payload",
    [
        received(message_type="system"),
        received(sender=BOT),
        reaction(operator_type="app", user_id=None),
        menu("someone_elses"),
        press({"other": "app"}),
        press(None),
        envelope("im.message.message_read_v1", {}),
        envelope("im.chat.disbanded_v1", {"chat_id": CHAT}),
        envelope("a.type.from_the_future_v9", {"thing": 1}),
    ],
)
def test_what_is_not_for_us_is_dropped(payload: dict[str, Any]) -> None:
    assert see(payload) is None


def test_bots_and_people_of_other_tenants_are_told_apart() -> None:
    assert see(received(sender_type="app")).person.kind == "bot"
    nameless = received(sender_type="bot")
    nameless["event"]["sender"]["sender_id"] = None
    assert (see(nameless).person.kind, see(nameless).text) == ("bot", "hello")
    nameless["event"]["sender"]["sender_id"] = {"app_id": APP}
    assert see(nameless) is None, "own words, under the app's id"
    assert see(received(tenant="another")).person.kind == "external"
    assert see(received(tenant="")).person.kind == "human"
    stranger = press()
    stranger["event"]["operator"]["tenant_key"] = "another"
    assert see(stranger).person.kind == "external"


def test_recalls_reactions_joining_and_leaving() -> None:
    gone = see(recalled())
    assert isinstance(gone, MessageDeleted)
    assert (gone.key, gone.message_id) == (f"{APP}:d:{OM}", OM)
    mark = see(reaction())
    assert isinstance(mark, Reaction)
    assert (mark.emoji, mark.added, mark.key) == ("+1", True, f"{APP}:r:{OM}:{ANA}:THUMBSUP:{AT}")
    assert see(reaction("deleted")).added is False
    assert isinstance(see(moved()), BotAdded)
    assert isinstance(see(moved("deleted")), BotRemoved)


def test_a_menu_entry_is_a_verb_in_the_chat_with_the_person() -> None:
    event = see(menu())
    assert isinstance(event, Command)
    assert (event.door, event.text, event.thread.channel_id, event.thread.root) == ("slash", "list", ANA, None)


def test_a_press_knows_its_thread_and_can_be_answered() -> None:
    event = see(press())
    assert isinstance(event, ButtonPress)
    assert (event.value, event.message_id, event.thread.root) == ("codetask:cancel:CT-42", OM, ROOT)
    assert event.reply_token is not None
    assert (event.reply_token.uses_left, event.reply_token.expires_at) == (1, NOW + timedelta(seconds=3))
    assert see(press(root=None)).thread.root == OM


def test_a_form() -> None:
    event = see(form())
    assert isinstance(event, FormSent)
    assert (event.form, event.fields) == ("codetask:retry:CT-42", {"note": "use the other table"})


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"schema": "2.0"},
        {"header": {}},
        envelope("im.message.receive_v1", None),
        envelope("im.message.receive_v1", [1]),
        received(message_id=7),
        received(create_time=1772805720100),
        received(create_time="soon"),
        received(content="{"),
        received(content="[]"),
        received(content='{"text": ["a"]}'),
        envelope("im.message.receive_v1", {**message(), "sender": {"sender_id": {}}}),
        envelope("card.action.trigger", {"action": {"value": {"codetask": "codetask:x:1"}}}),
        {**press(), "header": {"event_type": "card.action.trigger"}},
        reaction(reaction_type="THUMBSUP"),
    ],
)
def test_what_cannot_be_read_is_kept(payload: dict[str, Any]) -> None:
    event = see(payload)
    assert isinstance(event, Unreadable)
    assert event.key.startswith(f"{APP}:o:")
    assert len(event.ref) == 4
    assert see(payload).key == event.key


def test_deep_nesting_is_cut_not_fatal() -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    event = see(received("hello", user_agent=deep))
    assert event.text == "hello"
    assert EVENT.validate_json(EVENT.dump_json(event)) == event


def test_every_kind_survives_the_store_without_its_tokens() -> None:
    for payload, kind in zip(EVERY_KIND, KINDS, strict=True):
        event = see(payload)
        assert event.kind == kind
        assert EVENT.validate_json(EVENT.dump_json(event)) == event
        kept = json.dumps(event.raw)
        assert "verification-token" not in kept
        assert "c-0123456789abcdef" not in kept


def test_nothing_reaches_the_store_that_postgres_refuses() -> None:
    event = see(received("a\x00b\ud800c", weird=float("nan"), huge=10**30))
    assert event.text == "a\ufffdb?c"
    dumped = EVENT.dump_json(event).decode()
    assert not re.search(r"(?<!\\)(?:\\\\)*\\u0000", dumped), "the content is JSON in JSON: its escapes are text"
    assert "NaN" not in dumped
    assert tidy({"a": [float("inf")]}) == {"a": [None]}


def past(**more: Any) -> dict[str, Any]:
    said = {
        "message_id": OM,
        "msg_type": "text",
        "create_time": AT,
        "chat_id": CHAT,
        "deleted": False,
        "sender": {"id": ANA, "id_type": "open_id", "sender_type": "user", "tenant_key": TENANT},
        "body": {"content": json.dumps({"text": "@_user_1 fix it"})},
        "mentions": [{"key": "@_user_1", "id": BOT, "id_type": "open_id", "name": "Codetask"}],
    }
    return {**said, **more}


def test_history_reads_as_the_live_transport_would() -> None:
    found, live = read_past(past(), ME, NOW), see(mentioned())
    assert found is not None
    assert isinstance(found.event, Command)
    assert (found.event.key, found.event.text, found.own) == (live.key, live.text, False)
    assert found.message.text == "@Codetask fix it"
    root = read_past(past(thread_id=THREAD), ME, NOW)
    assert root is not None
    assert (root.message.in_thread, root.message.thread.native) == (False, THREAD)


def test_own_history_carries_no_event() -> None:
    own = {"id": APP, "id_type": "app_id", "sender_type": "app", "tenant_key": TENANT}
    found = read_past(past(sender=own, msg_type="interactive", body={"content": "{}"}), ME, NOW)
    assert found is not None
    assert (found.own, found.event) == (True, None)
    other = read_past(past(sender={**own, "id": "cli_other"}), ME, NOW)
    assert other is not None
    assert (other.own, other.message.person.kind) == (False, "bot")


@pytest.mark.parametrize(
    "item", [{}, {"sender": {}}, past(deleted=True), past(msg_type="system"), past(body={"content": 3}), past(sender=7)]
)
def test_odd_history_is_passed_over(item: dict[str, Any]) -> None:
    assert read_past(item, ME, NOW) is None


def test_instants_are_exact() -> None:
    assert instant("1772805720123") == datetime(2026, 3, 6, 14, 2, 0, 123_000, tzinfo=UTC)
