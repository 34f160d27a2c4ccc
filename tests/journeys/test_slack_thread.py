"""One story in Slack as the people in it see it: filing by every door, a thread of updates, answers for one person."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.app import App, open_app, open_worker, run_parts
from bot.core.tasks import CodeTask, Stage
from bot.store import TaskFilter
from platforms.registry import load_settings
from platforms.slack.simulator import SlackSimulator, StoredMessage, Whisper, buttons
from tests.journeys.sample import sample_repository

GOLDEN = Path(__file__).parents[1] / "golden" / "journeys" / "slack_thread.txt"
CSV = "Add CSV export of invoices to the report"
PATIENCE = 40.0


@dataclass
class Office:
    """A workspace with the bot in it, and a repository on the built-in forge."""

    slack: SlackSimulator
    app: App

    def root(self, ref: str) -> StoredMessage | None:
        return next((one for one in self.slack.sent if f"{ref} " in one.text and not self.is_reply(one)), None)

    @staticmethod
    def is_reply(message: StoredMessage) -> bool:
        return "PR ready" in message.text

    async def sees(self, found: Callable[[], object]) -> object:
        return await self.slack.wait_for(found, PATIENCE)

    async def card(self, ref: str, words: str = "") -> StoredMessage:
        """The card of a code task, once it shows these words."""

        def look() -> StoredMessage | None:
            card = self.root(ref)
            return card if card is not None and words in self.slack.render_text(card) else None

        return await self.slack.wait_for(look, PATIENCE)

    async def reply(self, card: StoredMessage, words: str) -> StoredMessage:
        """A reply of the bot in the card's thread."""
        mine = self.slack.bot_user_id
        return await self.slack.wait_for(
            lambda: next(
                (
                    one
                    for one in self.slack.thread(card)
                    if one.user == mine and one.ts != card.ts and words in self.slack.render_text(one)
                ),
                None,
            ),
            PATIENCE,
        )

    async def whisper(self, to: str, words: str) -> Whisper:
        who = self.slack.user(to).id
        return await self.slack.wait_for(
            lambda: next(
                (
                    one
                    for one in self.slack.whispers
                    if one.user == who and one.shown and words in self.slack.render_text(one)
                ),
                None,
            ),
            PATIENCE,
        )

    async def tasks(self) -> list[CodeTask]:
        found = await self.app.store.run(lambda tx: list(tx.tasks.list(TaskFilter(limit=100))), read=True)
        return sorted(found, key=lambda task: task.id or 0)

    async def merge(self, number: int) -> None:
        repo = self.app.settings.repositories["invoices"]
        await self.app.forges["local"].merge(repo, number, "bo")  # type: ignore[attr-defined]
        await self.app.scheduler.reconcile()


@pytest.fixture
def slack() -> Iterator[SlackSimulator]:
    with SlackSimulator(seed=3) as running:
        yield running
        assert running.surprises == []


@pytest.fixture
async def office(slack: SlackSimulator, tmp_path: Path) -> AsyncIterator[Office]:
    settings = load_settings(
        codetask_data=tmp_path / "data",
        slack_bot_token=slack.bot_token,
        slack_app_token=slack.app_token,
        codetask_slack_api_url=slack.api_url,
        repos={"invoices": {"url": f"file://{sample_repository(tmp_path)}", "forge": "local"}},
        default_agent="demo",
        sandbox="none",
        allow_unsandboxed_push=True,
        filers=("slack:" + slack.user("bo").id,),
        features=("codetasks",),
        reconcile_seconds=3600,
    )
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(open_app(settings))
        worker = await open_worker(app, stack)
        stop = asyncio.Event()
        running = asyncio.create_task(run_parts(app, stop, worker, True))
        await slack.wait_for(lambda: app.platforms["slack"].health().state == "ready", 15)
        yield Office(slack, app)
        stop.set()
        assert await running is None


def stable(text: str) -> str:
    """Without what differs from run to run: times, durations, host names, lengths of waits."""
    text = re.sub(r"\d\d:\d\d UTC", "HH:MM UTC", text)
    text = re.sub(r"\b\d+ (s|min)\b", "N \\1", text)
    return re.sub(r"(CT-\d+#\d+) · [\w.-]+ ·", r"\1 · host ·", text)


async def test_from_the_first_word_to_the_merge(office: Office) -> None:
    slack = office.slack
    slack.runs_command("ana", f"/codetask {CSV}", "dev")
    card = await office.card("CT-1", "Waiting for review")
    assert not card.is_reply, "a slash command's card starts the thread"
    ready = await office.reply(card, "PR ready")
    told = [stable(slack.render_text(card)), stable(slack.render_text(ready))]
    await office.merge(1)
    merged = await office.card("CT-1", "merged")
    told.append(stable(slack.render_text(merged)))
    await office.sees(lambda: any(one.name == "white_check_mark" and one.ts == card.ts for one in slack.reactions))
    assert [task.stage for task in await office.tasks()] == [Stage.MERGED]
    mine = [one for one in slack.sent if one.channel == card.channel]
    assert [one.ts for one in mine] == [card.ts, ready.ts], "one card and one reply, nothing else"
    assert_golden("\n---\n".join(told))


def assert_golden(text: str) -> None:
    if os.environ.get("UPDATE_GOLDENS"):
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(text + "\n")
    assert text + "\n" == GOLDEN.read_text()


async def test_a_mention_in_a_thread_and_a_shortcut_answer_where_they_were_used(office: Office) -> None:
    slack = office.slack
    complaint = slack.user_says("cy", "The report has no CSV export", "dev")
    slack.user_says("bo", "I need it for the audit", "dev", thread_ts=complaint.ts)
    slack.user_mentions("ana", CSV, "dev", thread_ts=complaint.ts)
    card = await office.card("CT-1", "Waiting for review")
    assert card.thread_ts == complaint.ts
    assert (await office.reply(card, "PR ready")).thread_ts == complaint.ts
    (task,) = await office.tasks()
    assert "I need it for the audit" in task.context
    other = slack.user_says("cy", "Add CSV export of the orders to the report too", "general")
    slack.uses_shortcut("bo", other)
    second = await office.card("CT-2")
    assert second.thread_ts == other.ts
    assert (await office.tasks())[1].requester_id == slack.user("bo").id


async def test_two_people_press_buttons(office: Office) -> None:
    slack = office.slack
    slack.runs_command("ana", f"/codetask {CSV}", "dev")
    card = await office.card("CT-1", "Waiting for review")
    slack.clicks("bo", card, "Details")
    details = await office.whisper("bo", "CT-1")
    assert "filed" in slack.render_text(details)
    slack.clicks("bo", card, "Cancel")
    refused = await office.whisper("bo", "You can't cancel CT-1")
    assert "@ana" in slack.render_text(refused)
    slack.clicks("ana", card, "Cancel")
    await office.whisper("ana", "CT-1 is cancelled.")
    cancelled = await office.card("CT-1", "Cancelled")
    slack.clicks("ana", cancelled, next(label for label in ("Queue again", "Retry") if _has(cancelled, label)))
    await office.whisper("ana", "CT-1 is queued again.")
    await office.card("CT-1", "Waiting for review")
    assert (await office.tasks())[0].stage is Stage.REVIEW


def _has(message: StoredMessage, label: str) -> bool:
    return any(button.label == label for button in buttons(message))


async def test_questions_are_answered_to_one_person_only(office: Office) -> None:
    slack = office.slack
    slack.runs_command("cy", f"/codetask {CSV}", "dev")
    # cy's Slack is in Chinese: so are the answers to cy, whatever the channel is told in
    await office.whisper("cy", "只有所有者和管理员可以管理编码任务")
    slack.runs_command("bo", f"/codetask {CSV}", "dev")
    await office.card("CT-1", "Waiting for review")
    before = len(slack.sent)
    for line, words in (
        ("list all", "CT-1"),
        ("show CT-1", CSV),
        ("status CT-1", "CT-1"),
        ("logs CT-1", "CT-1"),
        ("帮助", "/codetask"),
        ("查看CT-99", "这里没有编码任务 CT-99"),
    ):
        slack.runs_command("cy", f"/codetask {line}", "dev")
        await office.whisper("cy", words)
    await office.sees(lambda: len(slack.whispers) >= 7)
    # Slack accepts a reply to a slash command from anywhere; all of these were for one person
    assert {one.user for one in slack.whispers} == {slack.user("cy").id}
    assert len([one for one in slack.sent if not office.is_reply(one)]) == 1
    assert len(slack.sent) <= before + 1
