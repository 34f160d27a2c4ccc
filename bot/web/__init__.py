"""The HTTP side of one process: `create_web(parts)` builds it, `serve_web(parts, stop)` serves it until `stop`.

FastAPI is imported when one of them is called, so nothing that only mentions this package pays for it.
"""

import asyncio
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from bot.web.parts import Parts


def create_web(parts: "Parts", stop: asyncio.Event | None = None) -> "FastAPI":
    """The application: `/api/v1`, `/webhooks`, health and metrics. Streams end when `stop` is set."""
    from bot.web import application

    return application.create_web(parts, stop)


async def serve_web(parts: "Parts", stop: asyncio.Event, sock: socket.socket | None = None) -> None:
    """Serves on `sock` (else on WEB_BIND) until `stop`."""
    from bot.web import server

    await server.serve_web(parts, stop, sock)
