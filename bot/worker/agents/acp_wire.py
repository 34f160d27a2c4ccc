"""The bytes between us and an ACP agent: one JSON message per line, hostile until read.

Ours instead of the SDK's reader because notifications must stay in order, junk must not be logged, a flood must end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from bot.ports import SandboxProcess

MAX_LINE_BYTES = 32 * 1024 * 1024
MAX_TOTAL_BYTES = 256 * 1024 * 1024
_CHUNK = 65536
_ERROR_CHARS = 2000

Message = dict[str, Any]


class AgentWire:
    """A message transport for the SDK's connection over a sandboxed process.

    `on_update` gets the params of each `session/update`, in order, before anything that was sent after it is seen.
    `on_sign` is called for every line: a sign of life. `junk` counts lines that were no message; `flooded` says
    that the agent sent more than the limits allow, which ends the stream."""

    def __init__(
        self, process: SandboxProcess, on_update: Callable[[Message], None], on_sign: Callable[[], None]
    ) -> None:
        self._process = process
        self._on_update = on_update
        self._on_sign = on_sign
        self._buffer = bytearray()
        self._searched = 0
        self._total = 0
        self._sending = asyncio.Lock()
        self.junk = 0
        self.flooded = False

    async def send(self, message: Message) -> None:
        """Writes one message. Raises ConnectionError when the agent no longer reads."""
        async with self._sending:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()

    async def receive(self) -> Message | None:
        """The next request or response; None at the end. Notifications are taken out here."""
        while (line := await self._line()) is not None:
            self._on_sign()
            message = _parse(line)
            if message is None:
                self.junk += bool(line.strip())
            elif "method" in message and "id" not in message:
                params = message.get("params")
                if message["method"] == "session/update" and isinstance(params, dict):
                    self._on_update(params)
            else:
                return message
        return None

    async def close(self) -> None:
        """Nothing to do: the process belongs to the run, which ends it by the ladder."""

    async def _line(self) -> bytes | None:
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            data = await self._process.stdout.read(_CHUNK)
            self._total += len(data)
            if len(self._buffer) > MAX_LINE_BYTES or self._total > MAX_TOTAL_BYTES:
                self.flooded = True
                return None
            if not data:
                return None
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line


def _parse(line: bytes) -> Message | None:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not ("method" in message or "id" in message):
        return None
    if "error" in message and "method" not in message:
        message["error"] = _whole_error(message["error"])
    return message


def _whole_error(error: object) -> Message:
    """An error object as JSON-RPC wants it. Over any other the SDK would leave the request waiting."""
    given = error if isinstance(error, dict) else {"message": error}
    code = given.get("code")
    return {
        "code": code if isinstance(code, int) else -32603,
        "message": str(given.get("message", ""))[:_ERROR_CHARS],
        "data": str(given.get("data", ""))[:_ERROR_CHARS],
    }


class Tail:
    """The last `limit` bytes of a stream, read to its end so that the writer never blocks."""

    def __init__(self, reader: asyncio.StreamReader, limit: int = 65536) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._task = asyncio.create_task(self._read(reader))

    def text(self) -> str:
        """What was kept, as text."""
        return self._kept.decode(errors="replace")

    async def finish(self, limit_s: float = 1.0) -> str:
        """Waits for the stream's end at most `limit_s` seconds, then stops reading."""
        await asyncio.wait({self._task}, timeout=limit_s)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        return self.text()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_CHUNK):
            self._kept += data
            if len(self._kept) > self._limit:
                del self._kept[: len(self._kept) - self._limit]
