"""The adapter with the real SDK against the simulator: in, out, and what may go wrong on the way."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from bot.core.cards import Button, Card, Doc, Step
from bot.core.inbound import BotAdded, ButtonPress, Command, Message, MessageRef, Person, Reaction, ThreadRef
from bot.ports import Gone, NotAllowed, Retry, Unsendable
from platforms.lark.simulator import LarkSimulator, buttons
from tests.platforms.lark.rig import Rig, Transport, make_simulator, rigged

KEY = "abcdefghijklmnop22222222"
CARD = Card(
    key="CT-1",
    title="CT-1 Add a CSV export",
    summary="CT-1 Add a CSV export: queued",
    meta="@ana · `acme/web`",
    steps=(Step(label="Queued", state="active"), Step(label="Pull request", state="pending")),
    buttons=(Button(label="Cancel", name="Cancel CT-1", value="codetask:cancel:CT-1", confirm="Really?"),),
)


@pytest.fixture
def simulator() -> Iterator[LarkSimulator]:
    running = make_simulator()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(params=["long", "webhook"])
async def rig(simulator: LarkSimulator, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    transport: Transport = request.param
    async with rigged(simulator, transport) as running:
        yield running


def place(rig: Rig, channel: str = "dev", root: str | None = None) -> ThreadRef:
    found = rig.simulator.channel(channel)
    return ThreadRef(platform="lark", workspace_id=rig.simulator.tenant_key, channel_id=found.id, root=root)


def person(rig: Rig, name: str = "ana") -> Person:
    return Person(platform="lark", workspace_id=rig.simulator.tenant_key, id=rig.simulator.user(name).id)


async def posted(rig: Rig, root: str | None = None) -> MessageRef:
    sent = await rig.platform.post(place(rig, root=root), CARD, KEY)
    assert isinstance(sent, MessageRef)
    return sent


# --- In ---------------------------------------------------------------------------------------------------------------


async def test_nothing_is_acked_before_it_is_stored(rig: Rig) -> None:
    rig.inbox.gate.clear()
    said = rig.simulator.user_says("ana", "hello", "dev")
    await rig.inbox.until(lambda: rig.inbox.waiting >= 1)
    (delivery,) = rig.simulator.deliveries_of(said)
    assert not delivery.acked
    rig.inbox.gate.set()
    await rig.simulator.wait_for(lambda: delivery.acked)


async def test_doors(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    rig.simulator.user_mentions("ana", "fix the login", "dev")
    rig.simulator.user_says("ana", "!codetask fix the export", thread=root)
    rig.simulator.user_says("ana", "list", rig.simulator.direct("ana"))
    rig.simulator.uses_menu("ana", "codetask_list")
    rig.simulator.uses_menu("ana", "someone_elses")
    events = await rig.seen(5)
    commands = {(event.door, event.text): event for event in events if isinstance(event, Command)}
    assert set(commands) == {
        ("mention", "fix the login"),
        ("bang", "fix the export"),
        ("mention", "list"),
        ("slash", "list"),
    }
    bang = commands["bang", "fix the export"]
    assert (bang.thread.root, bang.in_thread) == (root.id, True)
    assert bang.thread.native
    assert bang.thread.native.startswith("omt_")
    assert commands["slash", "list"].thread.channel_id == rig.simulator.user("ana").id
    (plain,) = [event for event in events if isinstance(event, Message)]
    assert (plain.text, plain.thread.root, plain.in_thread) == ("The export is broken", root.id, False)


async def test_rich_text_and_topics(rig: Rig) -> None:
    rig.simulator.user_mentions("ana", "fix the login\nand the @bo page", "dev", post=True)
    topic = rig.simulator.user_mentions("ana", "fix the topic", "topics")
    first, second = await rig.seen(2)
    assert isinstance(first, Command)
    assert first.text == "fix the login\nand the @Bo Lindqvist page"
    assert isinstance(second, Command)
    assert (second.thread.root, second.in_thread) == (topic.id, False)


async def test_reactions_recalls_and_the_bots_own_words(rig: Rig) -> None:
    said = rig.simulator.user_says("ana", "hello", "dev")
    rig.simulator.reacts("bo", said, "THUMBSUP")
    rig.simulator.user_deletes(said)
    message = await posted(rig)
    await rig.platform.edit(message, CARD, KEY)
    await rig.platform.react(message, "done", True, KEY)
    rig.simulator.makes_noise()
    await rig.simulator.wait_for(lambda: all(delivery.acked for delivery in rig.simulator.deliveries))
    assert sorted(event.kind for event in rig.inbox.said) == ["message", "message_deleted", "reaction"]
    (reaction,) = [event for event in rig.inbox.said if isinstance(event, Reaction)]
    assert (reaction.emoji, reaction.added, reaction.message_id) == ("+1", True, said.id)


async def test_joining_a_chat(rig: Rig) -> None:
    rig.simulator.adds_bot("lounge")
    (event,) = await rig.seen()
    assert isinstance(event, BotAdded)
    assert event.thread.channel_id == rig.simulator.channel("lounge").id


async def test_a_message_that_comes_again_under_another_id_is_one_event(rig: Rig) -> None:
    said = rig.simulator.user_mentions("ana", "fix it", "dev")
    await rig.seen()
    rig.simulator.redeliver(said)
    rig.simulator.redeliver(said, fresh_ids=True)
    await rig.simulator.wait_for(lambda: rig.simulator.deliveries and all(d.acked for d in rig.simulator.deliveries))
    await rig.inbox.until(lambda: rig.inbox.duplicates == 2)
    assert len(rig.inbox.said) == 1


async def test_events_are_redelivered_when_the_inbox_was_down(rig: Rig) -> None:
    rig.inbox.down = True
    said = rig.simulator.user_says("ana", "!codetask fix it", "dev")
    (delivery,) = rig.simulator.deliveries_of(said)
    await rig.simulator.wait_for(lambda: delivery.attempts[-1].outcome == "refused")
    assert delivery.attempts[-1].status in (500, 503)
    rig.inbox.down = False
    rig.simulator.advance(timedelta(seconds=16))
    await rig.simulator.wait_for(lambda: delivery.acked)
    (event,) = await rig.seen()
    assert isinstance(event, Command)


# --- Presses ----------------------------------------------------------------------------------------------------------


async def test_a_press_is_answered_with_a_toast(rig: Rig) -> None:
    root = rig.simulator.user_says("ana", "!codetask fix it", "dev")
    message = await posted(rig, root.id)
    delivery = rig.simulator.clicks("bo", rig.simulator.sent[-1], "Cancel")
    assert delivery is not None
    await rig.simulator.wait_for(lambda: delivery.acked)
    (event,) = [event for event in rig.inbox.said if isinstance(event, ButtonPress)]
    assert (event.value, event.message_id) == ("codetask:cancel:CT-1", message.message_id)
    assert (event.thread.root, event.person.id) == (root.id, rig.simulator.user("bo").id)
    (toast,) = rig.simulator.whispers
    assert (toast.via, toast.text, toast.texts["zh_cn"]) == ("toast", "Got it.", "收到。")
    assert max(delivery.latencies) < 3000


async def test_what_is_whispered_at_once_is_the_toast_and_the_card_changes_afterwards(rig: Rig) -> None:
    message = await posted(rig)
    delivery = rig.simulator.clicks("cy", rig.simulator.sent[-1], "Cancel")
    (event,) = await rig.seen()
    assert isinstance(event, ButtonPress)
    said = Doc(text="CT-1 is cancelled.", translations={"zh": Doc(text="CT-1 已取消。", language="zh")})
    told = await rig.platform.whisper(event.person, event.thread, said, event.reply_token, KEY)
    assert isinstance(told, MessageRef)
    assert told.message_id.startswith("toast:")
    changed = CARD.model_copy(update={"title": "CT-1 Cancelled", "buttons": ()})
    assert await rig.platform.edit(message, changed, "k2" * 12) == message
    assert delivery is not None
    await rig.simulator.wait_for(lambda: delivery.acked)
    (toast,) = rig.simulator.whispers
    assert toast.text == "CT-1 已取消。"
    assert [edit.via for edit in rig.simulator.edits] == ["patch"]
    assert "Cancelled" in rig.simulator.render_text(rig.simulator.sent[-1])


async def test_a_change_of_the_card_waits_for_the_answer_to_the_press(rig: Rig) -> None:
    message = await posted(rig)
    delivery = rig.simulator.clicks("ana", rig.simulator.sent[-1], "Cancel")
    await rig.seen()
    changed = CARD.model_copy(update={"title": "CT-1 Cancelled", "buttons": ()})
    await rig.platform.edit(message, changed, "k2" * 12)
    assert delivery is not None
    await rig.simulator.wait_for(lambda: delivery.acked)
    assert [edit.via for edit in rig.simulator.edits] == ["patch"], "nothing fell back"


async def test_a_long_private_answer_goes_to_the_person(rig: Rig) -> None:
    await posted(rig)
    rig.simulator.clicks("ana", rig.simulator.sent[-1], "Cancel")
    (event,) = await rig.seen()
    assert isinstance(event, ButtonPress)
    told = await rig.platform.whisper(event.person, event.thread, Doc(text="long " * 200), event.reply_token, "k" * 24)
    assert isinstance(told, MessageRef)
    await rig.simulator.wait_for(lambda: len(rig.simulator.whispers) == 2)
    assert {whisper.via for whisper in rig.simulator.whispers} == {"toast", "direct"}


@pytest.mark.parametrize("broken", [None, RuntimeError("secret detail")])
async def test_a_person_learns_at_once_that_nothing_was_saved(rig: Rig, broken: Exception | None) -> None:
    await posted(rig)
    rig.inbox.down, rig.inbox.broken = True, broken
    delivery = rig.simulator.clicks("ana", rig.simulator.sent[-1], "Cancel")
    assert delivery is not None
    await rig.simulator.wait_for(lambda: delivery.acked)
    (toast,) = rig.simulator.whispers
    assert toast.text.startswith("I couldn't save that (ref ")
    assert toast.text.endswith("Nothing was filed. Please try again in a minute.")
    assert (toast.style, "secret" in toast.text) == ("error", False)
    assert rig.inbox.said == []


# --- Out --------------------------------------------------------------------------------------------------------------


async def test_a_card_becomes_the_root_and_is_edited(rig: Rig) -> None:
    message = await posted(rig)
    (sent,) = rig.simulator.sent
    assert (message.message_id, message.thread.root) == (sent.id, sent.id)
    assert [button.label for button in buttons(sent)] == ["Cancel"]
    assert sent.uuid == KEY
    done = CARD.model_copy(update={"summary": "CT-1: done", "buttons": ()})
    assert await rig.platform.edit(message, done, "k2" * 12) == message
    (edit,) = rig.simulator.edits
    assert "CT-1: done" in edit.content


async def test_a_reply_lands_in_its_thread_and_is_read_back(rig: Rig) -> None:
    root = rig.simulator.user_says("ana", "!codetask fix it", "dev")
    reply = await rig.platform.post(place(rig, root=root.id), Doc(text="on it", mention=person(rig)), KEY)
    assert isinstance(reply, MessageRef)
    assert reply.thread.root == root.id
    assert reply.thread.native
    assert reply.thread.native == rig.simulator.sent[0].thread_id
    thread = await rig.platform.history(place(rig, root=root.id), None, 50)
    assert isinstance(thread, list)
    asked, answered = thread
    assert isinstance(asked.event, Command)
    assert (asked.event.text, asked.own, answered.own, answered.event) == ("fix it", False, True, None)
    (live,) = await rig.seen()
    assert asked.event.key == live.key


async def test_a_channel_is_read_oldest_first_beyond_one_page(rig: Rig) -> None:
    said = []
    for number in range(70):
        said.append(rig.simulator.user_says("ana", f"message {number}", "dev"))
        rig.simulator.advance(timedelta(seconds=2))
    found = await rig.platform.history(place(rig), None, 500)
    assert isinstance(found, list)
    assert [past.message.message_id for past in found] == [message.id for message in said]
    later = await rig.platform.history(place(rig), found[49].message.sent_at, 10)
    assert isinstance(later, list)
    assert [past.message.text for past in later] == [f"message {number}" for number in range(50, 60)]
    latest = await rig.platform.history(place(rig), None, 3)
    assert isinstance(latest, list)
    assert [past.message.text for past in latest] == ["message 67", "message 68", "message 69"]


async def test_the_same_post_twice_is_one_message(rig: Rig) -> None:
    first, second = await posted(rig), await posted(rig)
    assert first == second
    assert len(rig.simulator.sent) == 1


async def test_reactions_already_so_are_success(rig: Rig) -> None:
    message = await posted(rig)
    for _ in range(2):
        assert await rig.platform.react(message, "seen", True, KEY) == message
    assert [(reacted.emoji, reacted.added) for reacted in rig.simulator.reactions] == [("GLANCE", True)]
    for _ in range(2):
        assert await rig.platform.react(message, "seen", False, KEY) == message
    assert len(rig.simulator.reactions) == 2


async def test_a_whisper_without_a_press_is_a_direct_message(rig: Rig) -> None:
    told = await rig.platform.whisper(person(rig), place(rig), Doc(text="only you"), None, KEY)
    assert isinstance(told, MessageRef)
    (whisper,) = rig.simulator.whispers
    assert (whisper.via, whisper.text, whisper.user) == ("direct", "only you", rig.simulator.user("ana").id)


async def test_whom_the_bot_may_not_write_to_gets_a_reply_in_the_thread(rig: Rig) -> None:
    rig.simulator.hides_bot_from("bo")
    root = rig.simulator.user_says("bo", "hello", "dev")
    told = await rig.platform.whisper(person(rig, "bo"), place(rig, root=root.id), Doc(text="only you"), None, KEY)
    assert isinstance(told, MessageRef)
    (sent,) = rig.simulator.sent
    assert (sent.root_id, rig.simulator.render_text(sent)) == (root.id, "@bo only you")
    await rig.platform.whisper(person(rig, "bo"), place(rig, root=root.id), Doc(text="long " * 200), None, "k" * 24)
    assert rig.simulator.render_text(rig.simulator.sent[-1]).startswith("@bo I can't write to you directly.")
    assert "我无法私信你" in rig.simulator.render_text(rig.simulator.sent[-1], "zh")
    assert isinstance(await rig.platform.whisper(person(rig, "bo"), place(rig), Doc(text="x"), None, KEY), NotAllowed)


async def test_people_are_described_once(rig: Rig) -> None:
    ana = await rig.platform.resolve(person(rig, "ana"))
    assert isinstance(ana, Person)
    assert (ana.name, ana.roles, ana.kind) == ("Ana Pires", {"member"}, "human")
    before = len(rig.simulator.calls("user.get"))
    assert await rig.platform.resolve(person(rig, "ana")) == ana
    assert len(rig.simulator.calls("user.get")) == before
    rig.simulator.advance(timedelta(minutes=11))
    rig.simulator.fail_next("user.get", status=500)
    assert await rig.platform.resolve(person(rig, "ana")) == ana
    rig.simulator.fail_next("user.get", status=500)
    assert isinstance(await rig.platform.resolve(person(rig, "bo")), Retry)


async def test_people_of_other_tenants_are_external(rig: Rig) -> None:
    rig.simulator.user_says("eve", "!codetask fix it", "general")
    (event,) = await rig.seen()
    assert isinstance(event, Command)
    assert event.person.kind == "external"
    assert await rig.platform.resolve(event.person) == event.person


async def test_nothing_is_read_back_before_the_bot_knows_who_it_is(simulator: LarkSimulator) -> None:
    async with rigged(simulator, start=False) as rig:
        assert isinstance(await rig.platform.history(place(rig), None, 10), Retry)
        assert isinstance(await rig.platform.channels(), Retry)
        await rig.platform.preflight()
        joined = await rig.platform.channels()
        assert isinstance(joined, list)
        assert {scope.channel_id for scope in joined} == {
            simulator.channel(name).id for name in ("general", "dev", "topics")
        }


async def test_permalinks_open_the_chat(rig: Rig) -> None:
    link = await rig.platform.permalink(await posted(rig))
    chat = rig.simulator.channel("dev").id
    assert link == f"https://applink.larksuite.com/client/chat/open?openChatId={chat}"


# --- Trouble ----------------------------------------------------------------------------------------------------------


async def test_a_rate_limit_is_told_not_waited_for(rig: Rig) -> None:
    rig.simulator.fail_next("message.create", status=429, retry_after=30)
    assert await rig.platform.post(place(rig), CARD, KEY) == Retry(timedelta(seconds=30), False, "99991400")
    rig.simulator.fail_next("message.create", error=230020)
    assert await rig.platform.post(place(rig), CARD, KEY) == Retry(timedelta(seconds=1), False, "230020")


async def test_a_post_dropped_after_sending_is_repeated_without_doubling(rig: Rig) -> None:
    rig.simulator.fail_next("message.create", drop_after_commit=True)
    unknown = await rig.platform.post(place(rig), CARD, KEY)
    assert isinstance(unknown, Retry)
    assert unknown.maybe_done
    await posted(rig)
    assert len(rig.simulator.sent) == 1


async def test_where_the_bot_may_not_speak(rig: Rig) -> None:
    refused = await rig.platform.post(place(rig, "lounge"), CARD, KEY)
    assert isinstance(refused, NotAllowed)
    assert "Add the bot to the group" in refused.fix
    rig.simulator.archives_channel("dev")
    assert await rig.platform.post(place(rig), CARD, KEY) == Gone("channel", "232009")


async def test_a_lost_card_is_gone_and_so_is_the_thread_of_a_recalled_root(rig: Rig) -> None:
    message = await posted(rig)
    rig.simulator.user_deletes(rig.simulator.sent[0])
    assert await rig.platform.edit(message, CARD, KEY) == Gone("message", "230011")
    root = rig.simulator.user_says("ana", "hello", "dev")
    rig.simulator.user_deletes(root)
    assert await rig.platform.post(place(rig, root=root.id), CARD, KEY) == Gone("thread", "230011")


async def test_where_lark_allows_no_thread_the_answer_is_a_plain_one(rig: Rig) -> None:
    root = rig.simulator.user_says("ana", "!codetask fix it", "dev")
    rig.simulator.fail_next("message.reply", error=230071)
    sent = await rig.platform.post(place(rig, root=root.id), CARD, KEY)
    assert isinstance(sent, MessageRef)
    assert sent.thread.root == root.id
    (shown,) = rig.simulator.sent
    assert (shown.parent_id, shown.thread_id) == (root.id, None)


async def test_a_card_of_thirteen_days_is_given_up_a_day_before_lark_does(rig: Rig, simulator: LarkSimulator) -> None:
    message = await posted(rig)
    simulator.advance(timedelta(days=12, hours=23))
    assert await rig.platform.edit(message, CARD, KEY) == message
    simulator.advance(timedelta(hours=2))
    assert await rig.platform.edit(message, CARD, KEY) == Gone("message", "older than 13 days")
    async with rigged(simulator) as again:
        assert await again.platform.edit(message, CARD, KEY) == Gone("message", "older than 13 days")


async def test_a_missing_scope_names_itself(rig: Rig) -> None:
    message = await posted(rig)
    rig.simulator.revoke_scope("im:message.reactions:write_only")
    refused = await rig.platform.react(message, "seen", True, KEY)
    assert isinstance(refused, NotAllowed)
    assert "im:message.reactions:write_only" in refused.fix


async def test_a_refused_token_is_replaced_once(rig: Rig) -> None:
    await posted(rig)
    tokens = len(rig.simulator.calls("token"))
    rig.simulator.revoke_token("token")
    await rig.platform.edit(MessageRef(thread=place(rig), message_id=rig.simulator.sent[0].id), CARD, KEY)
    assert len(rig.simulator.edits) == 1
    assert len(rig.simulator.calls("token")) == tokens + 1
    rig.simulator.advance(timedelta(hours=1, minutes=56))
    await rig.platform.edit(MessageRef(thread=place(rig), message_id=rig.simulator.sent[0].id), CARD, KEY)
    assert len(rig.simulator.calls("token")) == tokens + 2, "replaced five minutes before its end"


async def test_a_card_that_lark_refuses_is_our_bug(rig: Rig) -> None:
    rig.simulator.fail_next("message.create", error="230099: Failed to create card content, ext=ErrCode: 11310")
    assert await rig.platform.post(place(rig), CARD, KEY) == Unsendable("230099")


# --- Many and odd -----------------------------------------------------------------------------------------------------


async def test_a_slow_inbox_delays_nobody_else(rig: Rig) -> None:
    rig.inbox.gate.clear()
    said = [rig.simulator.user_mentions("ana", f"thing number {number}", "dev") for number in range(5)]
    await rig.inbox.until(lambda: rig.inbox.waiting == 5)
    rig.inbox.gate.set()
    heard = [delivery for message in said for delivery in rig.simulator.deliveries_of(message)]
    await rig.simulator.wait_for(lambda: all(delivery.acked for delivery in heard))
    assert len(rig.inbox.said) == 5


async def test_one_event_many_times_is_one_row(rig: Rig) -> None:
    said = rig.simulator.user_says("ana", "!codetask fix it", "dev")
    rig.simulator.redeliver(said, times=100)
    (delivery,) = rig.simulator.deliveries_of(said)
    await rig.simulator.wait_for(lambda: len(delivery.attempts) == 101 and all(a.answered for a in delivery.attempts))
    assert len(rig.inbox.said) == 1


async def test_health_says_when_lark_was_last_heard(rig: Rig) -> None:
    assert rig.platform.health().state == "ready"
    assert rig.platform.health().last_inbound_at is None
    rig.simulator.user_says("ana", "hello", "dev")
    await rig.seen()
    assert rig.platform.health().last_inbound_at is not None


async def test_stop_is_quick_and_leaves_nothing(rig: Rig) -> None:
    rig.inbox.gate.clear()
    rig.simulator.user_says("ana", "!codetask add a CSV export", "dev")
    await rig.inbox.until(lambda: rig.inbox.waiting == 1)
    stopping = asyncio.create_task(rig.end())
    rig.inbox.gate.set()
    assert await stopping is None
    await rig.simulator.wait_for(lambda: not rig.simulator.connections)
    await rig.start()
    rig.simulator.user_says("ana", "hello again", "dev")
    await rig.seen(2)
