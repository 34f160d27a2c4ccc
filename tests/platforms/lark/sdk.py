"""The unmodified SDK of Lark on a loop of its own, as its import-time loop demands, with a clean end."""

import asyncio
import importlib
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from platforms.lark.connection import load_client
from platforms.lark.simulator import LarkSimulator


def load() -> Any:
    """`lark_oapi`, imported when first needed: it takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load_client()
        return importlib.import_module("lark_oapi")


@contextmanager
def private_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop in a thread, set as the SDK's; what is left on it at the end is cancelled."""
    client_module = importlib.import_module("lark_oapi.ws.client")
    loop = asyncio.new_event_loop()
    before, client_module.loop = client_module.loop, loop
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        client_module.loop = before


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class LongConnection:
    """One `ws.Client`, driven without its blocking `start`."""

    def __init__(self, sim: LarkSimulator, loop: asyncio.AbstractEventLoop, **handlers: Callable[[Any], Any]) -> None:
        lark = load()
        builder = lark.EventDispatcherHandler.builder("", "")
        for name, handler in handlers.items():
            builder = getattr(builder, f"register_{name}")(handler)
        self.loop = loop

        async def build() -> Any:
            return lark.ws.Client(
                sim.app_id,
                sim.app_secret,
                event_handler=builder.build(),
                domain=sim.api_url,
                log_level=lark.LogLevel.CRITICAL,
            )

        self.client = self._run(build())

    def connect(self) -> None:
        """Raises what the SDK raises."""
        self._run(self.client._connect())

    def start_pinging(self) -> None:
        self.loop.call_soon_threadsafe(lambda: self.loop.create_task(self.client._ping_loop()))

    def close(self) -> None:
        self.client._auto_reconnect = False
        self._run(self.client._disconnect())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)
