"""The pages behind the demo's links: one plain page for each pull request of the local forge, on loopback."""

import html
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from bot.ports import Repo
from bot.worker.forges.local import LocalForge
from bot.worker.forges.local_store import LocalPull

_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
pre{{background:#f6f8fa;padding:1rem;overflow:auto}}</style>
<h1>{title}</h1><p>{state}: {head} → {base}. This page belongs to the demo; <code>merge {number}</code> merges.</p>
<h2>Description</h2><pre>{body}</pre><h2>Changes</h2><pre>{diff}</pre></html>
"""
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Frame-Options": "DENY",
}


@dataclass(slots=True)
class PullPages:
    """Shows the pull requests of `forge` once it and its repository are known."""

    url: str = ""
    forge: LocalForge | None = None
    repo: Repo | None = None

    async def show(self, request: web.Request) -> web.Response:
        """One pull request, or 404; also for a name that only leads here (a page elsewhere may not read this one)."""
        if f"http://{request.host}" != self.url:
            raise web.HTTPNotFound
        number = int(request.match_info["number"])
        if self.forge is None or self.repo is None or request.match_info["alias"] != self.repo.alias:
            raise web.HTTPNotFound
        pull = await self.forge.stored(self.repo, number)
        diff = await self.forge.diff(self.repo, number)
        if not isinstance(pull, LocalPull) or not isinstance(diff, str):
            raise web.HTTPNotFound
        shown = {
            name: html.escape(str(getattr(pull, name))) for name in ("title", "state", "head", "base", "number", "body")
        }
        page = _PAGE.format(**shown, diff=html.escape(diff))
        return web.Response(text=page, content_type="text/html", headers=_HEADERS)


@asynccontextmanager
async def serve_pull_pages() -> AsyncIterator[PullPages]:
    """Serves on a free port of 127.0.0.1; `url` is its address."""
    pages = PullPages()
    application = web.Application()
    application.router.add_get(r"/local/{alias}/pull/{number:[1-9]\d{0,8}}", pages.show)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        pages.url = f"http://{host}:{port}"
        yield pages
    finally:
        await runner.cleanup()
