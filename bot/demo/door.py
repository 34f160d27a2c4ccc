"""Who may see the demo's pages: this machine's own browser, once, by the address that the terminal printed.

The token in that address works once and becomes a cookie that no script reads and no other site's request carries.
A name that only leads here (DNS rebinding) gets nothing, and a change must come from the page itself.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OPEN_PATHS: Final = frozenset({"/", "/page.css", "/icon.svg"})
"""Answered without the cookie: nothing of the demo is in them (`/` takes the token or says where to find it)."""
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(slots=True)
class Door:
    """`url` is the only address answered (`http://127.0.0.1:port`), set once the port is known."""

    url: str = ""
    _token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    _session: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def address(self) -> str:
        """The address to open, with a token that works once. Asked for again after that, it has a new one."""
        if not self._token:
            self._token = secrets.token_urlsafe(24)
        return f"{self.url}/?token={self._token}"

    @property
    def cookie(self) -> str:
        """The cookie's name; cookies are shared by all ports of a host, so it carries the port."""
        return f"codetask_demo_{self.url.rpartition(':')[2]}"

    def admits(self, request: web.Request) -> bool:
        """Whether this browser came in by the printed address."""
        return hmac.compare_digest(
            request.cookies.get(self.cookie, "").encode(errors="replace"), self._session.encode()
        )

    def sign_in(self, request: web.Request) -> web.Response | None:
        """The answer that turns the token into the cookie; None when the token is not (or no longer) good."""
        given = request.query.get("token", "")
        if not self._token or not hmac.compare_digest(given.encode(errors="replace"), self._token.encode()):
            return None
        self._token = ""
        answer = web.Response(status=303, headers={"Location": "/"})
        answer.set_cookie(self.cookie, self._session, httponly=True, samesite="Strict", path="/")
        return answer

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuses what may not come in, and gives every answer its headers."""
        try:
            self._check(request)
            answer = await handler(request)
        except web.HTTPException as refused:
            refused.headers.update(HEADERS)
            raise
        if not answer.prepared:
            answer.headers.update(HEADERS)
        return answer

    def _check(self, request: web.Request) -> None:
        if f"http://{request.host}" != self.url:
            raise web.HTTPNotFound
        if request.path not in OPEN_PATHS and not self.admits(request):
            raise web.HTTPForbidden(text="Open the address that the demo printed in its terminal.\n")
        if request.method not in ("GET", "HEAD") and not self._from_here(request):
            raise web.HTTPForbidden(text="This did not come from the demo's own page.\n")

    def _from_here(self, request: web.Request) -> bool:
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None and site != "same-origin":
            return False
        return request.headers.get("Origin") == self.url
