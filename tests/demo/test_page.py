"""The demo's page in a real Chromium: what a visitor does in each chat, what they see, and how it looks."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.demo.browser import Browser, Tab, find_chromium, open_browser

ROOT = Path(__file__).resolve().parents[2]
LOOKS = (Path(__file__).parent / "looks.js").read_text()
CHATS = {"slack": "/codetask", "discord": "/codetask", "lark": "@codetask"}
HOSTILE = "<img src=x onerror=\"document.title='hit'\"> & <script>document.title='hit'</script> [x](javascript:hit)"
START_S = 60.0

pytestmark = pytest.mark.timeout(240)


@asynccontextmanager
async def running_demo(folder: Path, *options: str) -> AsyncIterator[str]:
    """A demo of its own process, past its story; its address. Ended by `quit`."""

    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "bot.demo", "--fast", *options),
        cwd=ROOT,
        env={**kept, "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdin is not None
    try:
        said = await asyncio.wait_for(_until_told(process, "Now it is yours"), START_S)
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", said)
        assert found is not None, said
        reading = asyncio.create_task(_read_all(process))
        yield found[0]
        process.stdin.write(b"quit\n")
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), START_S) == 0
        await reading
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


async def _until_told(process: asyncio.subprocess.Process, words: str) -> str:
    assert process.stdout is not None
    said = ""
    while words not in said:
        line = await process.stdout.readline()
        assert line, f"the demo ended: {said}"
        said += line.decode()
    return said


async def _read_all(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    while await process.stdout.read(65536):
        pass


@asynccontextmanager
async def visit(folder: Path) -> AsyncIterator[tuple[Browser, Tab]]:
    """A browser on the page of a demo."""
    program = find_chromium()
    async with running_demo(folder) as address, open_browser(program, folder / "chromium") as browser:
        tab = await browser.tab()
        await tab.look(1440, 900)
        await tab.open(address)
        assert await tab.run("location.search") == ""
        yield browser, tab


async def send(tab: Tab, chat: str, text: str) -> None:
    """Types into a chat and presses Enter."""
    await tab.click(f".{chat} textarea")
    await tab.type(text)
    await tab.key("Enter", 13)
    await tab.until(f"document.querySelector('.{chat} textarea').value === ''")


def message(chat: str, words: str) -> str:
    """Whether a chat shows a message that has all of these words, as a script."""
    return f"Boolean({newest(chat, words)})"


def newest(chat: str, words: str) -> str:
    """The newest message of a chat that has all of these words, as a script."""
    wanted = " && ".join(f"m.textContent.includes({json.dumps(part)})" for part in words.split("|"))
    return f"[...document.querySelectorAll('.{chat} article')].reverse().find(m => {wanted} && m.offsetParent)"


async def mark(tab: Tab, chat: str, words: str, inner: str) -> str:
    """Waits for the message and an element in it; gives it a name to click on."""
    script = f"(() => {{ const m = {newest(chat, words)}; const e = m && m.querySelector({json.dumps(inner)});"
    script += " if (!e) return null; document.querySelectorAll('[data-test]').forEach(o => delete o.dataset.test);"
    await tab.until(f"{script} e.dataset.test = 'here'; return true; }})()", 60)
    return "[data-test=here]"


async def test_a_visitor_files_reads_and_merges_in_every_chat(tmp_path: Path) -> None:
    async with visit(tmp_path) as (browser, tab):
        for chat, door in CHATS.items():
            await tab.until(message(chat, "merged"))
            title = f"Note who answers refunds in {chat}"
            await send(tab, chat, f"{door} {title}")
            await tab.click(await mark(tab, chat, f"{title}|Waiting for review", "a.button"))
            pull = await browser.tab(await asyncio.wait_for(browser.new_tabs.get(), 30))
            assert title in await pull.until("document.querySelector('.pull h1')?.textContent")
            assert await pull.run("document.querySelectorAll('.diff tr.add').length > 0")
            await pull.click(".merge button")
            await pull.until("Boolean(document.querySelector('.pill.merged'))")
            assert pull.problems == []
            await tab.send("Page.bringToFront")
            await tab.until(message(chat, f"{title}|merged"))
        assert tab.problems == []


async def test_hostile_words_are_only_words(tmp_path: Path) -> None:
    async with visit(tmp_path) as (_, tab):
        for chat, door in CHATS.items():
            await send(tab, chat, HOSTILE)
            await tab.until(message(chat, '<img src=x onerror="document.title|</script>'))
            await send(tab, chat, f"{door} {HOSTILE}")
            await tab.until(message(chat, "CT-|onerror="), 60)
        inside = "document.querySelectorAll('.feed img, .feed script, .feed iframe, .feed [onerror]').length"
        assert await tab.run(inside) == 0
        assert await tab.run("[...document.querySelectorAll('.feed a')].every(a => /^https?:/.test(a.href))")
        assert await tab.run("document.title") == "Codetask: the demo"
        assert tab.problems == []


async def test_whispers_buttons_reactions_and_threads(tmp_path: Path) -> None:
    async with visit(tmp_path) as (_, tab):
        for chat, door in CHATS.items():
            await send(tab, chat, f"{door} list all")
            await tab.until(message(chat, "Code tasks: all"), 60)
            await tab.click(await mark(tab, chat, "merged|Details", ".tools [data-emoji='👀']"))
            await tab.until(
                f"Boolean(document.querySelector('.{chat} .reaction[data-emoji=\"👀\"][aria-pressed=true]'))"
            )
            await tab.click(await mark(tab, chat, "merged|Details", ".tools .answer"))
            await send(tab, chat, "@codetask status")
            await tab.until(f"document.querySelector('.{chat} .replies')?.textContent.includes('@codetask status')")
            await tab.until(message(chat, "Stage: Merged"), 60)
            await tab.click(await mark(tab, chat, "merged|Details", "button[data-press*=details]"))
            await tab.until(message(chat, "pressed|Details"))
        whispers = "[...document.querySelectorAll('.whisper')].filter(w => w.offsetParent).length"
        assert await tab.run(whispers) > 0
        await tab.run("document.querySelector('input[value=bo]').click()")
        assert await tab.run(whispers) == 0
        await tab.click("[data-language=zh]")
        await tab.until(message("lark", "编写改动"))
        assert tab.problems == []


async def test_focus_and_place_are_kept_while_messages_arrive(tmp_path: Path) -> None:
    async with visit(tmp_path) as (_, tab):
        await tab.look(1440, 600)
        await tab.until(message("slack", "merged"))
        await tab.run("document.querySelector('.slack .feed').scrollTop = 0")
        await tab.click(".slack textarea")
        await tab.type("a draft")
        await tab.run("window.first = document.querySelector('.slack article .said')")
        await tab.run(
            """fetch("/do", { method: "POST", headers: { "Content-Type": "application/json" },
            body: JSON.stringify({ channel: "slack", person: "bo", do: "say", text: "something new" }) })"""
        )
        await tab.until("document.querySelector('.slack .feed').textContent.includes('something new')")
        assert await tab.run("document.querySelector('.slack .feed').scrollTop") == 0
        assert await tab.run("document.activeElement.value") == "a draft"
        assert await tab.run("window.first.isConnected")
        assert not await tab.run("document.querySelector('.slack .down').hidden")


async def test_it_is_readable_in_both_themes_at_every_width(tmp_path: Path) -> None:
    async with visit(tmp_path) as (_, tab):
        for chat, door in CHATS.items():
            await send(tab, chat, f"{door} list all")
            await tab.until(message(chat, "Code tasks: all"), 60)
        href = await tab.until("[...document.querySelectorAll('.slack a.button')].map(a => a.href)[0]")
        for page in ("", href):
            if page:
                await tab.open(page)
            for dark in (False, True):
                await tab.look(1440, 900, dark=dark)
                seen: dict[str, Any] = await tab.run(LOOKS)
                assert seen["measured"] > 20
                assert (seen["faint"], seen["wide"]) == ([], 0)
                await tab.look(390, 844, dark=dark, touch=True)
                narrow: dict[str, Any] = await tab.run(LOOKS)
                assert (narrow["faint"], narrow["small"], narrow["wide"]) == ([], [], 0)
                await tab.look(1280, 900, dark=dark, zoom=2)
                assert (await tab.run(LOOKS))["wide"] == 0
        assert tab.problems == []


async def test_one_chat_at_a_time_on_a_phone(tmp_path: Path) -> None:
    async with visit(tmp_path) as (_, tab):
        await tab.look(390, 844, touch=True)
        shown = "[...document.querySelectorAll('.column')].filter(c => c.offsetParent).map(c => c.dataset.channel)"
        assert await tab.run(shown) == ["slack"]
        await tab.click("[data-switch=lark]")
        assert await tab.run(shown) == ["lark"]
        assert await tab.run("document.querySelector('[data-switch=lark]').getAttribute('aria-pressed')") == "true"
