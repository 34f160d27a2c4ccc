"""Socket Mode: the WebSocket side. Each payload goes to exactly one of the open connections."""

import asyncio
import itertools
import json
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from aiohttp import WSMsgType, web

from platforms.simulation import Timers
from platforms.slack.simulator.delivery import Attempt, Courier, Delivery
from platforms.slack.simulator.state import World

Json = dict[str, Any]
TICKET_LIFE = timedelta(seconds=30)


@dataclass
class Connection:
    """One open socket. `deaf` takes payloads without passing them on; `blackhole` neither reads nor writes."""

    number: int
    socket: web.WebSocketResponse
    request: web.Request
    deaf: bool = False
    blackhole: bool = False
    closed: bool = False
    delivered: int = 0
    pings: int = 0
    waiting: dict[str, tuple[Delivery, Attempt]] = field(default_factory=dict)


class Sockets:
    """Serves `/link` and is a transport of the courier."""

    def __init__(self, world: World, courier: Courier, timers: Timers, most: int) -> None:
        self.world = world
        self.courier = courier
        self.timers = timers
        self.most = most
        self.connections: list[Connection] = []
        self.opened = 0
        self.deaf_from_now = False
        self._tickets: dict[str, Any] = {}
        self._turn = itertools.count()
        self._sending: set[asyncio.Task[None]] = set()

    def new_ticket(self) -> str:
        ticket = self.world.ids.uuid()
        self._tickets[ticket] = self.world.clock.now() + TICKET_LIFE
        return ticket

    @property
    def live(self) -> list[Connection]:
        return [c for c in list(self.connections) if not c.closed]

    async def link(self, request: web.Request) -> web.StreamResponse:
        """The socket itself: hello, then payloads out and acks in."""
        expires_at = self._tickets.get(request.query.get("ticket", ""))
        if expires_at is None or expires_at < self.world.clock.now():
            return web.Response(status=404, text="invalid ticket")
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        self.opened += 1
        connection = Connection(self.opened, socket, request, deaf=self.deaf_from_now)
        if len(self.live) >= self.most:
            await socket.send_json(self._disconnect("too_many_websockets"))
            await socket.close()
            return socket
        self.connections.append(connection)
        await socket.send_json(self._hello())
        self.world.changed()
        try:
            await self._read(connection)
        finally:
            self._lost(connection)
        return socket

    def send(self, delivery: Delivery, attempt: Attempt, reason: str) -> None:
        """Hands one attempt to one connection, in turn."""
        live = self.live
        if not live:
            self.courier.fail(delivery, attempt, "connection_failed")
            return
        connection = live[next(self._turn) % len(live)]
        if connection.deaf:
            self.courier.swallow(delivery, attempt)
            return
        connection.waiting[attempt.envelope_id] = (delivery, attempt)
        connection.delivered += 1
        if not connection.blackhole:
            task = asyncio.ensure_future(self._write(connection, self._envelope(delivery, attempt, reason), attempt))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    def drop(self, how: Literal["clean", "abort", "blackhole"]) -> None:
        """Ends every open connection in the given way."""
        for connection in self.live:
            if how == "blackhole":
                connection.blackhole = True
                continue
            self._lost(connection)
            if how == "abort":
                self._abort(connection)
            else:
                self._later(connection.socket.close())

    def ask_to_reconnect(self, reason: str) -> None:
        """Sends a `disconnect` frame on every connection; Slack closes them some seconds later."""
        for connection in self.live:
            self._later(self._farewell(connection, reason))

    def hear(self, deaf: bool, new_ones_too: bool) -> None:
        self.deaf_from_now = deaf and new_ones_too
        for connection in self.live:
            connection.deaf = deaf

    async def close(self) -> None:
        for connection in self.live:
            connection.closed = True
            if connection.blackhole:
                self._abort(connection)
            else:
                await connection.socket.close()
        for task in list(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _read(self, connection: Connection) -> None:
        async for message in connection.socket:
            if connection.blackhole:
                continue
            if message.type is WSMsgType.PING:
                connection.pings += 1
                await connection.socket.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self._acknowledged(connection, message.data)

    def _acknowledged(self, connection: Connection, text: str) -> None:
        try:
            frame = json.loads(text)
            envelope_id = frame["envelope_id"]
        except (ValueError, KeyError, TypeError):
            self.world.surprise("socket", f"a frame that is no ack: {text[:200]}")
            return
        extra = set(frame) - {"envelope_id", "payload"}
        if extra:
            self.world.surprise("socket", f"unknown fields in an ack: {sorted(extra)}")
        found = connection.waiting.pop(envelope_id, None)
        if found is None:
            self.world.surprise("socket", f"an ack for an unknown envelope {envelope_id}")
            return
        self.courier.answer(*found, frame.get("payload"))

    async def _write(self, connection: Connection, envelope: Json, attempt: Attempt) -> None:
        try:
            attempt.sent = time.monotonic()
            await connection.socket.send_json(envelope)
        except (ConnectionError, RuntimeError):
            self._lost(connection)

    async def _farewell(self, connection: Connection, reason: str) -> None:
        await connection.socket.send_json(self._disconnect(reason))
        self.timers.after(timedelta(seconds=10), lambda: self._later(connection.socket.close()))

    def _lost(self, connection: Connection) -> None:
        """What was sent there and not acknowledged failed."""
        connection.closed = True
        waiting, connection.waiting = connection.waiting, {}
        for delivery, attempt in waiting.values():
            self.courier.fail(delivery, attempt, "connection_failed")
        self.world.changed()

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    @staticmethod
    def _abort(connection: Connection) -> None:
        if connection.request.transport is not None:
            connection.request.transport.abort()

    def _envelope(self, delivery: Delivery, attempt: Attempt, reason: str) -> Json:
        envelope: Json = {
            "envelope_id": attempt.envelope_id,
            "payload": delivery.payload,
            "type": delivery.kind,
            "accepts_response_payload": delivery.kind != "events_api",
        }
        if delivery.kind == "events_api":
            envelope["retry_attempt"] = attempt.number
            envelope["retry_reason"] = reason.removeprefix("http_")
        return envelope

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.live),
            "debug_info": {"host": "applink-0", "build_number": 1, "approximate_connection_time": 18060},
            "connection_info": {"app_id": self.world.app_id},
        }

    @staticmethod
    def _disconnect(reason: str) -> Json:
        return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-0"}}
