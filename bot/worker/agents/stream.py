"""The events of one agent run as an async iterator, and runs that ended before they began."""

from __future__ import annotations

import asyncio

from bot.ports import AgentEvent, AgentResult


class EventStream:
    """Events in the order they were put; iteration ends after `end`. One reader."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[AgentEvent | None] = asyncio.Queue()
        self._ended = False

    def put(self, event: AgentEvent) -> None:
        """Adds an event; after `end` it is dropped."""
        if not self._ended:
            self._queue.put_nowait(event)

    def end(self) -> None:
        """No more events."""
        if not self._ended:
            self._ended = True
            self._queue.put_nowait(None)

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> AgentEvent:
        event = await self._queue.get()
        if event is None:
            self._queue.put_nowait(None)
            raise StopAsyncIteration
        return event


class EndedRun:
    """A run that could not start: it has a result and nothing else."""

    def __init__(self, result: AgentResult) -> None:
        self.events = EventStream()
        self.events.end()
        self._result = result

    async def cancel(self) -> None:
        """Nothing runs."""

    async def result(self) -> AgentResult:
        return self._result


def config_problem(text: str) -> EndedRun:
    """A run that failed because a setting is missing; `text` says which, for a person."""
    return EndedRun(AgentResult(stop="failed", cause="config", text=text))
