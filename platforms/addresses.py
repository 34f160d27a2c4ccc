"""Which addresses of a platform's server are safe to send a token to."""

from typing import Final
from urllib.parse import urlsplit

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def is_safe(url: str, scheme: str) -> bool:
    """Whether an address is encrypted (`https`, `wss`), or at least stays on this machine."""
    try:
        parts = urlsplit(url)
        return parts.scheme == scheme or (parts.scheme == scheme[:-1] and parts.hostname in LOOPBACK)
    except ValueError:
        return False
