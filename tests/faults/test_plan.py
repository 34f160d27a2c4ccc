"""Every fault number has its test, or says which later piece brings it; and the counts it claims are those that run."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from bot.core.people import Action
from tests.contracts.items import hostile, storing
from tests.contracts.platform import exercise
from tests.contracts.rigs import RIGS, SECOND_TRANSPORTS
from tests.faults import test_f01_worker_killed as f01
from tests.faults import test_f02_follow_ups_killed as follow_ups
from tests.faults import test_f02_intake_killed as intake
from tests.faults import test_f02_server_killed as f02
from tests.faults import test_f03_worker_frozen as f03
from tests.faults import test_f05_same_text as f05
from tests.faults import test_f06_claim_race as f06
from tests.faults import test_f09_forge_faults as f09
from tests.faults import test_f16_follow_up_clocks as f16
from tests.faults import test_f19_cancel as f19
from tests.faults import test_f22_injection as f22
from tests.faults import test_f23_output_strings as f23
from tests.storage.conformance import queue
from tests.web import test_fuzz as api

HERE: Final = Path(__file__).parent
PLAN: Final[dict[str, dict[str, Any]]] = tomllib.loads((HERE / "plan.toml").read_text())
INBOUND_FUZZ: Final = 5000
"""Mutations in tests/platforms/slack/test_inbound.py and in Lark's."""
WHO_ASKS: Final = 6
"""Per action in tests/core/test_people.py: nobody, a viewer, one whose it is, a filer, one whose it is, an admin."""


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
    for name in (row["test"], *row.get("also", ())):
        text = (HERE / name).read_text()
        assert re.search(r"^(async )?def test_", text, re.MULTILINE), f"{number}: {name} tests nothing"


@pytest.mark.parametrize("number", [number for number, row in PLAN.items() if row.get("test", "").startswith("test_")])
def test_a_file_is_named_after_its_number(number: str) -> None:
    row = PLAN[number]
    for name in (row["test"], *row.get("also", ())):
        assert name.startswith(f"test_f{int(number[1:]):02d}_")


def test_no_file_is_forgotten() -> None:
    planned = {name for row in PLAN.values() for name in (row.get("test"), *row.get("also", ()))}
    assert {path.name for path in HERE.glob("test_f[0-9][0-9]_*.py")} <= planned


def test_the_counts_are_those_of_the_tests() -> None:
    killed = sum(len(group) for group in f01.GROUPS.values())
    faults = len(f09.STEPS) * len(f09.FAULTS) - len(f09.ANSWER_LOST)
    quick = sum(len(f01.GROUPS[group]) for group in f01.QUICK)
    elsewhere = len(follow_ups.FAILPOINTS) + len(intake.FAILPOINTS)
    around = len(f02.FAILPOINTS) + len(f02.LATER) + elsewhere
    cancelled = sum(len(f19.MOMENTS[at : at + f19.EACH]) for at in f19.QUICK)
    skewed, jumped = 2 * f16.SKEWED, f16.JUMPED
    counted = {
        "F16": (f16.FOLLOW_UPS + skewed + jumped, f16.FOLLOW_UPS_LONG + skewed + jumped),
        "F1": (quick, killed * 2 * 20),
        "F2": (len(f02.FAILPOINTS) + elsewhere, around * 20),
        "F3": (len(f03.FAILPOINTS), (len(f03.FAILPOINTS) + len(f03.LATER)) * 5),
        "F9": (faults, faults * 20),
        "F19": (cancelled, len(f19.MOMENTS) * 20),
    }
    rigs, many = len(RIGS), len(f23.PLACES)
    items = sum(item.number in (11, 24, 25) for item in exercise())
    fuzz = 2 * INBOUND_FUZZ + api.EXAMPLES
    counted |= {
        "F4": (storing.FLOOD * rigs, storing.FLOOD_LONG * rigs),
        "F5": (2 * f05.PAIRS, 2 * f05.LONG),
        "F6": (queue.WORKERS * queue.EACH, queue.WORKERS * f06.EACH_LONG),
        "F15": (items * (rigs - len(SECOND_TRANSPORTS)), items * rigs),
        "F23": (len(f23.TEXTS[::2]) * many, len(f23.TEXTS) * many),
        "F25": (2 * hostile.FUZZ * rigs + fuzz, (hostile.FUZZ + hostile.FUZZ_LONG) * rigs + fuzz),
        "F28": (len(Action) * WHO_ASKS, len(Action) * WHO_ASKS),
    }
    assert {number: (PLAN[number]["ci"], PLAN[number]["full"]) for number in counted} == counted
    assert len(f22.WORDS) * len(f22.VERBS) >= PLAN["F22"]["ci"]
