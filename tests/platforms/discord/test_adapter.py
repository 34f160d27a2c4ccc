"""The adapter on the simulator: what arrives, what is sent, and what Discord's refusals become."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from bot.core.cards import Button, Card, Doc, Step
from bot.core.inbound import BotAdded, ButtonPress, Command, FormSent, Message, MessageDeleted, MessageEdited, Reaction
from bot.ports import AuthFailed, Gone, Identity, NotAllowed, Retry, Unsendable
from platforms.discord.setup import build_manifest, fingerprint
from platforms.discord.simulator import DiscordSimulator, buttons
from tests.platforms.discord.rig import HEARTBEAT, Rig, posted, rigged

KEY = "abcdefghijklmnopqrstuvwx"
WISH = "Add a CSV export to the report"
CARD = Card(
    key="CT-1",
    title="CT-1 Add a CSV export",
    summary="CT-1 queued",
    steps=(Step(label="Queued", state="done"), Step(label="Writing the change", state="active", detail="2 min")),
    body="Reading **contacts**",
    buttons=(
        Button(label="Cancel", name="Cancel CT-1", value="codetask:cancel:CT-1", confirm="Cancel CT-1?"),
        Button(label="Details", name="Details of CT-1", value="codetask:details:CT-1"),
    ),
    foot="CT-1#1 · worker-1",
)


@pytest.fixture
def simulator() -> Iterator[DiscordSimulator]:
    with DiscordSimulator(seed=5, heartbeat=HEARTBEAT) as running:
        yield running


@pytest.fixture
async def rig(simulator: DiscordSimulator) -> AsyncIterator[Rig]:
    async with rigged(simulator) as running:
        yield running


async def test_a_mention_in_a_channel_is_a_command_that_starts_a_thread_of_its_own(rig: Rig) -> None:
    said = rig.simulator.user_mentions("ana", WISH, "dev")
    (event,) = await rig.seen()
    assert isinstance(event, Command)
    assert (event.door, event.text, event.person.id) == ("mention", WISH, rig.person("ana").id)
    assert event.thread == rig.place("dev", said.id)
    assert (event.message_id, event.in_thread, event.command) == (said.id, False, "codetask")


async def test_a_bang_in_a_thread_names_the_channel_the_root_and_the_thread(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    thread = rig.simulator.starts_thread("bo", root)
    rig.simulator.user_says("ana", f"!codetask {WISH}", thread)
    command = next(event for event in await rig.seen(2) if isinstance(event, Command))
    assert command.thread == rig.place("dev", root.id, thread.id)
    assert (command.door, command.text, command.in_thread) == ("bang", WISH, True)


async def test_a_slash_command_is_stored_answered_and_has_no_root(rig: Rig) -> None:
    sent = rig.command("ana", WISH, options={"repo": "web", "draft": True})
    (event,) = await rig.seen()
    assert isinstance(event, Command)
    assert (event.door, event.text) == ("slash", f"--repo=web --draft -- {WISH}")
    assert event.thread == rig.place("dev")
    await rig.simulator.wait_for(lambda: sent.acked)
    assert sent.whisper is not None
    assert rig.shown(sent.whisper) == "On it."


async def test_a_slash_command_in_a_thread_is_of_that_thread(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    thread = rig.simulator.starts_thread("bo", root)
    rig.simulator.runs_command("ana", "/codetask status", {}, thread)
    command = next(event for event in await rig.seen(2) if isinstance(event, Command))
    assert (command.text, command.thread) == ("status", rig.place("dev", root.id, thread.id))


async def test_the_menu_takes_the_message_it_was_opened_on(rig: Rig) -> None:
    said = rig.simulator.user_says("bo", "The export is broken", "dev")
    rig.simulator.uses_menu("ana", said, "File as code task")
    rig.simulator.uses_menu("ana", said, "Follow up later")
    first, second = [event for event in await rig.seen(3) if isinstance(event, Command)]
    assert (first.door, first.text, first.command) == ("shortcut", "The export is broken", "codetask")
    assert (first.message_id, first.author and first.author.id) == (said.id, rig.person("bo").id)
    assert first.thread == rig.place("dev", said.id)
    assert second.command == "followup"


async def test_edits_deletes_and_reactions_arrive_and_previews_do_not(rig: Rig) -> None:
    said = rig.simulator.user_says("ana", "hello", "dev")
    rig.simulator.unfurl(said)
    rig.simulator.user_edits(said, "hello you")
    rig.simulator.reacts("bo", said, "👀")
    rig.simulator.user_deletes(said)
    kinds = [type(event) for event in await rig.seen(4)]
    assert sorted(kind.__name__ for kind in kinds) == sorted(
        kind.__name__ for kind in (Message, MessageEdited, Reaction, MessageDeleted)
    )


async def test_being_let_into_a_channel_is_told_once(rig: Rig) -> None:
    rig.simulator.adds_bot("lounge")
    (event,) = await rig.seen()
    assert isinstance(event, BotAdded)
    assert event.thread == rig.place("lounge")


async def test_a_card_becomes_the_root_of_a_thread_and_is_edited_in_place(rig: Rig) -> None:
    sent = posted(await rig.platform.post(rig.place(), CARD, KEY))
    assert sent.thread == rig.place("dev", sent.message_id, sent.message_id)
    (thread,) = rig.simulator.threads
    assert (thread.id, thread.name) == (sent.message_id, "CT-1 Add a CSV export")
    done = CARD.model_copy(update={"body": "Done"})
    assert await rig.platform.edit(sent, done, "b" * 24) == sent
    (message,) = rig.simulator.sent
    assert "Done" in rig.shown(message)
    assert [one.label for one in buttons(message)] == ["Cancel", "Details"]


async def test_a_reply_opens_the_thread_of_its_root_once(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    for number in range(2):
        sent = posted(
            await rig.platform.post(
                rig.place("dev", root.id), Doc(text=f"reply {number}", topic="Export"), f"{number + 2}" * 24
            )
        )
        assert sent.thread == rig.place("dev", root.id, root.id)
    assert [rig.shown(one) for one in rig.simulator.said_in(root.id)] == ["reply 0", "reply 1"]
    assert [thread.name for thread in rig.simulator.threads] == ["Export"]


async def test_a_thread_that_someone_else_opened_is_used(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    rig.simulator.starts_thread("bo", root, "Theirs")
    posted(await rig.platform.post(rig.place("dev", root.id), Doc(text="reply"), KEY))
    assert [thread.name for thread in rig.simulator.threads] == ["Theirs"]
    assert [rig.shown(one) for one in rig.simulator.said_in(root.id)] == ["reply"]


async def test_an_archived_thread_is_opened_again(rig: Rig) -> None:
    sent = posted(await rig.platform.post(rig.place(), CARD, KEY))
    reply = posted(await rig.platform.post(sent.thread, Doc(text="one"), "c" * 24))
    rig.simulator.archives_thread(sent.message_id)
    assert posted(await rig.platform.edit(reply, Doc(text="two"), "d" * 24)) == reply
    posted(await rig.platform.post(sent.thread, Doc(text="three"), "e" * 24))
    assert [rig.shown(one) for one in rig.simulator.said_in(sent.message_id)] == ["two", "three"]


async def test_the_same_key_posts_once(rig: Rig) -> None:
    rig.simulator.fail_next("create_message", drop_after_commit=True)
    lost = await rig.platform.post(rig.place(), Doc(text="once"), KEY)
    assert isinstance(lost, Retry)
    assert lost.maybe_done
    posted(await rig.platform.post(rig.place(), Doc(text="once"), KEY))
    assert [rig.shown(one) for one in rig.simulator.sent] == ["once"]


async def test_a_long_document_becomes_several_messages(rig: Rig) -> None:
    text = "\n\n".join(f"Paragraph {number} " + "word " * 150 for number in range(20))
    sent = posted(await rig.platform.post(rig.place(), Doc(text=text, mention=rig.person("ana")), KEY))
    posted(await rig.platform.post(rig.place(), Doc(text=text, mention=rig.person("ana")), KEY))
    messages = rig.simulator.sent
    assert len(messages) > 3
    assert messages[0].id == sent.message_id
    assert [rig.simulator.pings(one) for one in messages] == [{"ana"}] + [frozenset()] * (len(messages) - 1)
    assert "".join(rig.shown(one) for one in messages).count("Paragraph") == 20


async def test_marks_are_added_and_taken_away_twice(rig: Rig) -> None:
    sent = posted(await rig.platform.post(rig.place(), CARD, KEY))
    for on in (True, True, False, False):
        assert await rig.platform.react(sent, "done", on, KEY) == sent
    assert [(one.name, one.added) for one in rig.simulator.reactions] == [("✅", True), ("✅", False)]


async def test_a_button_is_pressed_and_answered_in_private(rig: Rig) -> None:
    sent = posted(await rig.platform.post(rig.place(), CARD, KEY))
    press = rig.simulator.clicks("ana", rig.simulator.sent[0], "Details")
    (event,) = await rig.seen()
    assert isinstance(event, ButtonPress)
    assert (event.value, event.message_id) == ("codetask:details:CT-1", sent.message_id)
    assert event.thread == rig.place("dev", sent.message_id)
    await rig.simulator.wait_for(lambda: press.acked)
    assert press.answers == []
    posted(await rig.platform.whisper(rig.person(), event.thread, Doc(text="only you"), event.reply_token, KEY))
    assert press.whisper is not None
    assert rig.shown(press.whisper) == "only you"


async def test_a_button_that_asks_first_counts_only_after_the_answer(rig: Rig) -> None:
    await rig.platform.post(rig.place(), CARD, KEY)
    press = rig.simulator.clicks("ana", rig.simulator.sent[0], "Cancel")
    asked = await rig.simulator.wait_for(lambda: press.whisper)
    assert "Cancel CT-1?" in rig.shown(asked)
    assert rig.inbox.said == []
    no = rig.simulator.clicks("ana", asked, "Not now")
    await rig.simulator.wait_for(lambda: no.acked)
    assert rig.shown(asked) == "Nothing was changed."
    again = rig.simulator.clicks("ana", rig.simulator.sent[0], "Cancel")
    question = await rig.simulator.wait_for(lambda: again.whisper)
    yes = rig.simulator.clicks("ana", question, "Cancel CT-1")
    (event,) = await rig.seen()
    assert isinstance(event, ButtonPress)
    assert event.value == "codetask:cancel:CT-1"
    await rig.simulator.wait_for(lambda: yes.acked)
    posted(
        await rig.platform.whisper(rig.person(), event.thread, Doc(text="CT-1 is cancelled."), event.reply_token, KEY)
    )
    assert rig.shown(question) == "CT-1 is cancelled."


async def test_buttons_survive_a_restart(rig: Rig) -> None:
    await rig.platform.post(rig.place(), CARD, KEY)
    await rig.end()
    await rig.start()
    press = rig.simulator.clicks("bo", rig.simulator.sent[0], "Details")
    (event,) = await rig.seen()
    assert isinstance(event, ButtonPress)
    await rig.simulator.wait_for(lambda: press.acked)


async def test_completions_come_from_the_core(rig: Rig) -> None:
    typed = rig.simulator.types_choice("ana", "/codetask new", "repo", "we", "dev", options={"text": "x"})
    await rig.simulator.wait_for(lambda: typed.acked)
    assert len(typed.choices) == 25
    assert typed.choices[0] == {"name": "repo we 0", "value": "0"}


async def test_an_event_that_cannot_be_stored_is_answered_with_a_reference(rig: Rig) -> None:
    rig.inbox.down = True
    sent = rig.command("ana", WISH)
    await rig.simulator.wait_for(lambda: sent.acked)
    assert sent.whisper is not None
    assert "couldn't save that (ref `k7f2`). Nothing was filed." in rig.shown(sent.whisper)
    said = rig.simulator.user_mentions("bo", WISH, "dev")
    await rig.inbox.until(lambda: True)
    rig.inbox.down = False
    (event,) = await rig.seen()
    assert isinstance(event, Command)
    assert event.message_id == said.id


async def test_a_whisper_takes_the_place_of_the_first_answer_and_more_follow(rig: Rig) -> None:
    sent = rig.command("ana", WISH)
    (event,) = await rig.seen()
    assert isinstance(event, Command)
    await rig.simulator.wait_for(lambda: sent.acked)
    for number in (1, 2):
        posted(
            await rig.platform.whisper(
                rig.person(), event.thread, Doc(text=f"answer {number}"), event.reply_token, f"{number + 1}" * 24
            )
        )
    assert [rig.shown(one) for one in sent.answers] == ["answer 1", "answer 2"]


async def test_without_a_token_a_whisper_is_a_direct_message_and_where_that_is_refused_a_reply(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    doc = Doc(text="only you")
    posted(await rig.platform.whisper(rig.person("ana"), rig.place("dev", root.id), doc, None, KEY))
    assert [rig.shown(one) for one in rig.simulator.said_in(rig.simulator.direct("ana"))] == ["only you"]
    rig.simulator.user_accepts_messages("bo", False)
    told = posted(await rig.platform.whisper(rig.person("bo"), rig.place("dev", root.id), doc, None, "b" * 24))
    (reply,) = rig.simulator.said_in(root.id)
    assert reply.id == told.message_id
    assert rig.simulator.pings(reply) == {"bo"}
    assert "only you" not in rig.shown(reply)


async def test_an_expired_token_goes_by_direct_message(rig: Rig) -> None:
    rig.command("ana", WISH)
    (event,) = await rig.seen()
    assert isinstance(event, Command)
    rig.simulator.advance(timedelta(minutes=16))
    posted(await rig.platform.whisper(rig.person(), event.thread, Doc(text="late"), event.reply_token, KEY))
    assert [rig.shown(one) for one in rig.simulator.said_in(rig.simulator.direct("ana"))] == ["late"]


async def test_history_of_channel_and_thread_is_in_order_and_knows_own_messages(rig: Rig) -> None:
    start = rig.simulator.clock.now() - timedelta(seconds=5)
    first = rig.simulator.user_says("bo", "first", "dev")
    sent = posted(await rig.platform.post(rig.place("dev", first.id), Doc(text="reply"), KEY))
    rig.simulator.user_mentions("ana", WISH, first)
    last = rig.simulator.user_says("bo", "last", "dev")
    channel = await rig.platform.history(rig.place(), start, 100)
    assert isinstance(channel, list)
    assert [past.message.message_id for past in channel] == [first.id, last.id]
    assert [past.own for past in channel] == [False, False]
    thread = await rig.platform.history(sent.thread, start, 100)
    assert isinstance(thread, list)
    assert [past.own for past in thread if past.message.message_id != first.id] == [True, False]
    command = thread[-1].event
    assert isinstance(command, Command)
    assert (command.text, command.thread) == (WISH, sent.thread)
    assert await rig.platform.history(rig.place("dev", last.id), start, 10) == []


async def test_channels_are_those_the_bot_may_read_and_their_open_threads(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    rig.simulator.starts_thread("bo", root)
    found = await rig.platform.channels()
    assert isinstance(found, list)
    assert rig.place("general") in found
    assert rig.place("dev", root.id, root.id) in found
    assert rig.place("lounge") not in found


async def test_people_are_resolved_with_roles_and_kind(rig: Rig) -> None:
    ana, bo = await rig.platform.resolve(rig.person("ana")), await rig.platform.resolve(rig.person("bo"))
    assert not isinstance(ana, Retry)
    assert not isinstance(bo, Retry)
    assert {"owner", "member"} <= ana.roles
    assert "owner" not in bo.roles
    assert "member" in bo.roles
    stranger = rig.simulator.add_user("some", stranger=True)
    asked = rig.person("bo").model_copy(update={"id": stranger.id})
    outside = await rig.platform.resolve(asked)
    assert not isinstance(outside, Retry)
    assert (outside.kind, outside.roles) == ("external", frozenset())


async def test_the_commands_are_registered_once(rig: Rig) -> None:
    assert fingerprint(rig.simulator.commands) == fingerprint(build_manifest())
    await rig.end()
    await rig.start()
    assert len(rig.simulator.calls("bulk_set_application_commands")) == 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("10003", Gone("channel", "10003")),
        ("10008", Gone("message", "10008")),
        ("50013", NotAllowed),
        ("50001", NotAllowed),
        ("50035", Unsendable("50035")),
    ],
)
async def test_refusals_are_values(rig: Rig, code: str, expected: object) -> None:
    rig.simulator.fail_next("create_message", error=code)
    told = await rig.platform.post(rig.place(), Doc(text="x"), KEY)
    assert told == expected or (isinstance(expected, type) and isinstance(told, expected))


async def test_a_busy_platform_says_when_to_come_back_and_nothing_waits(rig: Rig) -> None:
    rig.simulator.fail_next("create_message", status=429, retry_after=20)
    told = await asyncio.wait_for(rig.platform.post(rig.place(), Doc(text="x"), KEY), 2)
    assert told == Retry(timedelta(seconds=20), why="ratelimited")


async def test_an_edit_beyond_the_budget_of_old_messages_is_gone(rig: Rig) -> None:
    rig.simulator.old_edits = 0
    sent = posted(await rig.platform.post(rig.place(), CARD, KEY))
    rig.simulator.advance(timedelta(hours=2))
    assert await rig.platform.edit(sent, CARD, "b" * 24) == Gone("message", "30046")


async def test_preflight_names_what_is_wrong(simulator: DiscordSimulator) -> None:
    async with rigged(simulator, start=False) as rig:
        found = await rig.platform.preflight()
        assert isinstance(found, Identity)
        assert (found.app_id, found.bot_user_id) == (simulator.app_id, simulator.bot_user_id)
        assert found.workspace_id == simulator.guild_id
        assert "message_content" in found.granted
        assert found.degraded == ""
        simulator.set_interactions_endpoint("https://example.com/interactions")
        refused = await rig.platform.preflight()
        assert isinstance(refused, NotAllowed)
        assert "Interactions Endpoint" in refused.fix
        simulator.revoke_token()
        refused = await rig.platform.preflight()
        assert isinstance(refused, AuthFailed)
        assert "DISCORD_TOKEN" in refused.fix


async def test_without_the_content_intent_it_still_runs_on_mentions(simulator: DiscordSimulator) -> None:
    simulator.revoke_intent()
    async with rigged(simulator) as rig:
        assert not rig.platform.capabilities.sees_all_messages
        found = await rig.platform.preflight()
        assert isinstance(found, Identity)
        assert "Message Content Intent" in found.degraded
        simulator.user_mentions("ana", WISH, "dev")
        (event,) = await rig.seen()
        assert isinstance(event, Command)
        assert event.text == WISH


async def test_stop_leaves_no_thread_and_no_task(simulator: DiscordSimulator) -> None:
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    async with rigged(simulator) as rig:
        rig.command("ana", WISH)
        await rig.seen()
    await simulator.wait_for(lambda: not simulator.connections)
    assert asyncio.all_tasks() - tasks == set()
    assert [one.name for one in set(threading.enumerate()) - threads if not one.name.startswith("asyncio_")] == []


async def test_a_form_is_read_field_by_field(rig: Rig) -> None:
    press = rig.simulator.shows_form(
        "ana",
        {
            "title": "Retry CT-1",
            "custom_id": "codetask:retry:CT-1",
            "components": [{"type": 1, "components": [{"type": 4, "custom_id": "note", "label": "Note", "style": 1}]}],
        },
    )
    rig.simulator.submits_form("ana", press, {"note": "use the other table"})
    (event,) = await rig.seen()
    assert isinstance(event, FormSent)
    assert (event.form, event.fields) == ("codetask:retry:CT-1", {"note": "use the other table"})
