"""Webhooks of the Lark simulator: encrypted, signed, verified by an own receiver."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aiohttp import web
from Crypto.Cipher import AES

from platforms.lark.simulator import LarkSimulator, encrypted_body, signed_headers

Json = dict[str, Any]


@dataclass
class App:
    """An app that checks and opens what it gets, and answers as told."""

    sim: LarkSimulator
    url: str = ""
    status: int = 200
    answer: Json = field(default_factory=dict)
    challenges: bool = True
    got: list[Json] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.headers.append(dict(request.headers))
        signature = request.headers.get("X-Lark-Signature")
        if signature is not None:
            stamp, nonce = request.headers["X-Lark-Request-Timestamp"], request.headers["X-Lark-Request-Nonce"]
            whole = f"{stamp}{nonce}{self.sim.encrypt_key}".encode() + body
            assert signature == hashlib.sha256(whole).hexdigest()
        payload = self.open(json.loads(body)["encrypt"])
        self.got.append(payload)
        if payload.get("type") == "url_verification" and self.challenges:
            assert payload["token"] == self.sim.verification_token
            return web.json_response({"challenge": payload["challenge"]})
        return web.json_response(self.answer, status=self.status)

    def open(self, encrypted: str) -> Json:
        raw = base64.b64decode(encrypted)
        key = hashlib.sha256(self.sim.encrypt_key.encode()).digest()
        plain = AES.new(key, AES.MODE_CBC, raw[:16]).decrypt(raw[16:])
        return json.loads(plain[: -plain[-1]])


@asynccontextmanager
async def serving(sim: LarkSimulator) -> AsyncIterator[App]:
    app = App(sim)
    routes = web.Application()
    routes.router.add_post("/lark/events", app.receive)
    runner = web.AppRunner(routes)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        app.url = "http://{}:{}/lark/events".format(*runner.addresses[0][:2])
        sim.use_http(app.url)
        yield app
    finally:
        await runner.cleanup()


async def test_the_challenge() -> None:
    with LarkSimulator() as sim:
        async with serving(sim) as app:
            assert await sim.verify_request_url()
            assert "X-Lark-Signature" in app.headers[0]
            assert await sim.verify_request_url(signed=False)
            assert "X-Lark-Signature" not in app.headers[1]
            app.challenges = False
            assert not await sim.verify_request_url()
            sim.use_http(app.url.replace("/lark/events", "/elsewhere"))
            assert not await sim.verify_request_url()


async def test_an_event_and_its_ack() -> None:
    with LarkSimulator() as sim:
        async with serving(sim) as app:
            message = sim.user_mentions("cy", "修复登录", "dev")
            (delivery,) = sim.deliveries_of(message)
            await sim.wait_for(lambda: delivery.acked)
            assert app.got == [delivery.payload]
            assert app.got[0]["header"]["token"] == sim.verification_token
            assert delivery.attempts[0].status == 200
        assert sim.surprises == []


async def test_failures_are_tried_again() -> None:
    with LarkSimulator() as sim:
        async with serving(sim) as app:
            app.status = 503
            (delivery,) = sim.deliveries_of(sim.user_mentions("ana", "x"))
            await sim.wait_for(lambda: delivery.state == "waiting")
            sim.advance(timedelta(seconds=15))
            await sim.wait_for(lambda: len(delivery.attempts) == 2 and delivery.state == "waiting")
            app.status = 200
            sim.advance(timedelta(minutes=5))
            await sim.wait_for(lambda: delivery.acked)
        assert [a.status for a in delivery.attempts] == [503, 503, 200]
        assert app.got[0] == app.got[2]
        assert app.headers[0]["X-Lark-Signature"] != app.headers[2]["X-Lark-Signature"]


async def test_an_app_that_is_down_gets_it_later() -> None:
    with LarkSimulator() as sim:
        async with serving(sim) as app:
            url = app.url
        sim.use_http(url)
        (delivery,) = sim.deliveries_of(sim.user_mentions("ana", "x"))
        await sim.wait_for(lambda: delivery.state == "waiting")
        assert delivery.attempts[0].outcome == "connection_failed"
        async with serving(sim):
            sim.advance(timedelta(seconds=15))
            await sim.wait_for(lambda: delivery.acked)


async def test_a_press_is_answered_in_the_body() -> None:
    with LarkSimulator() as sim:
        async with serving(sim) as app:
            app.answer = {"toast": {"type": "info", "content": "Seen"}}
            card = sim.shows_card("dev", {"tag": "button", "text": {"tag": "plain_text", "content": "Go"}}, {"v": 1})
            delivery = sim.clicks("ana", card, "Go")
            await sim.wait_for(lambda: delivery is not None and delivery.acked)
            assert (sim.whispers[0].text, sim.whispers[0].user) == ("Seen", sim.user("ana").id)
        assert sim.surprises == []


async def test_a_black_box_recipe() -> None:
    """The example of Lark's page on encryption: this key turns this text into `hello world`."""
    key = hashlib.sha256(b"test key").digest()
    raw = base64.b64decode("P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk=")
    plain = AES.new(key, AES.MODE_CBC, raw[:16]).decrypt(raw[16:])
    assert plain[: -plain[-1]] == b"hello world"
    body = json.loads(encrypted_body("test key", {"a": "é"}))
    raw = base64.b64decode(body["encrypt"])
    plain = AES.new(key, AES.MODE_CBC, raw[:16]).decrypt(raw[16:])
    assert json.loads(plain[: -plain[-1]]) == {"a": "é"}
    assert signed_headers("k", b"body", 1, "n")["X-Lark-Signature"] == hashlib.sha256(b"1nkbody").hexdigest()
