"""What arrives becomes the right thing, once: items 3, 5, 6, 8, 27, 29, 30."""

from datetime import timedelta
from typing import Final

from bot.core.inbound import Command, FormSent, Gap, Message
from bot.core.tasks import FailureReason, Stage
from tests.contracts.items.register import item
from tests.contracts.replica import Replica
from tests.contracts.rig import Post, Rig

WISH: Final = "Add a CSV export to the report"
NOTE: Final = "Retry with a note"
STRANGERS: Final = ("bot", "webhook", "guest", "external")


@item(3)
async def one_message_by_every_way_is_one_code_task(rig: Rig) -> None:
    app = await rig.start()
    said = rig.mention("ana", WISH)
    heard = rig.deliveries(said)
    assert heard
    await rig.acked(*heard)
    rig.redeliver(said, 3)
    await rig.settle()
    read_before = len(rig.calls("history"))
    rig.drop("server")
    if not rig.webhook:
        await rig.until(lambda: len(rig.calls("history")) > read_before)
    await rig.backfill()
    assert len(rig.calls("history")) > read_before
    rig.redeliver(said)
    await rig.settle()
    assert [task.description for task in await app.tasks()] == [WISH]
    assert len(rig.posts) == 1
    assert len([event for event in await app.events() if isinstance(event, Command)]) == 1


@item(5)
async def the_bots_own_words_are_not_heard(rig: Rig) -> None:
    app = await rig.start()
    rig.file("ana", WISH)
    await rig.settle()
    await app.move(1, Stage.RUNNING)
    await rig.settle()
    await rig.backfill()
    await rig.settle()
    assert rig.edits
    heard = [event for event in await app.events() if not isinstance(event, Gap)]
    assert [type(event) for event in heard] == [Command]
    assert len(await app.tasks()) == 1


@item(5)
async def only_people_may_file_unless_listed(rig: Rig) -> None:
    app = await rig.start()
    for kind in STRANGERS:
        who = rig.stranger(kind)
        rig.say(who, f"!codetask {WISH} by {who}")
        rig.mention(who, f"{WISH} again by {who}")
    await rig.settle(30)
    assert await app.tasks() == []
    assert rig.posts == []
    listed = [rig.person(f"some-{kind}").id for kind in STRANGERS]
    app = await rig.restart(filers=tuple(f"{rig.platform_name}:{one}" for one in listed))
    for kind in STRANGERS:
        rig.say(f"some-{kind}", f"!codetask {WISH} by some-{kind}")
    await rig.settle(30)
    assert {task.requester_id for task in await app.tasks()} == set(listed)


@item(6)
async def every_door_is_the_same_command(rig: Rig) -> None:
    app = await rig.start()
    root = rig.say("bo", "The export is broken")
    expected = {("mention", WISH), ("bang", f"{WISH} two"), ("mention", f"{WISH} in private")}
    rig.mention("ana", WISH)
    rig.say("ana", f"!codetask {WISH} two", thread=root.root)
    rig.direct("ana", f"{WISH} in private")
    if "slash" in rig.doors:
        rig.command("ana", f"{WISH} three")
        expected.add(("slash", f"{WISH} three"))
    if "shortcut" in rig.doors:
        rig.shortcut("ana", root)
        expected.add(("shortcut", "The export is broken"))
    await rig.settle(30)
    commands = [event for event in await app.events() if isinstance(event, Command)]
    assert {(event.door, event.text) for event in commands} == expected
    assert {event.person.id for event in commands} == {rig.person("ana").id}
    assert sorted(task.description for task in await app.tasks()) == sorted(text for _, text in expected)
    places = {event.door: event.thread for event in commands if event.door != "mention"}
    assert places["bang"].root == root.root
    if "slash" in places:
        assert places["slash"].root is None


@item(6)
async def a_message_with_everything_on_top_is_filed_once(rig: Rig) -> None:
    app = await rig.start()
    said = rig.mention("ana", WISH)
    for emoji in ("memo", "eyes"):
        rig.react("bo", said, emoji)
    if "shortcut" in rig.doors:
        rig.shortcut("ana", said)
        rig.shortcut("ana", said)
    await rig.settle()
    assert len(await app.tasks()) == 1
    assert len(rig.posts) == 1
    if "shortcut" in rig.doors:
        assert any("Already filed as CT-1" in one.text for one in rig.whispers)


@item(8)
async def edits_deletes_and_previews_start_nothing(rig: Rig) -> None:
    app = await rig.start()
    early, late = rig.say("ana", "Just saying hello"), rig.mention("ana", WISH)
    rig.edit(early, "Just saying hello to everyone")
    rig.unfurl(early)
    rig.unfurl(late)
    await rig.settle()
    rig.edit(late, f"{WISH} and more of it")
    rig.unfurl(late)
    rig.edit(late, f"{WISH} and more of it still")
    rig.delete(early)
    rig.delete(late)
    await rig.settle()
    assert [task.description for task in await app.tasks()] == [WISH]
    assert len(rig.posts) == 1
    events = {event.key: event for event in app.heard}.values()
    assert len([event for event in events if isinstance(event, Message | Command)]) == 2
    kinds = [event.kind for event in events]
    assert kinds.count("message_deleted") == 2
    assert kinds.count("message_edited") <= 3, "a preview is no edit"


@item(27)
async def the_whole_ladder_of_redeliveries_is_one_code_task(rig: Rig) -> None:
    app = await rig.start()
    said = rig.file("ana", WISH)
    await rig.settle()
    for wait in (15, 285, 3_300, 21_600, 400):
        await rig.advance(timedelta(seconds=wait))
        for one in rig.redeliver(said):
            await rig.acked(one)
        await rig.settle()
    assert len(await app.tasks()) == 1
    assert len(rig.posts) == 1


@item(27)
async def two_people_may_say_the_same(rig: Rig) -> None:
    app = await rig.start()
    rig.mention("ana", WISH)
    rig.mention("bo", WISH)
    await rig.settle()
    assert {task.requester_id for task in await app.tasks()} == {rig.person("ana").id, rig.person("bo").id}
    assert len(rig.posts) == 2


@item(29)
async def buttons_know_what_is_the_case_now(rig: Rig) -> None:
    app = await rig.start(filers=())
    rig.mention("ana", WISH)
    await rig.settle()
    card = await rig.card("CT-1")
    assert "Cancel" in card.buttons
    rig.press("bo", card, "Cancel")
    await rig.settle()
    assert [one.to for one in rig.whispers] == ["bo"]
    assert "You can't cancel CT-1" in rig.whispers[-1].text
    assert (await app.tasks())[0].stage is Stage.QUEUED
    app = await rig.restart(filers=())
    rig.press("ana", card, "Cancel")
    rig.press("ana", card, "Cancel")
    await rig.settle()
    (task,) = await app.tasks()
    assert task.is_cancelled
    answers = [one.text for one in rig.whispers if one.to == "ana"]
    assert sorted(answers) == ["CT-1 is already cancelled.", "CT-1 is cancelled."], "each press has its own answer"
    await app.move(1, Stage.MERGED)
    rig.press("ana", card, "Cancel")
    await rig.settle()
    assert "CT-1 is already merged" in rig.whispers[-1].text
    assert (await app.tasks())[0].stage is Stage.MERGED


async def a_failed_card(rig: Rig) -> tuple[Replica, Post]:
    """CT-1 of ana, failed."""
    app = await rig.start(filers=())
    rig.file("ana", WISH)
    await rig.settle()
    await app.move(1, Stage.FAILED, failure_reason=FailureReason.AGENT_FAILED)
    await rig.settle()
    card = await rig.card("CT-1")
    assert [label for label in card.buttons if label.startswith("Retry")] == ["Retry", NOTE]
    return app, card


@item(30)
async def a_form_opens_is_sent_once_and_may_be_cancelled(rig: Rig) -> None:
    app, card = await a_failed_card(rig)
    rows, told = await app.told(), len(rig.whispers)
    cancelled = await rig.open_form("ana", card, NOTE)
    if cancelled is None:
        await rig.settle()
        (hint,) = rig.whispers[told:]
        assert (hint.to, "retry CT-1 with …" in hint.text) == ("ana", True)
        assert (await app.tasks())[0].stage is Stage.FAILED
        return
    await rig.acked(rig.close_form("ana", cancelled))
    stale = await rig.open_form("ana", card, NOTE)
    filled = await rig.open_form("ana", card, NOTE)
    await rig.settle()
    assert (await app.told(), len(rig.whispers)) == (rows, told)
    await rig.acked(rig.submit_form("ana", filled, {"note": "use the other table"}))
    await rig.settle()
    (task,) = await app.tasks()
    assert (task.stage, task.instruction) == (Stage.QUEUED, "use the other table")
    await rig.acked(rig.submit_form("ana", stale, {"note": "and the first one again"}))
    await rig.settle()
    (task,) = await app.tasks()
    assert (task.stage, task.instruction) == (Stage.QUEUED, "use the other table")
    forms = [event for event in await app.events() if isinstance(event, FormSent)]
    assert [(one.fields["note"], one.person.id) for one in forms] == [
        ("use the other table", rig.person("ana").id),
        ("and the first one again", rig.person("ana").id),
    ]
    answers = [one.text for one in rig.whispers[told:] if one.to == "ana"]
    assert len(answers) == 2
    assert "CT-1 is queued again." in answers[0]
    assert "can't be retried" in answers[1]


@item(30)
async def a_form_counts_only_for_whom_it_may_and_when_it_is_stored(rig: Rig) -> None:
    app, card = await a_failed_card(rig)
    form = await rig.open_form("bo", card, NOTE)
    if form is None:
        await rig.settle()
        assert "You can't retry CT-1" in rig.whispers[-1].text
        return
    await rig.acked(rig.submit_form("bo", form, {"note": "mine now"}))
    await rig.settle()
    assert "You can't retry CT-1" in rig.whispers[-1].text
    assert (await app.tasks())[0].stage is Stage.FAILED
    form = await rig.open_form("ana", card, NOTE)
    async with app.locked():
        await rig.acked(rig.submit_form("ana", form, {"note": "lost"}))
    await rig.settle()
    assert len([event for event in await app.events() if isinstance(event, FormSent)]) == 1
    assert (await app.tasks())[0].stage is Stage.FAILED


@item(30)
async def completions_are_few_quick_and_never_an_error(rig: Rig) -> None:
    if not rig.completes:
        return
    many = {f"repo-{number:02}": {"url": f"file:///srv/{number}.git", "forge": "none"} for number in range(40)}
    app = await rig.start(repos=many)
    asked = rig.types_choice("ana", "repo", "repo-0")
    await rig.acked(asked)
    assert rig.choices_of(asked) == [f"repo-0{number}" for number in range(10)]
    everything = rig.types_choice("ana", "repo", "")
    await rig.acked(everything)
    assert len(rig.choices_of(everything) or []) == 25
    rig.mention("ana", f"--repo=repo-00 {WISH}")
    await rig.settle()
    for typed in ("csv", "ct-1", "#1", ""):
        id = rig.types_choice("ana", "id", typed)
        await rig.acked(id)
        assert rig.choices_of(id) == ["CT-1"], typed
    app.app.inbox._handler = _Slow()  # type: ignore[assignment]
    slow = rig.types_choice("ana", "repo", "")
    await rig.acked(slow)
    assert rig.choices_of(slow) == []
    assert max(slow.latencies) < 3.0


class _Slow:
    """Completions that never come."""

    async def choices(self, name: str, text: str, person: object, place: object = None) -> list[object]:
        import asyncio

        await asyncio.Event().wait()
        raise AssertionError

    async def handle(self, item: object) -> None:
        return

    async def give_up(self, item: object, ref: str) -> None:
        return
