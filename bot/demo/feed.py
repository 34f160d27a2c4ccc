"""What the page is told over its event stream: everything once, then each message that changed, and the open forms."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bot.demo.channel import Channel, Language, Shown

LATEST: Final = 300
"""Messages of one channel that a page is shown."""
GATHER_S: Final = 0.05
"""Changes within this time go out together."""
BEAT_S: Final = 15.0
"""A silent stream says that it lives this often."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`messages`: channel and message id -> the message as JSON; `forms`: those that are open, with their channel."""

    messages: dict[str, str]
    forms: list[dict[str, Any]]


class Feed:
    """Notices what happens in the channels. `watch` has to run; any number of pages may follow."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self.channels = channels
        self.closed = False
        self._version = 0
        self._changed = asyncio.Condition()

    async def watch(self) -> None:
        """Runs until cancelled; the pages that follow then end."""
        try:
            async with asyncio.TaskGroup() as group:
                for channel in self.channels:
                    group.create_task(self._watch(channel))
        finally:
            self.closed = True
            await self._tell()

    async def follow(self, language: Language) -> AsyncIterator[str]:
        """Server-sent events: `all` first, then `some`, with a comment in between when nothing happens."""
        sent = self._snapshot(language)
        seen = self._version
        yield _event("all", {"messages": [json.loads(text) for text in sent.messages.values()], "forms": sent.forms})
        while not self.closed:
            if not await self._after(seen):
                yield ": still here\n\n"
                continue
            await asyncio.sleep(GATHER_S)
            seen = self._version
            now = self._snapshot(language)
            changes = _changes(sent, now)
            sent = now
            if changes:
                yield _event("some", changes)

    async def _watch(self, channel: Channel) -> None:
        seen = -1
        while True:
            try:
                await channel.wait_for(lambda seen=seen: channel.count() != seen, BEAT_S)
            except TimeoutError:
                continue
            seen = channel.count()
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._version += 1
            self._changed.notify_all()

    async def _after(self, seen: int) -> bool:
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: self._version > seen or self.closed), BEAT_S)
            except TimeoutError:
                return False
        return True

    def _snapshot(self, language: Language) -> Snapshot:
        messages = {
            f"{channel.name}/{shown.id}": json.dumps(as_json(channel, shown), ensure_ascii=False)
            for channel in self.channels
            for shown in channel.shown(language)[-LATEST:]
        }
        forms = [asdict(form) | {"channel": channel.name} for channel in self.channels for form in channel.forms()]
        return Snapshot(messages, forms)


def as_json(channel: Channel, shown: Shown) -> dict[str, Any]:
    """A message as the page reads it."""
    told = asdict(shown)
    return told | {"channel": channel.name, "at": shown.at.isoformat(), "order": shown.at.timestamp()}


def _changes(before: Snapshot, now: Snapshot) -> dict[str, Any]:
    put = [json.loads(text) for key, text in now.messages.items() if before.messages.get(key) != text]
    lost = [key for key in before.messages if key not in now.messages]
    gone = [dict(zip(("channel", "id"), key.split("/", 1), strict=True)) for key in lost]
    told: dict[str, Any] = {"messages": put, "gone": gone} if put or gone else {}
    return told | {"forms": now.forms} if now.forms != before.forms else told


def _event(name: str, data: Mapping[str, Any]) -> str:
    # JSON has no raw line break, and a lone surrogate from a hostile text would not encode.
    text = json.dumps(data, ensure_ascii=True)
    return f"event: {name}\nretry: 1000\ndata: {text}\n\n"
