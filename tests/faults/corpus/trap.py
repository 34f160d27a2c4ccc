"""The host around a malicious checkout: what it would like to reach, and the record of what it did reach."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.worker.git_world import git

HOST_SECRET = "bytes-of-the-host-5f1c"


@dataclass(slots=True)
class Listener:
    """An HTTP server that answers 403 to everything and keeps what it was sent."""

    url: str = ""
    heard: list[bytes] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            self.heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serve(answer: Answer) -> AsyncIterator[int]:
    """A server on loopback; its port. Every connection is closed and its handler done when this ends."""
    open_connections: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_connections.add(task)
        with contextlib.suppress(ConnectionError):
            await answer(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*open_connections)


@dataclass(frozen=True, slots=True)
class Trap:
    """Everything the scripts of the corpus aim at."""

    mark: Path
    host: Path
    foreign: Path
    blob: str
    evil: Listener
    forge: Listener

    @property
    def executed(self) -> bool:
        return any(self.mark.iterdir())

    def env(self) -> dict[str, str]:
        return {
            "MARK": os.fspath(self.mark),
            "HOST": os.fspath(self.host),
            "FOREIGN": os.fspath(self.foreign),
            "BLOB": self.blob,
            "EVIL": self.evil.url,
            "FORGE": self.forge.url,
        }


@contextlib.asynccontextmanager
async def set_trap(folder: Path) -> AsyncIterator[Trap]:
    """The canaries in place, both servers listening on loopback."""
    mark, host, other = folder / "mark", folder / "host", folder / "other"
    for path in (mark, host, other):
        path.mkdir()
    (host / "host.txt").write_text(HOST_SECRET)
    git("init", "-q", "-b", "main", cwd=other)
    blob = git("hash-object", "-w", "--stdin", cwd=other, stdin=HOST_SECRET.encode())
    evil, forge = Listener(), Listener()
    async with contextlib.AsyncExitStack() as servers:
        for listener in (evil, forge):
            listener.url = f"http://127.0.0.1:{await servers.enter_async_context(serve(listener.answer))}/"
        yield Trap(mark, host, other / ".git", blob, evil, forge)
