"""Button presses: each waits for its answer, a toast, and holds up changes of its card until that is out.

Lark gives three seconds. A press is stored first; then whatever the core whispers to the person in the next moment is
the toast, else a fixed word is. A card that is changed before the answer would fall back to what it was.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from bot.core.texts import SOURCE_LANGUAGE, Texts
from platforms.lark.cards import LOCALES

Toast = dict[str, Any]
ANSWER_OUT: Final = timedelta(seconds=1)
"""How long a change of a card waits for the answer to a press to be on its way (ours)."""


def say(key: str, style: str = "info", **values: str) -> Toast:
    """A fixed toast in every language that has it."""
    texts = {locale: Texts.load(language).say(f"lark.{key}", **values) for language, locale in LOCALES.items()}
    return {"type": style, "content": texts[LOCALES[SOURCE_LANGUAGE]], "i18n": texts}


@dataclass
class Press:
    """One press that is not answered yet. `said`: the toast, once there is one; `out`: the answer was handed over."""

    token: str
    message_id: str
    said: "asyncio.Future[Toast | None]"
    out: asyncio.Event = field(default_factory=asyncio.Event)

    def settle(self, toast: Toast | None) -> bool:
        """Answers the press with a toast (None: the fixed one). False when it had been answered before."""
        if self.said.done():
            return False
        self.said.set_result(toast)
        return True


class Presses:
    """The presses that wait in this process. `hold`: how long one waits for what the core has to say."""

    def __init__(self, hold: timedelta) -> None:
        self._hold = hold
        self._open: dict[str, Press] = {}

    def open(self, token: str, message_id: str) -> Press:
        """A press that was just received; `close` it when its answer is out."""
        press = Press(token, message_id, asyncio.get_running_loop().create_future())
        self._open[token] = press
        return press

    async def answer(self, press: Press) -> Toast:
        """The toast for a stored press, within the time there is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._hold.total_seconds()):
                await asyncio.wait([press.said])
        press.settle(None)
        return press.said.result() or say("received")

    def close(self, press: Press) -> None:
        """The answer is on its way: the card may change now."""
        press.settle(None)
        press.out.set()
        self._open.pop(press.token, None)

    async def tell(self, token: str, toast: Mapping[str, Any]) -> bool:
        """Answers a waiting press with a toast; True when it went out with it."""
        press = self._open.get(token)
        if press is None or not press.settle(dict(toast)):
            return False
        return await self._is_out(press)

    async def release(self, message_id: str) -> None:
        """Answers every press of a card, so that the card can be changed."""
        for press in [one for one in self._open.values() if one.message_id == message_id]:
            press.settle(None)
            await self._is_out(press)

    @staticmethod
    async def _is_out(press: Press) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_OUT.total_seconds()):
                await press.out.wait()
        return press.out.is_set()
