"""Fixtures of the journeys."""

import pytest

from tests.programs import find_opencode


@pytest.fixture
def opencode() -> str:
    """The real OpenCode program."""
    return find_opencode()
