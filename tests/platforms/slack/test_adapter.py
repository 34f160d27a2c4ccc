"""The adapter with the real SDK against the simulator: in, out, and what may go wrong on the way."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from bot.core.cards import Button, Card, Doc, Step
from bot.core.inbound import ButtonPress, Command, Message, MessageRef, Person, ReplyToken, ThreadRef, Unreadable
from bot.ports import Gone, NotAllowed, Retry, Unsendable
from platforms.slack.simulator import SlackSimulator
from tests.platforms.slack.rig import Rig, Transport, rigged

KEY = "abcdefghijklmnop22222222"
CARD = Card(
    key="CT-1",
    title="CT-1 Add a CSV export",
    summary="CT-1 Add a CSV export: queued",
    meta="@ana · `acme/web`",
    steps=(Step(label="Queued", state="active"), Step(label="Pull request", state="pending")),
    buttons=(Button(label="Cancel", name="Cancel CT-1", value="codetask:cancel:CT-1"),),
)


@pytest.fixture
def simulator() -> Iterator[SlackSimulator]:
    with SlackSimulator(seed=7) as running:
        yield running


@pytest.fixture(params=["socket", "http"])
async def rig(simulator: SlackSimulator, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    transport: Transport = request.param
    async with rigged(simulator, transport) as running:
        yield running


def place(rig: Rig, channel: str = "dev", root: str | None = None) -> ThreadRef:
    found = rig.simulator.channel(channel)
    return ThreadRef(platform="slack", workspace_id=rig.simulator.team_id, channel_id=found.id, root=root)


def person(rig: Rig, name: str = "ana") -> Person:
    return Person(platform="slack", workspace_id=rig.simulator.team_id, id=rig.simulator.user(name).id)


async def posted(rig: Rig, root: str | None = None) -> MessageRef:
    sent = await rig.platform.post(place(rig, root=root), CARD, KEY)
    assert isinstance(sent, MessageRef)
    return sent


# --- In ---------------------------------------------------------------------------------------------------------------


async def test_a_slash_command_is_stored_then_acked(rig: Rig) -> None:
    delivery = rig.simulator.runs_command("ana", "/codetask add a CSV <export>", "dev")
    (event,) = await rig.seen()
    assert isinstance(event, Command)
    assert (event.door, event.text, event.thread.root) == ("slash", "add a CSV <export>", None)
    assert event.thread.channel_id == rig.simulator.channel("dev").id
    await rig.simulator.wait_for(lambda: delivery.acked)
    assert delivery.ack_body in (None, "", {})


async def test_nothing_is_acked_before_it_is_stored(rig: Rig) -> None:
    rig.inbox.gate.clear()
    slash = rig.simulator.runs_command("ana", "/codetask add a CSV export", "dev")
    message = rig.simulator.user_says("ana", "hello", "dev")
    await rig.inbox.until(lambda: rig.inbox.waiting >= 2)
    (said,) = rig.simulator.deliveries_of(message)
    assert not slash.acked
    assert not said.acked
    rig.inbox.gate.set()
    await rig.simulator.wait_for(lambda: slash.acked and said.acked)


async def test_a_mention_is_one_event(rig: Rig) -> None:
    message = rig.simulator.user_mentions("ana", "fix the login", "dev")
    await rig.simulator.wait_for(lambda: all(d.acked for d in rig.simulator.deliveries_of(message)))
    assert len(rig.simulator.deliveries_of(message)) == 2
    (event,) = await rig.seen()
    assert isinstance(event, Command)
    assert (event.door, event.text, rig.inbox.duplicates) == ("mention", "fix the login", 1)


async def test_doors_in_threads(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    rig.simulator.user_says("ana", "!codetask fix it", "dev", thread_ts=root.ts)
    rig.simulator.uses_shortcut("ana", root)
    said, bang, shortcut = sorted(await rig.seen(3), key=lambda event: getattr(event, "door", ""))
    assert isinstance(said, Message)
    assert isinstance(bang, Command)
    assert isinstance(shortcut, Command)
    assert (bang.door, bang.text, bang.in_thread, bang.thread.root) == ("bang", "fix it", True, root.ts)
    assert (shortcut.door, shortcut.text, shortcut.message_id) == ("shortcut", "The export is broken", root.ts)
    assert shortcut.author is not None
    assert shortcut.author.id == rig.simulator.user("bo").id


async def test_edits_count_and_previews_do_not(rig: Rig) -> None:
    message = rig.simulator.user_says("ana", "hello https://example.com", "dev")
    rig.simulator.unfurl(message)
    rig.simulator.user_edits(message, "hello there")
    rig.simulator.user_deletes(message)
    events = await rig.seen(3)
    await rig.simulator.wait_for(lambda: all(delivery.acked for delivery in rig.simulator.deliveries))
    assert sorted(event.kind for event in events) == ["message", "message_deleted", "message_edited"]


async def test_the_bots_own_words_come_back_unheard(rig: Rig) -> None:
    message = await posted(rig)
    await rig.platform.edit(message, CARD, "k2" * 12)
    await rig.platform.react(message, "done", True, KEY)
    await rig.simulator.wait_for(lambda: rig.simulator.deliveries)
    await rig.simulator.wait_for(lambda: all(delivery.acked for delivery in rig.simulator.deliveries))
    assert rig.inbox.said == []


async def test_a_button_press(rig: Rig) -> None:
    await posted(rig)
    (message,) = rig.simulator.sent
    delivery = rig.simulator.clicks("bo", message, "Cancel")
    (event,) = await rig.seen()
    assert isinstance(event, ButtonPress)
    assert (event.value, event.message_id, event.person.id) == (
        "codetask:cancel:CT-1",
        message.ts,
        rig.simulator.user("bo").id,
    )
    await rig.simulator.wait_for(lambda: delivery.acked)


async def test_events_are_redelivered_when_the_inbox_was_down(rig: Rig) -> None:
    rig.inbox.down = True
    message = rig.simulator.user_says("ana", "!codetask fix it", "dev")
    (delivery,) = rig.simulator.deliveries_of(message)
    # over a socket Slack learns of it only by the missing ack
    rig.simulator.advance(timedelta(seconds=4))
    await rig.simulator.wait_for(lambda: len(delivery.attempts) >= 2)
    assert not delivery.acked
    rig.inbox.down = False
    rig.simulator.advance(timedelta(seconds=4))
    rig.simulator.advance(timedelta(minutes=1, seconds=1))
    await rig.simulator.wait_for(lambda: delivery.acked)
    (event,) = await rig.seen()
    assert isinstance(event, Command)


@pytest.mark.parametrize("broken", [None, RuntimeError("secret detail")])
async def test_a_person_learns_at_once_that_nothing_was_saved(rig: Rig, broken: Exception | None) -> None:
    await posted(rig)
    (card,) = rig.simulator.sent
    rig.inbox.down, rig.inbox.broken = True, broken
    slash = rig.simulator.runs_command("ana", "/codetask add a CSV export", "dev")
    press = rig.simulator.clicks("ana", card, "Cancel")
    shortcut = rig.simulator.uses_shortcut("ana", card)
    told = await rig.simulator.wait_for(lambda: rig.simulator.whispers if len(rig.simulator.whispers) == 3 else None)
    await rig.simulator.wait_for(lambda: slash.acked and press.acked and shortcut.acked)
    for whisper in told:
        assert whisper.text.startswith("I couldn't save that (ref `")
        assert whisper.text.endswith("Nothing was filed. Please try again in a minute.")
        assert "secret" not in whisper.text
        assert whisper.user == rig.simulator.user("ana").id
    assert rig.inbox.said == []


# --- Out --------------------------------------------------------------------------------------------------------------


async def test_a_card_becomes_the_root_and_is_edited(rig: Rig) -> None:
    message = await posted(rig)
    (sent,) = rig.simulator.sent
    assert (message.message_id, message.thread.root) == (sent.ts, sent.ts)
    assert {block["type"] for block in sent.blocks} == {"section", "plan", "actions"}
    done = CARD.model_copy(update={"summary": "CT-1: done", "buttons": ()})
    assert await rig.platform.edit(message, done, "k2" * 12) == message
    (edit,) = rig.simulator.edits
    assert edit.text == "CT-1: done"
    assert [block["type"] for block in edit.blocks] == ["section", "plan"]


async def test_who_comes_after_the_end_is_told_to_come_again_and_nothing_is_opened(rig: Rig) -> None:
    await rig.end()
    await rig.platform.aclose()
    late = await rig.platform.post(place(rig), CARD, KEY)
    assert isinstance(late, Retry) and not late.maybe_done, "nothing was sent, so nothing is looked for"
    assert rig.simulator.sent == []


async def test_a_reply_lands_in_its_thread_and_is_read_back(rig: Rig) -> None:
    root = rig.simulator.user_says("ana", "!codetask fix it", "dev")
    reply = await rig.platform.post(place(rig, root=root.ts), Doc(text="on it", mention=person(rig)), KEY)
    assert isinstance(reply, MessageRef)
    assert reply.thread.root == root.ts
    thread = await rig.platform.history(place(rig, root=root.ts), None, 50)
    assert isinstance(thread, list)
    asked, answered = thread
    assert isinstance(asked.event, Command)
    assert (asked.event.text, asked.own) == ("fix it", False)
    assert (answered.own, answered.delivery_key, answered.event) == (True, KEY, None)
    (live,) = await rig.seen()
    assert asked.event.key == live.key


async def test_a_channel_is_read_oldest_first_beyond_one_page(rig: Rig) -> None:
    said = [rig.simulator.user_says("ana", f"message {number}", "dev") for number in range(230)]
    found = await rig.platform.history(place(rig), None, 500)
    assert isinstance(found, list)
    assert [past.message.message_id for past in found] == [message.ts for message in said]
    after = found[99].message.sent_at
    later = await rig.platform.history(place(rig), after, 10)
    assert isinstance(later, list)
    assert [past.message.text for past in later] == [f"message {number}" for number in range(100, 110)]
    latest = await rig.platform.history(place(rig), None, 3)
    assert isinstance(latest, list)
    assert [past.message.text for past in latest] == ["message 227", "message 228", "message 229"]


async def test_reactions_already_so_are_success(rig: Rig) -> None:
    message = await posted(rig)
    for _ in range(2):
        assert await rig.platform.react(message, "seen", True, KEY) == message
    assert [(reacted.name, reacted.added) for reacted in rig.simulator.reactions] == [("eyes", True)]
    for _ in range(2):
        assert await rig.platform.react(message, "seen", False, KEY) == message


async def test_a_whisper_uses_the_reply_token_while_it_lives(rig: Rig) -> None:
    rig.simulator.runs_command("ana", "/codetask list", "lounge")  # the bot is not in #lounge
    (event,) = await rig.seen()
    assert isinstance(event, Command)
    to = event.thread
    for number in range(5):
        assert isinstance(
            await rig.platform.whisper(event.person, to, Doc(text=f"{number}"), event.reply_token, KEY), MessageRef
        )
    assert [whisper.via for whisper in rig.simulator.whispers] == ["response_url"] * 5
    refused = await rig.platform.whisper(event.person, to, Doc(text="again"), event.reply_token, KEY)
    assert isinstance(refused, NotAllowed | Gone | MessageRef)


async def test_an_expired_reply_token_is_replaced_by_the_bot_token(rig: Rig) -> None:
    rig.simulator.runs_command("ana", "/codetask list", "dev")
    (event,) = await rig.seen()
    assert isinstance(event, Command)
    rig.simulator.advance(timedelta(minutes=31))
    assert isinstance(event.reply_token, ReplyToken)
    told = await rig.platform.whisper(event.person, event.thread, Doc(text="late"), event.reply_token, KEY)
    assert isinstance(told, MessageRef)
    (whisper,) = rig.simulator.whispers
    assert (whisper.via, whisper.shown, whisper.text) == ("chat.postEphemeral", True, "late")


async def test_a_whisper_is_shown_whether_the_thread_has_replies_or_not(rig: Rig) -> None:
    root = rig.simulator.user_says("ana", "hello", "dev")
    await rig.platform.whisper(person(rig), place(rig, root=root.ts), Doc(text="one"), None, KEY)
    rig.simulator.user_says("bo", "a reply", "dev", thread_ts=root.ts)
    await rig.platform.whisper(person(rig), place(rig, root=root.ts), Doc(text="two"), None, KEY)
    one, two = rig.simulator.whispers
    assert (one.shown, one.thread_ts) == (True, None)
    assert (two.shown, two.thread_ts) == (True, root.ts)


async def test_a_whisper_reaches_someone_whose_channel_is_gone(rig: Rig) -> None:
    rig.simulator.archives_channel("dev")
    told = await rig.platform.whisper(person(rig), place(rig), Doc(text="#dev was archived"), None, KEY)
    assert isinstance(told, MessageRef)
    assert told.thread.channel_id == rig.simulator.direct("ana").id


async def test_people_are_described_once(rig: Rig) -> None:
    ana, bo, gus = [await rig.platform.resolve(person(rig, name)) for name in ("ana", "bo", "gus")]
    assert isinstance(ana, Person)
    assert isinstance(bo, Person)
    assert isinstance(gus, Person)
    assert ana.roles == {"owner", "admin", "member"}
    assert (bo.roles, bo.timezone, bo.kind) == ({"member"}, "America/New_York", "human")
    assert (gus.roles, gus.kind) == (frozenset(), "guest")
    cy = await rig.platform.resolve(person(rig, "cy"))
    assert isinstance(cy, Person)
    assert cy.locale == "zh-CN"
    before = len(rig.simulator.calls("users.info"))
    assert await rig.platform.resolve(person(rig, "ana")) == ana
    assert len(rig.simulator.calls("users.info")) == before
    rig.simulator.advance(timedelta(minutes=11))
    rig.simulator.fail_next("users.info", error="internal_error")
    assert await rig.platform.resolve(person(rig, "ana")) == ana
    stranger = person(rig).model_copy(update={"id": "U0NOBODY"})
    assert await rig.platform.resolve(stranger) == stranger


async def test_user_groups_are_roles(rig: Rig) -> None:
    group = rig.simulator.usergroup("engineering", "bo", "gus")
    bo, gus, cy = [await rig.platform.resolve(person(rig, name)) for name in ("bo", "gus", "cy")]
    assert isinstance(bo, Person) and bo.roles == {"member", group}
    assert isinstance(gus, Person) and gus.roles == frozenset(), "a guest has what is listed for them alone"
    assert isinstance(cy, Person) and group not in cy.roles
    assert len(rig.simulator.calls("usergroups.list")) == 1
    rig.simulator.usergroup("engineering", "cy")
    rig.simulator.advance(timedelta(minutes=11))
    bo, cy = [await rig.platform.resolve(person(rig, name)) for name in ("bo", "cy")]
    assert isinstance(bo, Person) and bo.roles == {"member"}
    assert isinstance(cy, Person) and group in cy.roles


async def test_without_the_scope_nobody_is_in_a_group(rig: Rig) -> None:
    rig.simulator.usergroup("engineering", "bo")
    rig.simulator.revoke_scope("usergroups:read")
    bo = await rig.platform.resolve(person(rig, "bo"))
    assert isinstance(bo, Person) and bo.roles == {"member"}


async def test_groups_that_slack_cannot_tell_now_are_not_taken_for_none(rig: Rig) -> None:
    group = rig.simulator.usergroup("engineering", "bo")
    rig.simulator.fail_next("usergroups.list", status=500, times=2)
    assert isinstance(await rig.platform.resolve(person(rig, "bo")), Retry)
    rig.simulator.heal()
    bo = await rig.platform.resolve(person(rig, "bo"))
    assert isinstance(bo, Person) and group in bo.roles
    rig.simulator.advance(timedelta(minutes=11))
    rig.simulator.fail_next("usergroups.list", status=500, times=2)
    again = await rig.platform.resolve(person(rig, "bo"))
    assert isinstance(again, Person) and group in again.roles, "what was known before counts"


async def test_whoever_left_the_workspace_has_no_role_there(rig: Rig) -> None:
    rig.simulator.user("ana").deleted = True
    ana = await rig.platform.resolve(person(rig, "ana"))
    assert isinstance(ana, Person)
    assert (ana.kind, ana.roles) == ("external", frozenset())


@pytest.mark.parametrize("fault", [{"status": 429, "retry_after": 1}, {"status": 500}, {"error": "invalid_auth"}])
async def test_a_person_whom_slack_cannot_describe_now_is_unknown(rig: Rig, fault: dict[str, Any]) -> None:
    rig.simulator.fail_next("users.info", **fault, times=2)
    told = await rig.platform.resolve(person(rig, "ana"))
    assert isinstance(told, Retry)
    rig.simulator.heal()
    known = await rig.platform.resolve(person(rig, "ana"))
    assert isinstance(known, Person)
    assert "owner" in known.roles


async def test_nothing_is_read_back_before_the_bot_knows_who_it_is(simulator: SlackSimulator) -> None:
    async with rigged(simulator) as rig:
        scope, message = place(rig), await posted(rig)
    async with rigged(simulator, start=False) as again:
        assert isinstance(await again.platform.history(scope, None, 10), Retry)
        assert isinstance(await again.platform.channels(), Retry)
        await again.platform.preflight()
        found = await again.platform.history(scope, None, 10)
        assert not isinstance(found, Retry)
        (past,) = [past for past in found if past.message.message_id == message.message_id]
        assert (past.own, past.delivery_key) == (True, KEY)


async def test_permalinks(rig: Rig) -> None:
    message = await posted(rig)
    link = await rig.platform.permalink(message)
    assert link is not None
    assert link.startswith("https://")
    assert await rig.platform.permalink(message.model_copy(update={"message_id": "1.000001"})) is None


# --- Trouble ----------------------------------------------------------------------------------------------------------


async def test_a_rate_limit_is_told_not_waited_for(rig: Rig) -> None:
    rig.simulator.fail_next("chat.postMessage", status=429, retry_after=30)
    assert await rig.platform.post(place(rig), CARD, KEY) == Retry(timedelta(seconds=30), False, "ratelimited")
    assert len(rig.simulator.calls("chat.postMessage")) == 1


async def test_a_post_dropped_after_sending_is_unknown_and_found_by_its_key(rig: Rig) -> None:
    rig.simulator.fail_next("chat.postMessage", drop_after_commit=True)
    unknown = await rig.platform.post(place(rig), CARD, KEY)
    assert isinstance(unknown, Retry)
    assert unknown.maybe_done
    assert len(rig.simulator.sent) == 1
    found = await rig.platform.history(place(rig), None, 10)
    assert isinstance(found, list)
    assert [past.delivery_key for past in found] == [KEY]


async def test_where_the_bot_may_not_speak(rig: Rig) -> None:
    refused = await rig.platform.post(place(rig, "lounge"), CARD, KEY)
    assert isinstance(refused, NotAllowed)
    assert "/invite" in refused.fix
    rig.simulator.archives_channel("dev")
    assert await rig.platform.post(place(rig), CARD, KEY) == Gone("channel", "is_archived")


async def test_a_lost_card_is_gone(rig: Rig) -> None:
    message = await posted(rig)
    rig.simulator.user_deletes(rig.simulator.sent[0])
    assert await rig.platform.edit(message, CARD, KEY) == Gone("message", "message_not_found")


async def test_a_missing_scope_names_itself(rig: Rig) -> None:
    message = await posted(rig)
    rig.simulator.revoke_scope("reactions:write")
    refused = await rig.platform.react(message, "seen", True, KEY)
    assert isinstance(refused, NotAllowed)
    assert "reactions:write" in refused.fix


async def test_a_workspace_without_plan_blocks_gets_lines_from_then_on(rig: Rig) -> None:
    rig.simulator.fail_next("chat.postMessage", error="invalid_blocks")
    message = await posted(rig)
    assert "plan" not in {block["type"] for block in rig.simulator.sent[0].blocks}
    await rig.platform.edit(message, CARD, "k2" * 12)
    assert "plan" not in {block["type"] for block in rig.simulator.edits[0].blocks}
    assert len(rig.simulator.calls("chat.update")) == 1


async def test_blocks_refused_twice_are_our_bug_and_the_plan_is_tried_again(rig: Rig) -> None:
    rig.simulator.fail_next("chat.postMessage", error="invalid_blocks", times=2)
    assert await rig.platform.post(place(rig), CARD, KEY) == Unsendable("invalid_blocks")
    await posted(rig)
    assert "plan" in {block["type"] for block in rig.simulator.sent[0].blocks}


# --- Many and odd -----------------------------------------------------------------------------------------------------


async def test_a_slow_inbox_delays_nobody_else(rig: Rig) -> None:
    rig.inbox.gate.clear()
    commands = [rig.simulator.runs_command("ana", f"/codetask thing number {number}", "dev") for number in range(5)]
    await rig.inbox.until(lambda: rig.inbox.waiting == 5)
    rig.inbox.gate.set()
    await rig.simulator.wait_for(lambda: all(command.acked for command in commands))
    assert len(rig.inbox.said) == 5


async def test_one_event_many_times_is_one_row(rig: Rig) -> None:
    message = rig.simulator.user_says("ana", "!codetask fix it", "dev")
    (delivery,) = rig.simulator.redeliver(message, times=200)
    await rig.simulator.wait_for(
        lambda: len(delivery.attempts) == 201 and all(a.answered for a in delivery.attempts), 20
    )
    assert len(rig.inbox.said) == 1


async def test_unknown_and_broken_payloads_are_acked(rig: Rig) -> None:
    rig.simulator.opens_home("ana")
    await rig.simulator.wait_for(lambda: all(delivery.acked for delivery in rig.simulator.deliveries))
    assert rig.inbox.said == []
    assert not any(isinstance(event, Unreadable) for event in rig.inbox.events)


async def test_health_says_when_slack_was_last_heard(rig: Rig) -> None:
    assert rig.platform.health().state == "ready"
    assert rig.platform.health().last_inbound_at is None
    rig.simulator.user_says("ana", "hello", "dev")
    await rig.seen()
    assert rig.platform.health().last_inbound_at is not None


async def test_stop_is_quick_and_leaves_nothing(rig: Rig) -> None:
    rig.inbox.gate.clear()
    rig.simulator.runs_command("ana", "/codetask add a CSV export", "dev")
    await rig.inbox.until(lambda: rig.inbox.waiting == 1)
    stopping = asyncio.create_task(rig.end())
    rig.inbox.gate.set()
    assert await stopping is None
    await rig.simulator.wait_for(lambda: not rig.simulator.connections)
    await rig.start()
    rig.simulator.user_says("ana", "hello again", "dev")
    await rig.seen(2)
