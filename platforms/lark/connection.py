"""The long connection: the SDK's client, kept on our own loop and under our own supervision.

`lark_oapi.ws.client` runs tasks on a loop it takes at import, has no `stop`, fetches its address by a blocking call,
handles one event after the other and reconnects by itself, silently giving up. So its loop is replaced by the running
one, the address is fetched before, events are handled side by side, and a lost connection is only reported
(docs/decisions/0010). Private names of 1.7.5: pyproject.toml pins them, a test on the wire holds them.
"""

import asyncio
import base64
import contextlib
import importlib.util
import json
import logging
import sys
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from bot.failpoints import failpoint
from platforms.lark.commands import Intake, log

PACKAGE: Final = "lark_oapi"
CLIENT: Final = "lark_oapi.ws.client"
DISPATCHER: Final = "lark_oapi.event.dispatcher_handler"
_loading: Final = threading.Lock()


def require_sdk() -> None:
    """Raises ModuleNotFoundError, naming it, when the SDK is not installed. Imports nothing."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise ModuleNotFoundError(f"No module named {PACKAGE!r}", name=PACKAGE)


class _RunningLoop:
    """Stands where the SDK keeps the loop of its import: tasks go to the loop that runs."""

    @staticmethod
    def create_task(work: "Coroutine[Any, Any, Any]") -> "asyncio.Task[Any]":
        return asyncio.get_running_loop().create_task(work)


def load_client() -> ModuleType:
    """`lark_oapi.ws.client` without the 11,000 modules of API models around it: 0.4 s and 30 MB, not 7 s and 160 MB.

    The package's `__init__` and the dispatcher import all of them; the client needs neither. Blocks: call it in a
    thread. Whoever imports `lark_oapi` later gets the whole of it.
    """
    with _loading:
        if isinstance(known := sys.modules.get(CLIENT), ModuleType):
            _tame(known)
            return known
        stand_ins = {} if PACKAGE in sys.modules else _stand_ins()
        sys.modules.update(stand_ins)
        try:
            module = _imported()
        finally:
            for name, stand_in in stand_ins.items():
                if sys.modules.get(name) is stand_in:
                    del sys.modules[name]
        _tame(module)
        return module


def _imported() -> ModuleType:
    """The client, imported in a thread of its own: the import makes a loop for it, which nobody else has and which is
    closed."""

    def work() -> ModuleType:
        module = import_module(CLIENT)
        module.loop.close()
        asyncio.set_event_loop(None)
        return module

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def _stand_ins() -> dict[str, ModuleType]:
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None, "require_sdk was called"
    package, dispatcher = ModuleType(PACKAGE), ModuleType(DISPATCHER)
    package.__path__, package.__spec__ = list(spec.submodule_search_locations or []), spec
    dispatcher.EventDispatcherHandler = object  # type: ignore[attr-defined]
    return {PACKAGE: package, DISPATCHER: dispatcher}


def _tame(module: ModuleType) -> None:
    """Our loop, and no lines on standard output: they would hold addresses with tickets."""
    module.loop = _RunningLoop()  # type: ignore[attr-defined]
    sdk_log = logging.getLogger("Lark")
    sdk_log.handlers.clear()
    sdk_log.propagate = False
    sdk_log.addHandler(logging.NullHandler())


class Connection:
    """One long connection from opening to end. Make a new one for each attempt."""

    def __init__(self, intake: Intake, app_id: str, endpoint: Mapping[str, Any], ping: timedelta) -> None:
        self._intake, self._app_id, self._endpoint = intake, app_id, endpoint
        self._ping = ping.total_seconds()
        self._client: Any = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._lost = asyncio.Event()
        self._ending = False

    async def open(self, limit: timedelta) -> str:
        """Connects. An empty string when it stands; else why not."""
        module = await asyncio.to_thread(load_client)
        self._client = client = self._build(module)
        try:
            async with asyncio.timeout(limit.total_seconds()):
                await client._connect()
        except Exception as error:  # refused, closed or unreachable alike: the supervision tries again
            return f"the long connection was refused: {type(error).__name__} {getattr(error, 'code', '')}".strip()
        self._tasks += [asyncio.create_task(client._ping_loop()), asyncio.create_task(self._beat())]
        return ""

    def _build(self, module: ModuleType) -> Any:
        """The SDK's client with its events, its address and its end in our hands."""
        client = module.Client(self._app_id, "unused", log_level=module.LogLevel.CRITICAL, auto_reconnect=False)
        self._tasks.append(client._cache._cron)  # clears half-received frames; its end is otherwise a finaliser's
        config = self._endpoint.get("ClientConfig")
        if isinstance(config, Mapping) and isinstance(config.get("PingInterval"), int):
            client._ping_interval = max(int(config["PingInterval"]), 1)
        url, receive, handle = str(self._endpoint["URL"]), client._receive_message_loop, client._handle_message

        async def received() -> None:
            try:
                await receive()
            except Exception as error:  # it always ends with one
                log.info("long_connection_ended", error=type(error).__name__)
            finally:
                self._lost.set()

        async def handled(message: bytes) -> None:
            if self._ending:  # not acked: Lark delivers it again, to whoever is connected then
                return
            task = asyncio.current_task()
            if task is not None:
                self._intake.track(task)
            await handle(message)

        client._get_conn_url = lambda: url
        client._receive_message_loop = received
        client._handle_message = handled
        client._handle_data_frame = self._take
        return client

    async def _take(self, frame: Any) -> None:
        """One data frame: its payload stored, then acked, beside all others. Frames of type `card` are no exception."""
        headers = {header.key: header.value for header in frame.headers}
        payload, pieces = frame.payload, int(headers["sum"])
        if pieces > 1:
            payload = self._client._combine(headers["message_id"], pieces, int(headers["seq"]), payload)
            if payload is None:
                return
        began = time.monotonic()
        answer = await self._intake.take(payload)
        told: dict[str, Any] = {"code": 200 if answer.stored else 500}
        if answer.body is not None:
            body = json.dumps({"toast": answer.body}, ensure_ascii=False).encode()
            told["data"] = base64.b64encode(body).decode()
        took = frame.headers.add()
        took.key, took.value = "biz_rt", str(int((time.monotonic() - began) * 1000))
        frame.payload = json.dumps(told).encode()
        try:
            await self._client._write_message(frame.SerializeToString())
        except Exception as error:  # stored, but not acked: Lark delivers it again and the inbox knows its key
            log.info("ack_lost", error=type(error).__name__)
        finally:
            self._intake.done(answer)
        failpoint("inbox.acked")

    async def _beat(self) -> None:
        """Pings on the socket; a connection that does not answer in time is lost."""
        while True:
            await asyncio.sleep(self._ping)
            try:
                async with asyncio.timeout(2 * self._ping):
                    await (await self._client._conn.ping())
            except Exception as error:  # closed, broken or silent alike
                log.info("long_connection_silent", error=type(error).__name__)
                self._lost.set()
                return

    async def lost_within(self, limit: timedelta) -> bool:
        """Waits at most `limit`; True as soon as the connection is lost, closed, or its pings go unanswered."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit.total_seconds()):
                await self._lost.wait()
        return self._lost.is_set()

    def take_no_more(self) -> None:
        """Leaves what arrives from now on to a later delivery; what is under way can still be acked."""
        self._ending = True

    async def shut(self, limit: timedelta) -> None:
        """Closes everything, whatever state it is in; no task and no socket is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        socket = self._client._conn if self._client is not None else None
        if socket is None:
            return
        try:
            async with asyncio.timeout(limit.total_seconds()):
                await socket.close()
                await self._lost.wait()
        except Exception as error:  # a connection that cannot be closed politely is cut
            log.debug("long_connection_cut", error=type(error).__name__)
            socket.transport.abort()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit.total_seconds()):
                    await self._lost.wait()


require_sdk()
