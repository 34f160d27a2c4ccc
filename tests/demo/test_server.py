"""The demo's server: who may come in, what it answers, and what the page is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from bot.demo.server import Pages, serve_pages
from bot.demo.slack_view import SlackChannel, open_slack

JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Pages, SlackChannel, httpx.AsyncClient]]:
    """The pages of a Slack without a bot, and a browser that has not come in yet."""
    with ExitStack() as stack:
        channel = open_slack(stack)
        async with serve_pages([channel]) as pages, httpx.AsyncClient(trust_env=False, base_url=pages.url) as browser:
            yield pages, channel, browser


async def come_in(pages: Pages, browser: httpx.AsyncClient) -> httpx.Response:
    return await browser.get(pages.door.address)


async def act(pages: Pages, browser: httpx.AsyncClient, **told: Any) -> httpx.Response:
    """What the page would send."""
    body = json.dumps({"channel": "slack", "person": "ana", **told})
    return await browser.post("/do", content=body, headers={**JSON, "Origin": pages.url})


async def first_events(browser: httpx.AsyncClient, count: int, after_first: Any = None) -> list[tuple[str, Any]]:
    """The first events of a stream; `after_first` is called once the first is there."""
    found: list[tuple[str, Any]] = []
    name = ""
    async with browser.stream("GET", "/events", timeout=20) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                found.append((name, json.loads(line[6:])))
                if len(found) == 1 and after_first is not None:
                    after_first()
                if len(found) == count:
                    break
    return found


async def test_the_printed_address_opens_the_page_once() -> None:
    async with served() as (pages, _, browser):
        address = pages.door.address
        answer = await browser.get(address)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Message in Slack" in (await browser.get("/")).text
        async with httpx.AsyncClient(trust_env=False, base_url=pages.url) as stranger:
            refused = await stranger.get(address)
            assert refused.status_code == 403
            assert "set-cookie" not in refused.headers
            assert (await stranger.get(pages.door.address)).status_code == 303


@pytest.mark.parametrize("path", ["/events", "/page.js", "/local/invoices/pull/1", "/nothing"])
async def test_without_the_cookie_nothing_is_shown(path: str) -> None:
    async with served() as (pages, _, browser):
        for cookie in ("", "wrong", "%C3%A9"):
            answer = await browser.get(path, headers={"Cookie": f"{pages.door.cookie}={cookie}"})
            assert answer.status_code == 403


async def test_a_name_that_only_leads_here_sees_nothing() -> None:
    async with served() as (pages, _, browser):
        await come_in(pages, browser)
        for path in ("/", "/page.css", "/events"):
            assert (await browser.get(path, headers={"Host": "evil.example"})).status_code == 404


async def test_every_answer_carries_a_strict_policy() -> None:
    async with served() as (pages, _, browser):
        for path in ("/", pages.door.address, "/page.css", "/page.js", "/nothing"):
            headers = (await browser.get(path)).headers
            assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "SELF", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "SELF", "Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_change_must_come_from_the_page_itself(headers: dict[str, str]) -> None:
    async with served() as (pages, channel, browser):
        await come_in(pages, browser)
        body = json.dumps({"channel": "slack", "person": "ana", "do": "say", "text": "hello"})
        told = {name: value.replace("SELF", pages.url) for name, value in headers.items()}
        answer = await browser.post("/do", content=body, headers={**JSON, **told})
        assert answer.status_code == 403
        assert channel.shown() == []


async def test_what_a_visitor_does_happens_in_the_chat() -> None:
    async with served() as (pages, channel, browser):
        await come_in(pages, browser)
        assert (await act(pages, browser, do="say", text="hello <b>")).status_code == 204
        said = channel.shown()[0]
        assert (said.key, said.text) == ("ana", "hello <b>")
        assert (await act(pages, browser, do="say", text="yes", thread=said.id, person="bo")).status_code == 204
        assert (await act(pages, browser, do="react", message=said.id, emoji="👍", person="cy")).status_code == 204
        root, reply = channel.shown()
        assert (reply.key, reply.thread) == ("bo", root.id)
        assert root.reactions[0].by == ("cy",)
        assert (await act(pages, browser, do="react", message=said.id, emoji="👍", person="cy", on=False)).is_success
        assert channel.shown()[0].reactions == ()


@pytest.mark.parametrize(
    ("told", "status", "words"),
    [
        ({"do": "say", "text": "  "}, 409, "1 to 10,000 characters"),
        ({"do": "say", "text": "a" * 10_001}, 409, "1 to 10,000 characters"),
        ({"do": "press", "message": "1.1", "press": "x"}, 409, "no longer there"),
        ({"do": "react", "message": "1.1", "emoji": "👀"}, 409, "no longer there"),
        ({"do": "react", "message": "1.1", "emoji": "<b>"}, 409, "does not know"),
        ({"do": "fly"}, 409, "does not know"),
        ({"do": "pick", "message": "1.1", "name": "codetask_file"}, 409, "no longer there"),
        ({"do": "pick", "message": "1.1", "name": "codetask_later"}, 409, "does not know"),
        ({"do": "submit", "form": "V1", "values": {}}, 409, "is closed"),
        ({"do": "submit", "form": "V1", "values": {"note": 1}}, 409, "are texts"),
        ({"do": "close", "form": "V1"}, 409, "is closed"),
        ({"do": "say", "text": "x", "person": "gus"}, 400, "cannot be read"),
        ({"do": "say", "text": "x", "channel": "irc"}, 400, "cannot be read"),
    ],
)
async def test_what_cannot_be_done_is_said_in_words(told: dict[str, Any], status: int, words: str) -> None:
    async with served() as (pages, channel, browser):
        await come_in(pages, browser)
        answer = await act(pages, browser, **told)
        assert answer.status_code == status
        assert words in answer.text
        assert channel.shown() == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff", b"{}"])
async def test_what_is_no_request_is_refused(body: bytes) -> None:
    async with served() as (pages, _, browser):
        await come_in(pages, browser)
        answer = await browser.post("/do", content=body, headers={**JSON, "Origin": pages.url})
        assert answer.status_code == 400


async def test_the_stream_tells_everything_once_and_then_what_changed() -> None:
    async with served() as (pages, channel, browser):
        await come_in(pages, browser)
        channel.says("ana", "first \ud800 <script>")
        said = channel.shown()[0]
        events = await first_events(browser, 2, lambda: channel.reacts("bo", said.id, "👀", True))
        (kind, everything), (then, some) = events
        assert (kind, then) == ("all", "some")
        assert [m["id"] for m in everything["messages"]] == [said.id]
        assert everything["messages"][0]["channel"] == "slack"
        assert [m["reactions"][0]["by"] for m in some["messages"]] == [["bo"]]
        assert pages.seen.is_set()


async def test_the_stream_tells_of_the_forms_that_are_open() -> None:
    async with served() as (pages, channel, browser):
        await come_in(pages, browser)
        view = {"type": "modal", "title": {"type": "plain_text", "text": "Hello"}, "blocks": []}
        channel.simulator.shows_form("ana", view)
        form = channel.forms()[0]
        (_, everything), (_, some) = await first_events(browser, 2, lambda: channel.closes("ana", form.id))
        assert [(f["channel"], f["id"], f["to"], f["title"]) for f in everything["forms"]] == [
            ("slack", form.id, "ana", "Hello")
        ]
        assert some == {"forms": []}


async def test_what_was_deleted_is_taken_away() -> None:
    async with served() as (pages, channel, browser):
        await come_in(pages, browser)
        channel.says("ana", "a slip")
        said = channel.simulator.messages[0]
        _, (_, some) = await first_events(browser, 2, lambda: channel.simulator.user_deletes(said))
        assert some["gone"] == [{"channel": "slack", "id": said.ts}]


async def test_an_open_stream_ends_with_the_demo() -> None:
    with ExitStack() as stack:
        channel = open_slack(stack)
        async with AsyncExitStack() as asyncs:
            pages = await asyncs.enter_async_context(serve_pages([channel]))
            browser = httpx.AsyncClient(trust_env=False, base_url=pages.url)
            await come_in(pages, browser)
            async with browser.stream("GET", "/events", timeout=20) as stream:
                lines = stream.aiter_lines()
                assert await anext(lines) == "event: all"
                await asyncio.wait_for(asyncs.aclose(), 10)
                assert [line async for line in lines if line.startswith("event")] == []
            await browser.aclose()
