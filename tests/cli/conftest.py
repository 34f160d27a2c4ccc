"""A terminal on an empty home, and one beside a running server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal

LOCAL = {"SANDBOX": "none", "DEFAULT_AGENT": "demo", "AGENTS": "demo patch", "NO_COLOR": "1"}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path, dict(LOCAL))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside `codetask serve` (no worker, so that code tasks stay queued)."""
    repos = {"GIT_REPO_URL": "https://github.com/acme/web.git"}
    terminal = Terminal(tmp_path_factory.mktemp("home"), LOCAL | repos)
    with terminal.start("serve") as process:
        process.until("API: ")
        terminal.run("whoami")
        yield terminal
        assert process.stop() == 0
