"""The application as a real process that can be killed: `python -m tests.contracts.process <settings.json>`."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from pydantic import SecretStr

from bot.app import open_app, run_parts, stop_on_signals
from platforms.registry import load_settings

if TYPE_CHECKING:
    from tests.contracts.rig import Rig

ROOT = Path(__file__).parents[2]
LISTENING = "listening on "


class Process:
    """A child process with the application on a rig's platform. Killed at the end, if it is still there."""

    def __init__(self, rig: "Rig", failpoint: str = "") -> None:
        self._rig = rig
        self._failpoint = failpoint
        self._child: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        settings = self._rig.data / "settings.json"
        made = self._rig.settings()
        given = {
            name: value
            for part in (made, *made.chat.values())
            for name, value in part.model_dump(exclude_unset=True).items()
        }
        settings.write_text(json.dumps(given, default=_plain))
        environment = {**os.environ, "CODETASK_FAILPOINT": self._failpoint}
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.contracts.process",
            str(settings),
            cwd=ROOT,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._child.returncode is None:
            self._child.kill()
        await self._child.communicate()

    async def ready(self) -> None:
        """Waits until the process hears the platform."""
        assert self._child.stdout is not None
        async with asyncio.timeout(30):
            while LISTENING not in (line := (await self._child.stdout.readline()).decode()):
                assert line, "the process ended before it listened"
        if self._rig.webhook:
            self._rig.use_webhook(line.partition(LISTENING)[2].strip())

    async def died(self) -> int:
        """The exit code: -9 for a kill."""
        return await asyncio.wait_for(self._child.wait(), 20)


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return value.model_dump(exclude_unset=True) if hasattr(value, "model_dump") else str(value)


async def _main(given: dict[str, Any]) -> None:
    given["codetask_data"] = given.pop("data_dir")
    settings = load_settings(**given)
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with open_app(settings) as app:
        (platform,) = app.platforms.values()

        async def receive(request: web.Request) -> web.Response:
            answer = await platform.receive(request.path, dict(request.headers), await request.read())
            return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))

        door = web.Application()
        door.router.add_post("/{path:.*}", receive)
        runner = web.AppRunner(door)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        running = asyncio.create_task(run_parts(app, stop, None, True))
        while platform.health().state != "ready" or not await app.store.run(lambda tx: tx.inbox.event(1), read=True):
            await asyncio.wait({running}, timeout=0.02)
        sys.stdout.write(f"{LISTENING}{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await running
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_main(json.loads(Path(sys.argv[1]).read_text())))
