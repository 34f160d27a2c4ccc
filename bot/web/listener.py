"""The socket that the HTTP server listens on, opened before anything starts so that a taken port is said at once."""

import socket
from typing import Final

from bot.settings import Settings

BACKLOG: Final = 1024


class WebRefused(Exception):
    """The HTTP server cannot listen. The text says on what, and what to do."""


def open_listener(settings: Settings) -> socket.socket:
    """A socket that listens on WEB_BIND (port 0: any free one). Raises `WebRefused` when that address is taken."""
    host, port = settings.web_host.strip("[]"), settings.web_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise WebRefused(
            f"Cannot listen on {settings.web_bind}: {error.strerror or error}. "
            "Stop what listens there, or set WEB_BIND to another address."
        ) from error
