"""The long connection: its address, then protobuf frames over a WebSocket. Each payload goes to one connection."""

import asyncio
import base64
import contextlib
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import WSMsgType, web

from platforms.lark.simulator.api import ApiError, Credentials
from platforms.lark.simulator.delivery import Attempt, Courier, Delivery
from platforms.lark.simulator.frames import CONTROL, DATA, Frame, decode, encode, split
from platforms.lark.simulator.state import World
from platforms.simulation import FaultPlan

Json = dict[str, Any]


@dataclass
class Connection:
    """One open socket. `deaf` takes payloads without passing them on; `blackhole` neither reads nor writes."""

    number: int
    socket: web.WebSocketResponse
    request: web.Request
    device_id: str
    service_id: int
    deaf: bool = False
    blackhole: bool = False
    closed: bool = False
    delivered: int = 0
    pings: int = 0
    waiting: dict[str, tuple[Delivery, Attempt]] = field(default_factory=dict)


class Sockets:
    """Serves the endpoint and the socket, and is a transport of the courier."""

    def __init__(
        self, world: World, courier: Courier, credentials: Credentials, faults: FaultPlan, most: int, frame_bytes: int
    ) -> None:
        self.world = world
        self.courier = courier
        self.credentials = credentials
        self.faults = faults
        self.most = most
        self.frame_bytes = frame_bytes
        self.client_config: Json = {}
        self.address: Callable[[], str] = lambda: ""
        self.connections: list[Connection] = []
        self.opened = 0
        self.deaf_from_now = False
        self._devices: dict[str, int] = {}
        self._turn = itertools.count()
        self._sequence = itertools.count(1)
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def live(self) -> list[Connection]:
        return [c for c in list(self.connections) if not c.closed]

    def endpoint(self, arguments: Json) -> Json:
        """`/callback/ws/endpoint`: an address for one connection and how the client is to behave."""
        if self.credentials.wrong_domain:
            raise ApiError(1000040351, "Incorrect domain name", status=200)
        if not self.credentials.knows(str(arguments.get("AppID")), str(arguments.get("AppSecret"))):
            raise ApiError(1000040345, "app_id or app_secret is invalid", status=200)
        device, service = self.world.ids.digits(19), int(self.world.ids.digits(8))
        self._devices[device] = service
        query = f"fpid=493&aid=552564&device_id={device}&access_key={self.world.ids.hexadecimal(32)}"
        url = f"{self.address()}/ws/v2?{query}&service_id={service}&ticket={self.world.ids.uuid()}"
        return {"URL": url, "ClientConfig": dict(self.client_config)}

    async def link(self, request: web.Request) -> web.StreamResponse:
        """The socket itself: data frames out and acks in, pings answered."""
        device = request.query.get("device_id", "")
        refusal = self._refusal(device, request)
        if refusal is not None:
            return refusal
        socket = web.WebSocketResponse(autoping=False, max_msg_size=0)
        await socket.prepare(request)
        self.opened += 1
        connection = Connection(self.opened, socket, request, device, self._devices[device], deaf=self.deaf_from_now)
        self.connections.append(connection)
        self.world.changed()
        try:
            await self._read(connection)
        finally:
            self._lost(connection)
        return socket

    def send(self, delivery: Delivery, attempt: Attempt) -> None:
        """Hands one attempt to one connection, in turn."""
        live = self.live
        if not live:
            self.courier.fail(delivery, attempt, "connection_failed")
            return
        connection = live[next(self._turn) % len(live)]
        if connection.deaf:
            self.courier.swallow(delivery, attempt)
            return
        connection.waiting[attempt.transport_id] = (delivery, attempt)
        connection.delivered += 1
        if not connection.blackhole:
            self._later(self._write(connection, self._frames(connection, delivery, attempt), attempt))

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

    def ask_to_reconnect(self) -> None:
        """Lark has no word for it: the server closes, "going away"."""
        for connection in self.live:
            self._lost(connection)
            self._later(connection.socket.close(code=1001, message=b"server is going away"))

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

    def _refusal(self, device: str, request: web.Request) -> web.Response | None:
        """A refused handshake carries its reason in headers."""
        fault = self.faults.take("connect")
        if fault is not None:
            if (fault.drop_before_commit or fault.drop_after_commit) and request.transport is not None:
                request.transport.abort()
            return _refused(fault.status or 403, "forbidden", None)
        if device not in self._devices:
            return _refused(514, "auth failed", 1000040344)
        if len(self.live) >= self.most:
            return _refused(514, "The number of connections exceeded the limit", 1000040350)
        return None

    async def _read(self, connection: Connection) -> None:
        async for message in connection.socket:
            if connection.blackhole:
                continue
            if message.type is WSMsgType.PING:
                with contextlib.suppress(ConnectionError):  # it is being closed
                    await connection.socket.pong(message.data)
            elif message.type is WSMsgType.BINARY:
                await self._took(connection, message.data)
            elif message.type is WSMsgType.TEXT:
                self.world.surprise("socket", f"a text frame: {message.data[:100]}")

    async def _took(self, connection: Connection, data: bytes) -> None:
        try:
            frame = decode(data)
        except (ValueError, UnicodeDecodeError) as error:
            self.world.surprise("socket", f"a frame that cannot be read: {error}")
            return
        if frame.method == CONTROL and frame.headers.get("type") == "ping":
            connection.pings += 1
            pong = Frame(frame.seq_id, frame.log_id, connection.service_id, CONTROL, {"type": "pong"})
            pong.payload = json.dumps(self.client_config).encode()
            with contextlib.suppress(ConnectionError):
                await connection.socket.send_bytes(encode(pong))
            self.world.changed()
        elif frame.method == DATA:
            self._acknowledged(connection, frame)
        else:
            self.world.surprise("socket", f"an unknown frame: method {frame.method}, {frame.headers}")

    def _acknowledged(self, connection: Connection, frame: Frame) -> None:
        found = connection.waiting.pop(frame.headers.get("message_id", ""), None)
        if found is None:
            self.world.surprise("socket", f"an ack for an unknown message {frame.headers.get('message_id')}")
            return
        try:
            body = json.loads(frame.payload)
            code, data = int(body["code"]), body.get("data")
            answer = json.loads(base64.b64decode(data, validate=True)) if data else None
        except (ValueError, KeyError, TypeError, AttributeError):
            self.world.surprise("socket", f"an ack that cannot be read: {frame.payload[:200]!r}")
            self.courier.fail(*found, "refused")
            return
        if unknown := sorted(set(body) - {"code", "headers", "data"}):
            self.world.surprise("socket", f"unknown fields in an ack: {unknown}")
        if frame.service != connection.service_id:
            self.world.surprise("socket", f"an ack for another service: {frame.service}")
        self.courier.answer(*found, answer, code)

    def _frames(self, connection: Connection, delivery: Delivery, attempt: Attempt) -> list[bytes]:
        pieces = split(json.dumps(delivery.payload, ensure_ascii=False).encode(), self.frame_bytes)
        trace, log_id = self.world.ids.hexadecimal(32), int(self.world.ids.digits(18))
        return [
            encode(
                Frame(
                    next(self._sequence),
                    log_id,
                    connection.service_id,
                    DATA,
                    {
                        "type": delivery.frame_type,
                        "message_id": attempt.transport_id,
                        "trace_id": trace,
                        "sum": str(len(pieces)),
                        "seq": str(index),
                    },
                    payload=piece,
                    log_id_new=trace,
                )
            )
            for index, piece in enumerate(pieces)
        ]

    async def _write(self, connection: Connection, frames: list[bytes], attempt: Attempt) -> None:
        try:
            attempt.sent = time.monotonic()
            for frame in frames:
                await connection.socket.send_bytes(frame)
        except (ConnectionError, RuntimeError):
            self._lost(connection)

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


def _refused(status: int, message: str, auth_code: int | None) -> web.Response:
    headers = {"Handshake-Status": str(status), "Handshake-Msg": message}
    headers |= {} if auth_code is None else {"Handshake-Autherrcode": str(auth_code)}
    return web.Response(status=403, text=message, headers=headers)
