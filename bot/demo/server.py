"""The demo's page and the pull request pages: one small server on a free port of 127.0.0.1."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jinja2
from aiohttp import web

from bot.demo.channel import EMOJI, PEOPLE, Channel
from bot.demo.door import HEADERS, Door
from bot.demo.feed import Feed
from bot.demo.pull_page import PullPages

FOLDER: Final = Path(__file__).parent / "page"
MAX_BODY: Final = 64 * 1024
MAX_TEXT: Final = 10_000
"""Characters that a visitor may send at once."""
_STATIC: Final = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}


@dataclass(slots=True)
class Pages:
    """The pages while they are served. `seen` is set once a browser follows the channels."""

    door: Door
    pulls: PullPages
    channels: dict[str, Channel]
    feed: Feed
    templates: jinja2.Environment
    seen: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where the pages are, without a token."""
        return self.door.url

    async def front(self, request: web.Request) -> web.Response:
        """The page; or the way in; or what to do without a token."""
        if "token" in request.query and (answer := self.door.sign_in(request)) is not None:
            return answer
        if self.door.admits(request):
            if "token" in request.query:
                return web.Response(status=303, headers={"Location": "/"})
            channels = list(self.channels.values())
            return self.render("page.html", channels=channels, people=PEOPLE, emoji=EMOJI)
        return self.render("closed.html", status=403)

    async def static(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return web.Response(body=(FOLDER / name).read_bytes(), content_type=_STATIC[name], charset="utf-8")

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The event stream; it ends with the demo."""
        answer = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream; charset=utf-8"})
        await answer.prepare(request)
        self.seen.set()
        with suppress(ConnectionError):
            async for event in self.feed.follow("zh" if request.query.get("language") == "zh" else "en"):
                await answer.write(event.encode())
        return answer

    async def act(self, request: web.Request) -> web.Response:
        """What a visitor does, as JSON. 204 when it was done; 400 and 409 say in words why it was not."""
        try:
            told = json.loads(await request.read())
            if request.content_type != "application/json" or not isinstance(told, dict):
                raise ValueError
            channel = self.channels[str(told["channel"])]
            person = str(told["person"])
            if person not in PEOPLE:
                raise ValueError
        except (ValueError, KeyError):
            raise web.HTTPBadRequest(text="The page sent something that cannot be read.") from None
        try:
            _carry_out(channel, person, told)
        except (LookupError, ValueError) as missing:
            raise web.HTTPConflict(text=str(missing).strip("'\"") or "That did not work.") from None
        return web.Response(status=204)

    def render(self, name: str, status: int = 200, **values: Any) -> web.Response:
        text = self.templates.get_template(name).render(**values)
        return web.Response(status=status, text=text, content_type="text/html")


def _carry_out(channel: Channel, person: str, told: dict[str, Any]) -> None:
    match told.get("do"):
        case "say":
            text = str(told["text"]).strip()
            if not 0 < len(text) <= MAX_TEXT:
                raise ValueError(f"A message has 1 to {MAX_TEXT:,} characters.")
            channel.says(person, text, str(told.get("thread") or ""))
        case "press":
            channel.presses(person, str(told["message"]), str(told["press"]))
        case "react" if told.get("emoji") in EMOJI:
            channel.reacts(person, str(told["message"]), str(told["emoji"]), bool(told.get("on", True)))
        case "pick" if told.get("name") in channel.menu:
            channel.picks(person, str(told["message"]), str(told["name"]))
        case "submit":
            channel.submits(person, str(told["form"]), _values(told["values"]))
        case "close":
            channel.closes(person, str(told["form"]))
        case _:
            raise ValueError("The page asked for something that the demo does not know.")


def _values(told: Any) -> dict[str, str]:
    if not isinstance(told, dict) or not all(isinstance(text, str) for text in told.values()):
        raise ValueError("A form's fields are texts.")
    return told


@asynccontextmanager
async def serve_pages(channels: Sequence[Channel]) -> AsyncIterator[Pages]:
    """Serves until the end of the block. `door.address` is what to open."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined
    )
    door, feed = Door(), Feed(channels)
    pages = Pages(door, PullPages(templates), {channel.name: channel for channel in channels}, feed, templates)
    application = web.Application(middlewares=[door.guard], client_max_size=MAX_BODY)
    application.router.add_get("/", pages.front)
    application.router.add_get("/{name:page\\.css|page\\.js|icon\\.svg}", pages.static)
    application.router.add_get("/events", pages.events)
    application.router.add_post("/do", pages.act)
    pages.pulls.register(application.router)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    watching = asyncio.create_task(feed.watch())
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        door.url = f"http://{host}:{port}"
        yield pages
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await runner.cleanup()
