"""Every fault number has its test, or says which later piece brings it; and the counts it claims are those that run."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from tests.faults import test_f01_worker_killed as f01
from tests.faults import test_f02_server_killed as f02
from tests.faults import test_f03_worker_frozen as f03
from tests.faults import test_f09_forge_faults as f09
from tests.faults import test_f19_cancel as f19
from tests.faults import test_f22_injection as f22

HERE: Final = Path(__file__).parent
PLAN: Final[dict[str, dict[str, Any]]] = tomllib.loads((HERE / "plan.toml").read_text())


def test_every_number_is_planned() -> None:
    assert list(PLAN) == [f"F{number}" for number in range(1, 31)]


@pytest.mark.parametrize("number", PLAN)
def test_a_number_has_a_test_or_a_reason(number: str) -> None:
    row = PLAN[number]
    assert row["what"]
    assert ("test" in row) != ("later" in row), f"{number}: a test or a reason, not both"
    if "later" in row:
        assert len(row["later"].split()) >= 4, f"{number}: say why, and what brings it"
        return
    text = (HERE / row["test"]).read_text()
    assert re.search(r"^(async )?def test_", text, re.MULTILINE), f"{number}: {row['test']} tests nothing"


@pytest.mark.parametrize("number", [number for number, row in PLAN.items() if row.get("test", "").startswith("test_")])
def test_a_file_is_named_after_its_number(number: str) -> None:
    assert PLAN[number]["test"].startswith(f"test_f{int(number[1:]):02d}_")


def test_no_file_is_forgotten() -> None:
    planned = {row.get("test") for row in PLAN.values()}
    assert {path.name for path in HERE.glob("test_f[0-9][0-9]_*.py")} <= planned


def test_the_counts_are_those_of_the_tests() -> None:
    killed = sum(len(group) for group in f01.GROUPS.values())
    faults = len(f09.STEPS) * len(f09.FAULTS) - len(f09.ANSWER_LOST)
    counted = {
        "F1": (killed + len(f01.ON_POSTGRES), killed * 2 * 20),
        "F2": (len(f02.FAILPOINTS), len(f02.FAILPOINTS) * 20),
        "F3": (len(f03.FAILPOINTS), (len(f03.FAILPOINTS) + len(f03.LATER)) * 5),
        "F9": (faults, faults * 20),
        "F19": (len(f19.MOMENTS), len(f19.MOMENTS) * 20),
    }
    assert {number: (PLAN[number]["ci"], PLAN[number]["full"]) for number in counted} == counted
    assert len(f22.WORDS) * len(f22.VERBS) >= PLAN["F22"]["ci"]
