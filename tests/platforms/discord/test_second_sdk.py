"""A second SDK checks the simulator: discord.js connects, hears, reacts, answers in threads and to commands."""

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

from platforms.discord.simulator import DiscordSimulator

HERE = Path(__file__).parent / "node"
PACKAGES = Path(__file__).parents[3] / "build" / "node-sdks" / "node_modules"
MISSING = "DISCORD.JS IS NOT TESTED HERE: "
COMMANDS: list[dict[str, Any]] = [
    {
        "name": "codetask",
        "description": "File and follow code tasks",
        "type": 1,
        "options": [
            {"type": 3, "name": "description", "description": "What to do", "required": True},
            {"type": 3, "name": "repo", "description": "Where", "autocomplete": True},
        ],
        "contexts": [0, 1],
        "integration_types": [0],
    },
    {"name": "File as code task", "type": 3, "contexts": [0], "integration_types": [0]},
]


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
async def peer(sim: DiscordSimulator) -> AsyncIterator[Peer]:
    process = await asyncio.create_subprocess_exec(
        find_node(),
        str(HERE / "answer.cjs"),
        env={
            "PATH": os.environ["PATH"],
            "NODE_PATH": str(PACKAGES),
            "DISCORD_API_URL": sim.api_url,
            "DISCORD_TOKEN": sim.bot_token,
        },
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


async def test_another_sdk_hears_and_answers_in_a_thread() -> None:
    find_node()
    with DiscordSimulator(seed=7) as sim:
        sim.register_commands(COMMANDS)
        async with peer(sim) as node:
            asked = sim.user_mentions("ana", "are you there?", "dev")
            said = await node.says("answered")
            assert (said["thread"], said["replies"]) == (asked.id, 1)
            (answer,) = sim.thread(asked)[1:]
            assert (answer.id, answer.text, answer.nonce) == (said["answered"], "Heard by another SDK.", "peer-1")
            assert asked.reactions == {"👀": [sim.bot_user_id]}
            command = sim.runs_command("bo", "/codetask", {"description": "dark mode"}, asked)
            assert (await node.says("command"))["command"] == "codetask"
            assert (command.acked, command.whisper and command.whisper.text) == (True, "Got dark mode")
            typed = sim.types_choice("bo", "/codetask", "repo", "a", options={"description": "x"})
            assert (await node.says("offered"))["offered"] == "a"
            assert typed.choices[0]["value"] == "app"
            menu = sim.uses_menu("cy", asked, "File as code task")
            assert (await node.says("menu"))["menu"] == asked.id
            assert menu.whisper is not None
            assert menu.whisper.text == asked.text
        assert sim.surprises == []


async def test_another_sdk_comes_back_when_the_server_asks_for_it() -> None:
    find_node()
    with DiscordSimulator(seed=7) as sim:
        async with peer(sim) as node:
            sim.server_says_reconnect()
            await node.says("resumed")
            asked = sim.user_mentions("ana", "still there?", "dev")
            await node.says("answered")
            assert len(sim.thread(asked)) == 2
        assert sim.surprises == []
        assert (sim.identifies, sim.connections_opened) == (1, 2)
