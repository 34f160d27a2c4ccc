"""In order and at a bearable rate: items 20, 31."""

from datetime import timedelta
from itertools import pairwise
from typing import Final

from bot.core.cards import Card, Doc
from bot.core.tasks import Stage
from bot.store import Delivery
from tests.contracts.items.register import item
from tests.contracts.rig import Rig

WISH: Final = "Add a CSV export to the report"
SLACK_OF_CLOCKS: Final = timedelta(milliseconds=50)
"""The bot paces by the instant an answer came, the platform notes when a request came: they may differ by that much."""


@item(20)
async def a_hundred_updates_in_ten_seconds(rig: Rig) -> None:
    app = await rig.start()
    rig.mention("ana", WISH)
    await rig.settle()
    (task,) = await app.tasks()
    assert task.thread_id is not None
    began = rig.clock.now()
    for number in range(100):
        card = Card(key="CT-1", title=f"CT-1 {WISH}", summary=f"CT-1: step {number}", body=f"step {number} of 100")
        await app.send(task.thread_id, Delivery("edit", f"step:{number}", card, card_key="CT-1"))
        ahead = began + timedelta(seconds=(number + 1) / 10) - rig.clock.now()
        if ahead > timedelta(0):
            await rig.advance(ahead)
    await rig.settle()
    shown = [int(edit.text.rpartition(" ")[2]) for edit in rig.edits]
    assert shown == sorted(shown), "in order"
    assert shown[-1] == 99, "the last state is shown"
    times = [edit.at for edit in rig.edits]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) >= timedelta(seconds=1) - SLACK_OF_CLOCKS
    assert "step 99" in rig.posts[0].text


@item(31)
async def ten_minutes_of_silence_lose_nothing(rig: Rig) -> None:
    app = await rig.start()
    roots = [rig.say("bo", "Something is wrong", where) for where in ("general", "dev")]
    for root in roots:
        rig.mention("ana", f"{WISH} for {root.id}", root.channel, thread=root.root)
        await rig.settle(30)
    tasks = await app.tasks()
    cards = {post.id for post in rig.posts}
    assert len(cards) == 2
    rig.fail("any", "down", times=None)
    for number in range(5):
        for task in tasks:
            await app.reply(task.thread_id or 0, f"{task.ref}:{number}", Doc(text=f"{task.ref} says {number}"))
    await app.move(tasks[0].id or 0, Stage.RUNNING)
    gone = timedelta(0)
    while gone < timedelta(minutes=10):
        await rig.advance(timedelta(seconds=20))
        await app.wait_for_change(0.01)
        gone += timedelta(seconds=20)
    rig.heal()
    back = rig.clock.now()
    await rig.settle(60, timedelta(seconds=1))
    assert rig.clock.now() - back <= timedelta(minutes=2)
    assert await app.parked() == 0
    for task, root in zip(tasks, roots, strict=True):
        assert task.description.endswith(root.id)
        said = [post.text for post in rig.posts if post.root == root.root and post.id not in cards]
        assert said == [f"{task.ref} says {number}" for number in range(5)]
    assert any("Writing the change" in post.text for post in rig.posts)
