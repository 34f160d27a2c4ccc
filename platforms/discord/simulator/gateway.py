"""The gateway: sockets and sessions. Every session hears every event; a lost one is replayed by RESUME."""

import asyncio
import json
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from aiohttp import WSMsgType, web

from platforms.discord.simulator.app import Application
from platforms.discord.simulator.catalog import CLOSE_REASONS, KNOWN_INTENTS, RESUME_WINDOW
from platforms.discord.simulator.payloads import guild_create_json, user_json
from platforms.discord.simulator.state import World
from platforms.simulation import Fault, FaultPlan

Json = dict[str, Any]
DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, VOICE, RESUME, RECONNECT, MEMBERS, INVALID, HELLO, ACK = (
    0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11
)  # fmt: skip
_IDENTIFY_FIELDS = {"token", "properties", "compress", "large_threshold", "shard", "presence", "intents"}
_QUERY = {"v", "encoding", "compress"}
_GREETINGS = ("READY", "RESUMED")
"""What also a deaf connection is told: it looks like any other."""
KEPT_FRAMES = 20_000
"""Events of a session that can be replayed; who missed more starts anew (Discord publishes no number)."""
MOST_FRAMES = 120
"""Frames a client may send per minute."""


class Closing(Exception):
    """The gateway ends the connection with a close code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"{code} {CLOSE_REASONS[code]}")
        self.code = code


@dataclass
class Session:
    """One logical connection; `log` is what it was sent, for RESUME."""

    id: str
    intents: int
    seq: int = 0
    log: deque[Json] = field(default_factory=lambda: deque(maxlen=KEPT_FRAMES))
    connection: "Connection | None" = None
    lost_at: datetime | None = None
    resumed: int = 0


@dataclass
class Connection:
    """One open socket. `deaf` takes events without passing them on; `blackhole` neither reads nor writes."""

    number: int
    socket: web.WebSocketResponse
    request: web.Request
    queue: "asyncio.Queue[tuple[Json, Callable[[], None] | None]]"
    pack: Callable[[bytes], bytes] | None = None
    session: Session | None = None
    deaf: bool = False
    blackhole: bool = False
    closed: bool = False
    close_code: int | None = None
    heartbeats: int = 0
    delivered: int = 0
    frames: list[datetime] = field(default_factory=list)
    ending: "asyncio.Future[Any] | None" = None


class Gateway:
    """Serves the WebSocket and dispatches events."""

    def __init__(self, world: World, app: Application, heartbeat: timedelta, faults: FaultPlan) -> None:
        self.world = world
        self.app = app
        self.faults = faults
        self.heartbeat = heartbeat
        self.url = ""
        self.connections: list[Connection] = []
        self.sessions: dict[str, Session] = {}
        self.opened = 0
        self.identifies = 0
        self.deaf_from_now = False
        self.close_codes: list[int] = []

    @property
    def live(self) -> list[Connection]:
        return [c for c in list(self.connections) if not c.closed]

    # --- Events out ---------------------------------------------------------------------------------------------------

    def dispatch(
        self, event: str, intent: int, payload: Callable[[Session], Json | None], sent: Callable[[], None] | None = None
    ) -> int:
        """Sends an event to every session with the intent (0: to all); the number of sessions reached.

        A session whose `payload` is None does not hear of it. `sent` is called when the first socket took it.
        """
        reached = 0
        for session in list(self.sessions.values()):
            if self._expired(session):
                del self.sessions[session.id]
                continue
            if intent and not session.intents & intent:
                continue
            data = payload(session)
            if data is not None:
                self._emit(session, event, data, sent)
                reached += self._hears(session)
        return reached

    def _hears(self, session: Session) -> bool:
        connection = session.connection
        return connection is not None and not connection.closed and not connection.deaf and not connection.blackhole

    def _emit(self, session: Session, event: str, data: Json, sent: Callable[[], None] | None = None) -> None:
        session.seq += 1
        frame = {"op": DISPATCH, "t": event, "s": session.seq, "d": data}
        session.log.append(frame)
        connection = session.connection
        if connection is not None and (not connection.deaf or event in _GREETINGS):
            self._put(connection, frame, sent)

    def _put(self, connection: Connection, frame: Json, sent: Callable[[], None] | None = None) -> None:
        if not connection.closed and not connection.blackhole:
            connection.delivered += frame["op"] == DISPATCH
            connection.queue.put_nowait((frame, sent))

    # --- What the platform does ---------------------------------------------------------------------------------------

    def drop(self, how: Literal["clean", "abort", "blackhole"], code: int) -> None:
        """Ends every open connection in the given way; sessions can be resumed."""
        for connection in self.live:
            if how == "blackhole":
                connection.blackhole = True
            elif how == "abort":
                self._lost(connection)
                _abort(connection)
            else:
                self.close_with(connection, code)
        self.world.changed()

    def close_with(self, connection: Connection, code: int) -> None:
        self._lost(connection)
        connection.close_code = code
        self.close_codes.append(code)
        if code in (4004, 4010, 4011, 4012, 4013, 4014) and connection.session is not None:
            self.sessions.pop(connection.session.id, None)
        closing = connection.socket.close(code=code, message=CLOSE_REASONS.get(code, "").encode())
        connection.ending = asyncio.ensure_future(closing)

    def ask_to_reconnect(self) -> None:
        for connection in self.live:
            self._put(connection, {"op": RECONNECT, "d": None})

    def invalidate(self, resumable: bool) -> None:
        for connection in self.live:
            if connection.session is not None and not resumable:
                self.sessions.pop(connection.session.id, None)
                connection.session = None
            self._put(connection, {"op": INVALID, "d": resumable})
        if not resumable:
            self.sessions.clear()

    def hear(self, deaf: bool, new_ones_too: bool) -> None:
        self.deaf_from_now = deaf and new_ones_too
        for connection in self.live:
            connection.deaf = deaf

    async def close(self) -> None:
        for connection in self.live:
            connection.closed = True
            if connection.blackhole:
                _abort(connection)
            else:
                await connection.socket.close(code=1001)

    # --- The socket ---------------------------------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection from HELLO to its end."""
        fault = self.faults.take("gateway")
        if fault is not None:
            return self._turn_away(request, fault)
        socket = web.WebSocketResponse(autoping=True, max_msg_size=4096 * 4)
        if not socket.can_prepare(request).ok:
            return web.Response(status=404)
        await socket.prepare(request)
        self.opened += 1
        connection = Connection(self.opened, socket, request, asyncio.Queue(), deaf=self.deaf_from_now)
        self.connections.append(connection)
        writer = asyncio.ensure_future(self._write(connection))
        try:
            connection.pack = self._packer(request)
            interval = int(self.heartbeat / timedelta(milliseconds=1))
            self._put(connection, {"op": HELLO, "s": None, "t": None, "d": {"heartbeat_interval": interval}})
            self.world.changed()
            await self._read(connection)
        except Closing as closing:
            self.close_with(connection, closing.code)
        finally:
            self._lost(connection)
            writer.cancel()
            await asyncio.gather(writer, *([connection.ending] if connection.ending else []), return_exceptions=True)
        return socket

    @staticmethod
    def _turn_away(request: web.Request, fault: Fault) -> web.Response:
        if (fault.drop_before_commit or fault.drop_after_commit) and request.transport is not None:
            request.transport.abort()
        return web.Response(status=fault.status or 503)

    def _packer(self, request: web.Request) -> Callable[[bytes], bytes] | None:
        unknown = sorted(set(request.query) - _QUERY)
        if unknown:
            self.world.surprise("gateway", f"unknown parameters: {', '.join(unknown)}")
        if request.query.get("v", "10") not in ("9", "10"):
            raise Closing(4012)
        if request.query.get("encoding", "json") != "json":
            raise Closing(4002)
        kind = request.query.get("compress")
        if kind is None:
            return None
        if kind == "zlib-stream":
            stream = zlib.compressobj()
            return lambda raw: stream.compress(raw) + stream.flush(zlib.Z_SYNC_FLUSH)
        if kind == "zstd-stream" and (pack := _zstd()) is not None:
            return pack
        self.world.surprise("gateway", f"unknown compression {kind}")
        return None

    async def _write(self, connection: Connection) -> None:
        while True:
            frame, sent = await connection.queue.get()
            raw = json.dumps({"t": None, "s": None, "d": None, **frame}, separators=(",", ":")).encode()
            if connection.blackhole:
                continue
            try:
                if connection.pack is None:
                    await connection.socket.send_str(raw.decode())
                else:
                    await connection.socket.send_bytes(connection.pack(raw))
            except (ConnectionError, RuntimeError):
                self._lost(connection)
                return
            if sent is not None:
                sent()

    async def _read(self, connection: Connection) -> None:
        async for message in connection.socket:
            if connection.blackhole:
                continue
            if connection.closed:
                return
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            try:
                frame = json.loads(message.data)
                op, data = frame["op"], frame.get("d")
            except (ValueError, KeyError, TypeError):
                raise Closing(4002) from None
            self._received(connection, op, data)

    def _received(self, connection: Connection, op: Any, data: Any) -> None:
        now = self.world.clock.now()
        connection.frames = [at for at in connection.frames if now - at < timedelta(minutes=1)] + [now]
        if len(connection.frames) > MOST_FRAMES:
            raise Closing(4008)
        if op == HEARTBEAT:
            connection.heartbeats += 1
            if data is not None and connection.session is not None and data > connection.session.seq:
                raise Closing(4007)
            self._put(connection, {"op": ACK})
        elif op == IDENTIFY:
            self._identify(connection, data)
        elif op == RESUME:
            self._resume(connection, data)
        elif op in (PRESENCE, VOICE, MEMBERS):
            if connection.session is None:
                raise Closing(4003)
        else:
            raise Closing(4001)

    # --- Sessions -----------------------------------------------------------------------------------------------------

    def _identify(self, connection: Connection, data: Any) -> None:
        if connection.session is not None:
            raise Closing(4005)
        if not isinstance(data, dict) or not {"token", "properties"} <= data.keys():
            raise Closing(4002)
        unknown = sorted(set(data) - _IDENTIFY_FIELDS)
        if unknown:
            self.world.surprise("IDENTIFY", f"unknown fields: {', '.join(unknown)}")
        self._admit(data)
        session = Session(self.world.ids.hexadecimal(32), data["intents"], connection=connection)
        connection.session = self.sessions[session.id] = session
        self._emit(session, "READY", self._ready(session, data))
        if self.world.in_guild and session.intents & 1:
            self._emit(session, "GUILD_CREATE", guild_create_json(self.world))
        self.world.changed()

    def _admit(self, data: Json) -> None:
        if not self.app.valid(str(data["token"])):
            raise Closing(4004)
        if self.app.identifies_left() <= 0:
            self.app.revoked = True
            raise Closing(4004)
        intents = data.get("intents")
        if not isinstance(intents, int) or intents & ~KNOWN_INTENTS or intents < 0:
            raise Closing(4013)
        shard = data.get("shard", [0, 1])
        if not isinstance(shard, list) or len(shard) != 2 or shard[0] >= shard[1]:
            raise Closing(4010)
        self.identifies += 1
        self.app.count_identify()
        if intents & self.app.missing_intents():
            raise Closing(4014)

    def _ready(self, session: Session, data: Json) -> Json:
        guilds = [{"id": self.world.guild_id, "unavailable": True}] if self.world.in_guild else []
        return {
            "v": 10,
            "user_settings": {},
            "user": {**user_json(self.world.bot), "email": None, "mfa_enabled": True, "verified": True},
            "session_type": "normal",
            "session_id": session.id,
            "resume_gateway_url": f"{self.url}resumed/",
            "relationships": [],
            "private_channels": [],
            "presences": [],
            "guilds": guilds,
            "guild_join_requests": [],
            "geo_ordered_rtc_regions": ["rotterdam"],
            "game_relationships": [],
            "auth": {},
            "application": {"id": self.world.app_id, "flags": self.app.flags},
            "shard": data.get("shard", [0, 1]),
        }

    def _resume(self, connection: Connection, data: Any) -> None:
        if connection.session is not None:
            raise Closing(4005)
        if not isinstance(data, dict) or not {"token", "session_id", "seq"} <= data.keys():
            raise Closing(4002)
        if not self.app.valid(str(data["token"])):
            raise Closing(4004)
        session = self.sessions.get(str(data["session_id"]))
        if session is None or self._expired(session) or self._forgotten(session, data["seq"]):
            self.sessions.pop(str(data["session_id"]), None)
            self._put(connection, {"op": INVALID, "d": False})
            return
        seq = data["seq"]
        if not isinstance(seq, int) or not 0 <= seq <= session.seq:
            raise Closing(4007)
        if session.connection is not None and not session.connection.closed:
            self._replace(session.connection)
        connection.session, session.connection, session.lost_at = session, connection, None
        session.resumed += 1
        for frame in [f for f in session.log if f["s"] > seq]:
            self._put(connection, frame)
        self._emit(session, "RESUMED", {"_trace": []})
        self.world.changed()

    def _replace(self, old: Connection) -> None:
        old.session = None
        if not old.blackhole:
            self.close_with(old, 4000)
        else:
            old.closed = True
            _abort(old)

    def _expired(self, session: Session) -> bool:
        return session.lost_at is not None and self.world.clock.now() - session.lost_at > RESUME_WINDOW

    @staticmethod
    def _forgotten(session: Session, seq: Any) -> bool:
        return isinstance(seq, int) and bool(session.log) and session.log[0]["s"] > seq + 1

    def _lost(self, connection: Connection) -> None:
        if connection.closed:
            return
        connection.closed = True
        session = connection.session
        if session is not None and session.connection is connection:
            session.connection = None
            session.lost_at = self.world.clock.now()
            if connection.socket.close_code in (1000, 1001):
                self.sessions.pop(session.id, None)
        self.world.changed()


def _abort(connection: Connection) -> None:
    if connection.request.transport is not None:
        connection.request.transport.abort()


def _zstd() -> Callable[[bytes], bytes] | None:
    """One zstd stream, flushed per frame; None without a zstd module (a client beside it then asks for zlib)."""
    try:
        from compression.zstd import ZstdCompressor  # type: ignore[import-not-found]

        stream = ZstdCompressor()
        return lambda raw: stream.compress(raw, stream.FLUSH_BLOCK)
    except ImportError:
        pass
    try:
        import zstandard  # type: ignore[import-not-found]
    except ImportError:
        return None
    old = zstandard.ZstdCompressor().compressobj()
    return lambda raw: old.compress(raw) + old.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
