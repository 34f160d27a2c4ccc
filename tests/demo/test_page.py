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
import pytest_asyncio

from tests.demo.browser import Browser, Tab, find_chromium, open_browser

ROOT = Path(__file__).resolve().parents[2]
LOOKS = (Path(__file__).parent / "looks.js").read_text()
CHATS = {"slack": "/codetask", "discord": "/codetask", "lark": "@codetask"}
HOSTILE = "<img src=x onerror=\"document.title='hit'\"> & <script>document.title='hit'</script> [x](javascript:hit)"
START_S = 60.0

pytestmark = [pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]


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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """A browser that came in by the address of one demo, for all tests here: each has a tab of its own."""
    program, folder = find_chromium(), tmp_path_factory.mktemp("page")
    async with running_demo(folder) as address, open_browser(program, folder / "chromium") as browser:
        first = await browser.tab()
        await first.open(address)
        assert await first.run("location.search") == ""
        browser.home = await first.run("location.href")
        await first.close()
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def tab(chromium: Browser) -> AsyncIterator[Tab]:
    """The page as the story left it. Nothing may go wrong in it."""
    tab = await chromium.tab()
    await tab.look(1440, 900)
    await tab.open(chromium.home)
    for chat in CHATS:
        await tab.until(message(chat, "merged"))
    yield tab
    assert tab.problems == []
    await tab.close()


async def send(tab: Tab, chat: str, text: str) -> None:
    """Types into a chat and presses Enter."""
    await tab.click(f".{chat} textarea")
    await tab.type(text)
    await tab.key("Enter", 13)
    await tab.until(f"document.querySelector('.{chat} textarea').value === ''")


async def says(tab: Tab, chat: str, person: str, text: str) -> None:
    """Somebody else says something, elsewhere than on this page."""
    told = json.dumps({"channel": chat, "person": person, "do": "say", "text": text})
    await tab.run(
        'fetch("/do", { method: "POST", headers: { "Content-Type": "application/json" },'
        f" body: {json.dumps(told)} }})"
    )
    await tab.until(f"document.querySelector('.{chat} .feed').textContent.includes({json.dumps(text)})")


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


NOTE = "button[data-press*=retry_note]"
UNCHANGED = 'invoices/__init__.py\n```\n"""Invoices of a small shop."""\n```'
"""A patch that says what is there already: the code task fails."""


async def fail(tab: Tab, chat: str, title: str) -> str:
    """A code task that failed, once all is said about it, so that nothing moves any more: its button for a note."""
    await send(tab, chat, f"{CHATS[chat]} {title}\n{UNCHANGED}")
    card = newest(chat, f"{title}|no changes")
    await tab.until(f"{card}?.parentElement.querySelector('.replies')?.textContent.includes('no changes')", 60)
    return await mark(tab, chat, f"{title}|no changes", NOTE)


async def test_a_visitor_files_reads_and_merges_in_every_chat(chromium: Browser, tab: Tab) -> None:
    for chat, door in CHATS.items():
        title = f"Note who answers refunds in {chat}"
        await send(tab, chat, f"{door} {title}")
        await tab.until(message(chat, f"{title}|PR ready"), 60)  # the last to come; nothing moves after it
        await tab.click(await mark(tab, chat, f"{title}|Waiting for review", "a.button"))
        pull = await chromium.tab(await asyncio.wait_for(chromium.new_tabs.get(), 30))
        assert title in await pull.until("document.querySelector('.pull h1')?.textContent")
        assert await pull.run("document.querySelectorAll('.diff tr.add').length > 0")
        await pull.click(".merge button")
        await pull.until("Boolean(document.querySelector('.pill.merged'))")
        assert pull.problems == []
        await pull.close()
        await tab.send("Page.bringToFront")
        await tab.until(message(chat, f"{title}|merged"))


async def test_hostile_words_are_only_words(tab: Tab) -> None:
    for chat, door in CHATS.items():
        await send(tab, chat, HOSTILE)
        await tab.until(message(chat, '<img src=x onerror="document.title|</script>'))
        await send(tab, chat, f"{door} {HOSTILE}")
        await tab.until(message(chat, "CT-|onerror="), 60)
    inside = "document.querySelectorAll('.feed img, .feed script, .feed iframe, .feed [onerror]').length"
    assert await tab.run(inside) == 0
    assert await tab.run("[...document.querySelectorAll('.feed a')].every(a => /^https?:/.test(a.href))")
    assert await tab.run("document.title") == "Codetask: the demo"


async def test_whispers_buttons_reactions_and_threads(tab: Tab) -> None:
    for chat, door in CHATS.items():
        await send(tab, chat, f"{door} list all")
        await tab.until(message(chat, "Code tasks: all"), 60)
        await tab.click(await mark(tab, chat, "merged|Details", ".tools [data-emoji='👀']"))
        await tab.until(f"Boolean(document.querySelector('.{chat} .reaction[data-emoji=\"👀\"][aria-pressed=true]'))")
        await tab.click(await mark(tab, chat, "merged|Details", ".tools .answer"))
        await send(tab, chat, "@codetask status")
        await tab.until(f"Boolean({newest(chat, '@codetask status')}?.closest('.replies'))")
        await tab.until(message(chat, "Stage: Merged"), 60)
        await tab.click(await mark(tab, chat, "merged|Details", "button[data-press*=details]"))
        await tab.until(message(chat, "pressed|Details"))
    whispers = "[...document.querySelectorAll('.whisper')].filter(w => w.offsetParent).length"
    assert await tab.run(whispers) > 0
    await tab.run("document.querySelector('input[value=bo]').click()")
    assert await tab.run(whispers) == 0
    await tab.click("[data-language=zh]")
    await tab.until(message("lark", "编写改动"))


async def test_focus_and_place_are_kept_while_messages_arrive(tab: Tab) -> None:
    await tab.look(1440, 600)
    await tab.run("document.querySelector('.slack .feed').scrollTop = 0")
    await tab.click(".slack textarea")
    await tab.type("a draft")
    await tab.run("window.first = document.querySelector('.slack article .said')")
    await says(tab, "slack", "bo", "something new")
    assert await tab.run("document.querySelector('.slack .feed').scrollTop") == 0
    assert await tab.run("document.activeElement.value") == "a draft"
    assert await tab.run("window.first.isConnected")
    assert not await tab.run("document.querySelector('.slack .down').hidden")


async def test_it_is_readable_in_both_themes_at_every_width(tab: Tab) -> None:
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


async def test_one_chat_at_a_time_on_a_phone(tab: Tab) -> None:
    await tab.look(390, 844, touch=True)
    shown = "[...document.querySelectorAll('.column')].filter(c => c.offsetParent).map(c => c.dataset.channel)"
    assert await tab.run(shown) == ["slack"]
    await tab.click("[data-switch=lark]")
    assert await tab.run(shown) == ["lark"]
    assert await tab.run("document.querySelector('[data-switch=lark]').getAttribute('aria-pressed')") == "true"


async def test_a_form_is_a_dialog_that_keys_alone_can_use(tab: Tab) -> None:
    is_open, focus = "document.querySelector('dialog.form').open", "document.activeElement.matches"
    for chat in ("slack", "discord"):
        title = f"Say the same again in {chat}"
        await tab.click(await fail(tab, chat, title))
        await tab.until(is_open)
        assert await tab.run("document.querySelector('dialog.form').className") == f"form {chat}"
        assert await tab.run(f"{focus}('dialog.form textarea[required]')")
        name = await tab.send("Accessibility.getFullAXTree")
        roles = {(node["role"]["value"], node["name"]["value"]) for node in name["nodes"] if not node["ignored"]}
        assert {role for role, said in roles if said.startswith("Retry CT-") and role == "dialog"} == {"dialog"}
        assert ("textbox", "What should it do differently?") in roles
        await tab.key("Escape", 27)
        await tab.until(f"!{is_open}")
        await tab.until(f"{focus}({json.dumps(NOTE)})")
        await tab.key_press_enter()
        await tab.until(is_open)
        await tab.click("dialog.form .yes")  # nothing was written: the browser itself says so
        assert await tab.run(is_open)
        await tab.type("Greet them first")
        await tab.click("dialog.form .yes")
        await tab.until(f"!{is_open}")
        await tab.until(message(chat, f"{title}|#2 · "), 60)


async def test_a_form_is_readable_in_both_themes_at_every_width(tab: Tab) -> None:
    for chat in ("slack", "discord"):
        await tab.look(1440, 900)
        await tab.click(await fail(tab, chat, f"Say it once more in {chat}"))
        await tab.until("document.querySelector('dialog.form').open")
        for dark in (False, True):
            for width in (1440, 390):
                await tab.look(width, 844, dark=dark, touch=width == 390)
                seen: dict[str, Any] = await tab.run(LOOKS)
                assert (seen["faint"], seen["wide"]) == ([], 0)
                assert width == 1440 or seen["small"] == []
                box = await tab.run("document.querySelector('dialog.form').getBoundingClientRect().toJSON()")
                assert 0 <= box["left"] < box["right"] <= width
                assert 0 <= box["top"] < box["bottom"] <= 844
        await tab.look(1440, 900)
        await tab.click("dialog.form .no")
        await tab.until("!document.querySelector('dialog.form').open")


async def test_a_message_becomes_a_code_task_by_its_menu(tab: Tab) -> None:
    for chat in ("slack", "discord"):
        said = f"Somebody should note the opening hours in {chat}"
        await says(tab, chat, "bo", "Anything else?")  # else the next words may be more of what Ana said a moment ago
        await send(tab, chat, said)
        await tab.click(await mark(tab, chat, said, ".tools .more"))
        await tab.until(f"document.activeElement.matches('#{chat}-menu:popover-open [role=menuitem]')")
        await tab.key("Escape", 27)
        await tab.until("document.activeElement.matches('.more')")
        await tab.key_press_enter()
        await tab.until(f"document.activeElement.matches('#{chat}-menu:popover-open [role=menuitem]')")
        await tab.key_press_enter()
        await tab.until(message(chat, "used|File as code task"))
        await tab.until(message(chat, "CT-|note the opening hours|Waiting for review"), 60)
    assert await tab.run("document.querySelectorAll('.lark .more, .bot > article .more').length") == 0
