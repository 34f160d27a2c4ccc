"""The simulator is checked with a second SDK of Slack's own: Node's connects, hears, acknowledges and answers."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from platforms.slack.simulator import SlackSimulator

HERE = Path(__file__).parent / "node"
PACKAGES = Path(__file__).parents[3] / "build" / "node-sdks" / "node_modules"
MISSING = "SLACK'S NODE SDK IS NOT TESTED HERE: "


def find_node() -> str:
    """Node with the pinned packages, or a loud skip."""
    node = shutil.which("node")
    if node is None:
        pytest.skip(f"{MISSING}install Node 18 or newer")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    major = re.match(r"v(\d+)\.", version)
    if major is None or int(major[1]) < 18:
        pytest.skip(f"{MISSING}Node {version.strip()} is older than 18")
    wanted = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    for name, pinned in wanted.items():
        found = PACKAGES / name / "package.json"
        if not found.is_file() or json.loads(found.read_text("utf-8"))["version"] != pinned:
            pytest.skip(f"{MISSING}run tools/install_node_sdks for {name} {pinned}")
    return node


class Peer:
    """The Node program as it runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self, what: str) -> dict[str, Any]:
        """The next line that names `what`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            while line := await self.process.stdout.readline():
                if line.startswith(b"{") and what in (said := json.loads(line)):
                    return said
        raise AssertionError(f"the Node program ended before it said {what!r}")


@asynccontextmanager
async def peer(sim: SlackSimulator) -> AsyncIterator[Peer]:
    env = {
        "PATH": os.environ["PATH"],
        "NODE_PATH": str(PACKAGES),
        "SLACK_API_URL": sim.api_url,
        "SLACK_APP_TOKEN": sim.app_token,
        "SLACK_BOT_TOKEN": sim.bot_token,
    }
    process = await asyncio.create_subprocess_exec(
        find_node(),
        str(HERE / "answer.cjs"),
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        running = Peer(process)
        await running.says("ready")
        yield running
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_another_sdk_hears_and_answers_in_the_thread() -> None:
    find_node()
    with SlackSimulator(seed=7) as sim:
        async with peer(sim) as node:
            asked = sim.user_mentions("ana", "are you there?", "dev")
            said = await node.says("answered")
            assert said["replies"] == 2
            (answer,) = sim.thread(asked)[1:]
            assert (answer.ts, answer.text) == (said["answered"], "Heard by another SDK.")
            assert await sim.wait_for(lambda: all(delivery.acked for delivery in sim.deliveries))
            assert len(sim.deliveries_of(asked)) == 2, "as a mention and as a message"
            slash = sim.runs_command("ana", "/codetask status", "dev")
            assert (await node.says("command"))["command"] == "/codetask"
            await sim.wait_for(lambda: slash.acked)
            assert slash.ack_body == {"text": "Got status"}
        assert sim.surprises == []


async def test_another_sdk_comes_back_when_the_server_asks_for_it() -> None:
    find_node()
    with SlackSimulator(seed=7) as sim:
        async with peer(sim) as node:
            sim.server_says_reconnect()
            await node.says("ready")
            asked = sim.user_mentions("ana", "still there?", "dev")
            await node.says("answered")
            assert len(sim.thread(asked)) == 2
        assert sim.surprises == []
        assert sim.connections_opened == 2
