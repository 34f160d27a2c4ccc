"""A platform is one folder and one row of the registry: nothing else of the house knows its name."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.app import open_app, run_parts
from bot.cli.root import load_command
from platforms.registry import PLATFORMS, Entry, configured_platforms, load_settings
from tests.platforms.paper.adapter import PaperPlatform


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(PLATFORMS, "paper", Entry("tests.platforms.paper", "paper", ()))
    yield


async def test_a_note_becomes_a_code_task_with_its_card_below_it(paper: None, tmp_path: Path) -> None:
    settings = load_settings(
        codetask_data=tmp_path,
        paper_board="hall",
        repos={"web": {"url": "file:///srv/web.git", "forge": "none"}},
        default_agent="demo",
        sandbox="none",
        features=("codetasks",),
    )
    assert configured_platforms(settings) == ["paper"]
    stop = asyncio.Event()
    async with open_app(settings) as app, asyncio.timeout(20):
        board = app.platforms["paper"]
        assert isinstance(board, PaperPlatform)
        running = asyncio.create_task(run_parts(app, stop, None, serve=True))
        note = await board.pin("ana", "Add a page that lists all orders")
        while not any(root == note for root in board.below.values()):
            board.pinned.clear()
            await board.pinned.wait()
        (card,) = (board.notes[below] for below, root in board.below.items() if root == note)
        assert card.startswith("CT-1 Add a page that lists all orders")
        stop.set()
        assert await running is None


def test_the_command_line_knows_it(paper: None, capsys: pytest.CaptureFixture[str]) -> None:
    load_command("setup").main(["paper"], standalone_mode=False)
    shown = capsys.readouterr()
    assert "1. Hang up a board" in shown.out
    assert "PAPER_BOARD is not set yet" in shown.err
    load_command("manifest").main(["print", "paper"], standalone_mode=False)
    assert capsys.readouterr().out == "board: any\n"
