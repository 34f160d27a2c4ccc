"""Fixtures of the agent tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.ports import Sandbox
from bot.worker.gateway import Gateway
from bot.worker.metering import PriceTable, read_prices
from bot.worker.sandbox import BubblewrapSandbox, NoSandbox
from tests.programs import find_opencode
from tests.simulators.model import KEY, MODEL, ModelServer
from tests.worker.agents.harness import is_root

PRICES = PriceTable(read_prices({"models": {MODEL: {"input": 3, "output": 15, "cached": 0.5}}}))


@dataclass(frozen=True)
class GatewayConfig:
    """The settings the gateway reads."""

    llm_base_url: str
    llm_api_key: SecretStr | None = field(default_factory=lambda: SecretStr(KEY))
    llm_provider: str = "openai"
    llm_model: str = MODEL


def bubblewrap() -> Sandbox:
    if is_root():
        pytest.skip("bubblewrap refuses root: run this through tools/as-user")
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    return BubblewrapSandbox()


@pytest.fixture(params=["none", pytest.param("bubblewrap", marks=pytest.mark.sandbox)])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return NoSandbox() if request.param == "none" else bubblewrap()


@pytest.fixture
def fence() -> Sandbox:
    """The real fence; the test is skipped where it cannot be had."""
    return bubblewrap()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a unix socket's may have 107 bytes only."""
    with tempfile.TemporaryDirectory(prefix="ct-") as path:
        yield Path(path)


@pytest.fixture
def checkout(folder: Path) -> Path:
    path = folder / "ws"
    path.mkdir()
    return path


@pytest.fixture
def sockets(folder: Path) -> Path:
    path = folder / "s"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
async def model() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture
async def gateway(model: ModelServer) -> AsyncIterator[Gateway]:
    async with Gateway(GatewayConfig(model.url), prices=PRICES) as opened:
        yield opened


@pytest.fixture
def opencode() -> str:
    """The real OpenCode program."""
    return find_opencode()
