"""Before the story: says where the page is, opens it where there is a screen, and waits a moment for it."""

import asyncio
import os
import sys
import webbrowser
from typing import Final

from bot.demo.stage import Stage

PATIENCE_S: Final = 8.0
"""How long the story waits for a page to be opened, at most, where a person is watching."""


async def raise_curtain(stage: Stage) -> None:
    """Prints the page's address. With a person at the terminal, the story begins once the page is open."""
    address = stage.pages.door.address
    stage.terminal.tell(f"The demo, in your browser (this address works once): {address}")
    if not stage.paced or not sys.stdout.isatty():
        return
    if has_screen():
        await asyncio.to_thread(webbrowser.open, address)
    stage.terminal.narrate(f"The story begins when the page is open, or in {PATIENCE_S:.0f} seconds")
    try:
        await asyncio.wait_for(stage.pages.seen.wait(), PATIENCE_S)
    except TimeoutError:
        return
    await asyncio.sleep(1.0)


def has_screen() -> bool:
    """Whether a browser can show itself here; without one `webbrowser` might start a text browser over the prompt."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
