"""uvicorn inside our own event loop: `stop` is the only switch, and it has no signal handlers of its own."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn

from bot.web.application import create_web
from bot.web.listener import open_listener
from bot.web.parts import Parts
from bot.web.tokens import admit_worker_token, leave_local_token

CLOSE_SECONDS: Final = 5


class Server(uvicorn.Server):
    """Leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def admit_tokens(parts: Parts) -> None:
    """Leaves the local token in the token file, and makes WORKER_TOKEN known to the store."""
    await leave_local_token(parts.store, parts.settings.token_file)
    if parts.settings.worker_token is not None:
        await admit_worker_token(parts.store, parts.settings.worker_token.get_secret_value())


async def serve_web(parts: Parts, stop: asyncio.Event, sock: socket.socket | None = None) -> None:
    """Serves until `stop`, then lets requests under way finish for a few seconds.

    Before the first request, the local token is in the token file and WORKER_TOKEN is known to the store."""
    listener = sock or open_listener(parts.settings)
    try:
        await admit_tokens(parts)
        config = uvicorn.Config(
            create_web(parts, stop),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            timeout_graceful_shutdown=CLOSE_SECONDS,
        )
        await _until(stop, Server(config), listener)
    finally:
        listener.close()


async def _until(stop: asyncio.Event, server: Server, listener: socket.socket) -> None:
    serving = asyncio.create_task(server.serve([listener]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.should_exit = True
        await serving
