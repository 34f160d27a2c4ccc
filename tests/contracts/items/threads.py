"""Answers land where the question was asked: items 7, 23, 24, 25."""

from datetime import timedelta
from typing import Final

from bot.core.tasks import FailureReason, Stage
from tests.contracts.items.register import item
from tests.contracts.items.storing import Never
from tests.contracts.rig import Rig

WISH: Final = "Add a CSV export to the report"


@item(7)
async def every_reply_lands_in_its_thread_also_after_a_restart(rig: Rig) -> None:
    app = await rig.start()
    root = rig.say("bo", "The export is broken")
    rig.mention("ana", WISH, thread=root.root)
    await rig.settle()
    rig.command("bo", f"{WISH} from nowhere", "dev")
    await rig.settle()
    threaded, rootless = await rig.card("CT-1"), await rig.card("CT-2")
    assert threaded.root == root.root
    assert (rootless.root is None) == ("slash" in rig.doors)
    home = rootless.root or rootless.id
    app = await rig.restart()
    for number in (1, 2):
        await app.move(number, Stage.RUNNING)
        await app.move(number, Stage.FAILED, failure_reason=FailureReason.NO_CHANGES, error="nothing to do")
    await rig.settle()
    replies = {post.root: post for post in rig.posts if post.id not in (threaded.id, rootless.id)}
    assert set(replies) == {root.root, home}
    assert "CT-1 failed" in replies[root.root].text
    assert "CT-2 failed" in replies[home].text
    rig.say("ana", "!codetask retry with the other table", thread=root.root)
    rig.say("bo", "!codetask cancel", "dev", thread=home)
    await rig.settle()
    stages = {task.id: task.stage for task in await app.tasks()}
    assert stages == {1: Stage.QUEUED, 2: Stage.FAILED}
    assert {edit.id for edit in rig.edits} == {threaded.id, rootless.id}


@item(7)
async def threads_are_found_by_root_and_native_id(rig: Rig) -> None:
    app = await rig.start()
    rig.mention("ana", WISH)
    await rig.settle()
    (task,) = await app.tasks()
    card = await rig.card("CT-1")
    root = card.root or card.id
    here = rig.place("general", root)
    found = await app.store.run(lambda tx: tx.threads.find(here), read=True)
    assert found is not None
    assert found.id == task.thread_id
    if found.ref.native:
        again = await app.store.run(
            lambda tx: tx.threads.find(here.model_copy(update={"root": None, "native": found.ref.native})), read=True
        )
        assert again is not None
        assert again.id == found.id
    elsewhere = rig.place("dev", root)
    assert await app.store.run(lambda tx: tx.threads.find(elsewhere), read=True) is None


@item(23)
async def an_expired_private_answer_goes_by_the_bot(rig: Rig) -> None:
    app = await rig.start()
    rig.mention("ana", WISH)
    await rig.settle()
    await rig.crash()
    rig.fail("private_answer", "down", times=None)
    app = await rig.start()
    rig.command("ana", "status CT-1")
    rig.press("bo", await rig.card("CT-1"), "Details")
    await rig.settle(30)
    assert await app.parked() == 0
    assert sorted(one.to for one in rig.whispers) == ["ana", "bo"]
    assert all("CT-1" in one.text for one in rig.whispers)


@item(23)
async def an_answer_that_comes_too_late_still_comes(rig: Rig) -> None:
    app = await rig.start()
    rig.mention("ana", WISH)
    await rig.settle()
    slash = rig.command("ana", "status CT-1")
    await rig.acked(slash)
    await rig.crash()
    shown = len(rig.whispers)
    app = await rig.start()
    await rig.settle()
    rig.fail("private_answer", "busy", after=1900)
    rig.command("ana", "list")
    await rig.settle()
    assert len(rig.whispers) > shown
    assert await app.parked() == 0


@item(23)
async def an_answer_after_its_right_expired_is_the_bots_own(rig: Rig) -> None:
    """31 minutes pass between the question and its handling: every platform's right to answer privately is gone."""
    app = await rig.start()
    root = rig.say("bo", "The export is broken")
    rig.mention("ana", WISH, thread=root.root)
    await rig.settle()
    card = await rig.card("CT-1")
    app.app.inbox._handler = Never()  # type: ignore[assignment]
    await rig.acked(rig.command("ana", "status CT-1"), rig.press("bo", card, "Details"))
    await rig.crash()
    tried, shown = len(rig.calls("private_answer")), len(rig.whispers)
    rig.move_clock(timedelta(minutes=31))
    app = await rig.start()
    await rig.settle(30)
    answers = {one.to: one for one in rig.whispers[shown:]}
    assert set(answers) == {"ana", "bo"}
    assert all("CT-1" in one.text for one in answers.values())
    assert len(rig.calls("private_answer")) == tried, "an expired right is not even tried"
    asked_in_thread = answers["bo"]
    assert asked_in_thread.root == root.root or asked_in_thread.channel != "general", "in the thread, or to them alone"
    assert await app.parked() == 0


@item(24)
async def a_bot_that_is_not_in_the_channel_asks_for_an_invitation(rig: Rig) -> None:
    app = await rig.start()
    if "slash" not in rig.doors:
        return
    rig.command("ana", WISH, "lounge")
    await rig.settle()
    assert rig.posts == []
    assert [one.to for one in rig.whispers] == ["ana"]
    assert "nvite" in rig.whispers[0].text
    rig.add_bot("lounge")
    await rig.settle()
    (task,) = await app.tasks()
    (card,) = rig.posts
    assert (card.channel, card.root) == ("lounge", None)
    assert task.ref in card.text
    await app.move(1, Stage.RUNNING)
    await rig.settle()
    assert {edit.id for edit in rig.edits} == {card.id}
    assert len(rig.whispers) == 1


@item(25)
async def a_lost_card_is_replaced_once(rig: Rig) -> None:
    app = await rig.start()
    rig.mention("ana", WISH)
    await rig.settle()
    lost = await rig.card("CT-1")
    rig.delete_post(lost)
    await app.move(1, Stage.RUNNING)
    await app.move(1, Stage.TESTING)
    await rig.settle()
    (fresh,) = rig.posts
    assert fresh.id != lost.id
    assert fresh.root == lost.root, "in the same thread"
    await app.move(1, Stage.REVIEW)
    await rig.settle()
    assert rig.edits[-1].id == fresh.id


@item(25)
async def a_deleted_thread_is_told_to_the_requester(rig: Rig) -> None:
    app = await rig.start()
    root = rig.say("bo", "The export is broken")
    rig.mention("ana", WISH, thread=root.root)
    await rig.settle()
    told = len(rig.whispers)
    before = len(rig.posts)
    rig.delete_post(await rig.card("CT-1"))
    rig.fail("post", "thread_gone", times=None)
    await app.move(1, Stage.FAILED, failure_reason=FailureReason.NO_CHANGES, error="nothing to do")
    await rig.settle(30)
    rig.heal()
    await rig.settle(30)
    assert (await app.tasks())[0].stage is Stage.FAILED, "the code task goes on"
    private = [one for one in rig.whispers[told:] if one.to == "ana"]
    direct = [post for post in rig.posts if post.channel == ""]
    assert private or direct, "the requester is told privately"
    assert len(rig.calls("post")) <= before + 10


@item(25)
async def an_old_card_that_cannot_be_edited_is_replaced(rig: Rig) -> None:
    app = await rig.start()
    rig.limit_edits(timedelta(hours=1))
    rig.mention("ana", WISH)
    await rig.settle()
    old = await rig.card("CT-1")
    await rig.advance(timedelta(hours=2))
    await app.move(1, Stage.RUNNING)
    await rig.settle()
    fresh = [post for post in rig.posts if post.id != old.id]
    assert len(fresh) == 1
    assert fresh[0].root == old.root
    await app.move(1, Stage.TESTING)
    await rig.settle()
    assert rig.edits[-1].id == fresh[0].id
