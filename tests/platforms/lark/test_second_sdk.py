"""The Lark simulator is checked with a second SDK of Lark's own: Node's connects, hears, acknowledges and answers."""

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

from platforms.lark.simulator import LarkSimulator

HERE = Path(__file__).parent / "node"
PACKAGES = Path(__file__).parents[3] / "build" / "node-sdks" / "node_modules"
MISSING = "LARK'S NODE SDK IS NOT TESTED HERE: "


def find_node() -> str:
    """Node with the pinned package, or a loud skip."""
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
                if line.startswith(b"{"):
                    said = json.loads(line)
                    assert "failed" not in said, said
                    if what in said:
                        return said
        raise AssertionError(f"the Node program ended before it said {what!r}")


@asynccontextmanager
async def peer(sim: LarkSimulator) -> AsyncIterator[Peer]:
    env = {
        "PATH": os.environ["PATH"],
        "NODE_PATH": str(PACKAGES),
        "LARK_DOMAIN": sim.api_url,
        "LARK_APP_ID": sim.app_id,
        "LARK_APP_SECRET": sim.app_secret,
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
    with LarkSimulator(seed=7, frame_bytes=200, client_config={"ReconnectNonce": 0, "ReconnectInterval": 1}) as sim:
        async with peer(sim) as node:
            asked = sim.user_mentions("ana", "are you there?", "dev")
            said = await node.says("answered")
            (root, answer) = sim.thread(asked)
            assert (root.id, answer.id, answer.thread_id) == (asked.id, said["answered"], said["thread"])
            assert json.loads(said["text"]) == {"text": "Heard by another SDK."}
            (delivery,) = sim.deliveries_of(asked)
            await sim.wait_for(lambda: delivery.acked)
            assert delivery.latencies == [delivery.latency_ms]

            card = sim.shows_card("dev", {"tag": "button", "text": {"tag": "plain_text", "content": "Go"}}, {"a": 1})
            press = sim.clicks("bo", card, "Go")
            assert (await node.says("pressed"))["pressed"] == {"a": 1}
            assert press is not None
            await sim.wait_for(lambda: press.acked)
            assert [(w.user, w.text, w.via) for w in sim.whispers] == [(sim.user("bo").id, "Heard", "toast")]

            sim.server_says_reconnect()
            await sim.wait_for(lambda: sim.connections_opened == 2 and sim.connections, 15)
            again = sim.user_says("ana", "@codetask still there?", thread=asked)
            await node.says("answered")
            assert [m.thread_id for m in sim.thread(again)] == [asked.thread_id] * 4
        assert sim.surprises == []
