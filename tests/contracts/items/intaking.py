"""An ordinary request becomes a suggestion and then a code task, in its own thread: items 6, 8, 30."""

from datetime import timedelta
from typing import Any, Final

from tests.contracts.items.register import item
from tests.contracts.replica import Replica
from tests.contracts.rig import Post, Rig, Said

WISH: Final = "Feature request: please add a CSV export button to the invoices page"
LOUDER: Final = "Feature request: please add a CSV and an Excel export button to the invoices page"
ON: Final[dict[str, Any]] = {"features": ("codetasks", "intake")}
FILE: Final = "File as code task"


async def suggested(rig: Rig, said: Said) -> Post:
    """The line under a message, once what its author says has come together."""
    await rig.acked(*rig.deliveries(said))
    await rig.settle()
    await rig.advance(timedelta(seconds=100))
    post = await rig.until(lambda: next((one for one in rig.posts if FILE in one.buttons), None))
    await rig.settle()
    return post


async def listening(rig: Rig) -> Replica:
    app = await rig.start(**ON)
    rig.mention("ana", "settings intake suggest")
    await rig.settle()
    return app


@item(6)
async def an_ordinary_request_is_suggested_and_filed_in_its_thread(rig: Rig) -> None:
    app = await listening(rig)
    said = rig.say("bo", WISH)
    line = await suggested(rig, said)
    assert (line.root, len(line.buttons)) == (said.root, 4), "nothing is there yet that it could be the same as"
    assert [where for where, _ in rig.marks] == [said.id]
    assert rig.pings(line) == set()
    rig.redeliver(said)
    rig.press("bo", line, FILE)
    await rig.settle()
    rig.react("ana", said, "bulb")
    if "shortcut" in rig.doors:
        rig.shortcut("cy", said)
    await rig.settle()
    (task,) = await app.tasks()
    assert (task.description, task.requester_id) == (WISH, rig.person("bo").id)
    card = await rig.card("CT-1")
    assert card.root == said.root
    (line,) = [one for one in rig.posts if one.id == line.id]
    assert "CT-1" in line.text
    assert FILE not in line.buttons
    assert len(rig.posts) <= 3, "the notice of the channel, the line, the card"


@item(8)
async def the_line_follows_the_message_and_a_stale_press_does_nothing(rig: Rig) -> None:
    app = await listening(rig)
    kept = rig.say("bo", WISH)
    line = await suggested(rig, kept)
    rig.edit(kept, LOUDER)
    await rig.settle()
    rig.press("bo", line, FILE)
    await rig.settle()
    assert await app.tasks() == [], "the text that was pressed is not there any more"
    (now,) = [one for one in rig.posts if one.id == line.id]
    assert "Excel" in now.text
    rig.delete(kept)
    await rig.settle()
    rig.press("bo", now, FILE)
    await rig.settle()
    (gone,) = [one for one in rig.posts if one.id == line.id]
    assert (gone.buttons, "CSV" in gone.text) == ((), False)
    assert await app.tasks() == []


@item(30)
async def the_text_of_a_suggestion_is_edited_in_a_form_that_holds_it(rig: Rig) -> None:
    app = await listening(rig)
    line = await suggested(rig, rig.say("bo", WISH))
    form = await rig.open_form("bo", line, "Edit")
    if form is None:
        await rig.settle()
        assert "edit RQ-1" in rig.whispers[-1].text
        rig.mention("bo", f"edit RQ-1 {LOUDER}")
    else:
        assert WISH in str(rig.form_opens_with(form))
        await rig.acked(rig.submit_form("bo", form, {"text": LOUDER}))
    await rig.settle()
    (now,) = [one for one in rig.posts if one.id == line.id]
    assert "Excel" in now.text
    rig.press("bo", now, FILE)
    await rig.settle()
    (task,) = await app.tasks()
    assert task.description == LOUDER


@item(6)
async def a_reaction_files_a_message_once_whoever_adds_it(rig: Rig) -> None:
    app = await rig.start(**ON)
    said = rig.say("bo", WISH, "dev")
    await rig.settle()
    for who in ("ana", "cy"):
        rig.react(who, said, "bulb")
        await rig.settle()
    (task,) = await app.tasks()
    assert (task.description, task.requester_id) == (WISH, rig.person("bo").id), "who wrote it, as they may file"
    assert (await rig.card("CT-1")).root == said.root
    assert len(rig.posts) == 1
