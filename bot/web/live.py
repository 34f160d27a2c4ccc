"""Server-sent events: pushed when the store signals a change, never polled.

A stream reads its rows again after each signal of `task` and sends what is new. It ends when the client goes, when
there is nothing more to come, or when the server stops.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import structlog
from fastapi import Request
from fastapi.responses import StreamingResponse

from bot.store import Store, StoreDown, Topic, Transaction

log = structlog.get_logger(__name__)
T = TypeVar("T")
KEEP_ALIVE_SECONDS: Final = 15.0
EVENT_STREAM: Final = "text/event-stream"


def wants_stream(request: Request) -> bool:
    """Whether the client asked for events."""
    return EVENT_STREAM in request.headers.get("accept", "")


def event(name: str, data: Mapping[str, Any] | str, event_id: str = "") -> bytes:
    """One event as it goes over the wire."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    lines = [f"event: {name}", *([f"id: {event_id}"] if event_id else []), f"data: {text}"]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def stream(events: AsyncIterator[bytes]) -> StreamingResponse:
    """The response that carries them."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events, media_type=EVENT_STREAM, headers=headers)


class Live:
    """Waits for changes of one topic until the server stops."""

    def __init__(self, store: Store, stop: asyncio.Event, topic: Topic = "task") -> None:
        self._store = store
        self._stop = stop
        self._topic: Topic = topic

    async def follow(self, read: Callable[[Transaction], T]) -> AsyncIterator[T | None]:
        """What `read` answers now and after every change; None for a quiet while (send a comment then)."""
        stopping = asyncio.create_task(self._stop.wait())
        try:
            while not self._stop.is_set():
                seen = self._store.version(self._topic)
                try:
                    yield await self._store.run(read, read=True)
                except StoreDown:
                    log.warning("stream_ended", why="the database cannot be reached")
                    return
                while not await self._changed(seen, stopping):
                    if self._stop.is_set():
                        return
                    yield None
        finally:
            stopping.cancel()
            with suppress(asyncio.CancelledError):
                await stopping

    async def _changed(self, seen: int, stopping: "asyncio.Task[bool]") -> bool:
        waiting = asyncio.create_task(self._store.changed(self._topic, seen, KEEP_ALIVE_SECONDS))
        try:
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return waiting.done() and waiting.result() > seen
        finally:
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting


COMMENT: Final = b": still here\n\n"
