"""Assertions in the items explain themselves like those in test files."""

import pytest

pytest.register_assert_rewrite("tests.contracts.items", "tests.contracts.process")
