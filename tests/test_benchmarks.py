"""Every benchmark runs and gives figures of the promised shape. How fast they are is for a quiet machine to say."""

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import line
from benchmarks.figure import POLL_P99_MS, Figure, from_record, percentile
from benchmarks.register import NAMES

ROOT = Path(__file__).resolve().parents[1]
PROMISED = {
    "chat_ack": {"slack_ack_p99_ms", "slack_row_p99_ms", "discord_ack_p99_ms", "lark_ack_p99_ms"},
    "stage_to_chat": {"stage_to_chat_p99_ms"},
    "enqueue_to_claim": {"enqueue_to_claim_sqlite_p99_ms", "enqueue_to_claim_postgres_p99_ms"},
    "claim_rate": {"claim_complete_per_s_sqlite", "claim_complete_per_s_postgres"},
    "claim_at_scale": {"claim_p50_ratio_1m_sqlite"},
    "followup_lateness": {
        "followup_lateness_sqlite_p99_ms",
        "followup_lateness_postgres_p99_ms",
        "followup_lateness_sqlite_burst_p99_ms",
        "followup_lateness_postgres_burst_p99_ms",
        "followup_wakeup_100k_ratio",
        "followup_rss_100k_mb",
    },
    "intake_chatter": {"intake_chatter_ack_p99_ms"},
    "worker_overhead": {"worker_overhead_s"},
    "idle": {"idle_cpu_percent_slack", "idle_rss_mb_slack", "idle_cpu_percent_all", "idle_rss_mb_all"},
    "cli_help": {"cli_help_ms"},
    "redact": {"redact_whole_mb_per_s"},
}


def test_all_but_the_peers_are_held_to_their_promise() -> None:
    assert set(PROMISED) == set(NAMES) - {"peers"}
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} >= set(NAMES)


SLOW = {"followup_lateness", "idle", "chat_ack", "stage_to_chat", "intake_chatter"} | {
    "claim_rate",
    "claim_at_scale",
    "worker_overhead",
}
"""These take seconds however few they measure: they run with `make faults`."""
LONG = os.environ.get("CODETASK_FAULT_ROUNDS") == "long"


def _names() -> list[object]:
    slow = [pytest.param(name, marks=[pytest.mark.fault]) for name in sorted(SLOW)] if LONG else []
    return [*sorted(set(PROMISED) - SLOW), *slow]


@pytest.mark.parametrize("name", _names())
def test_a_benchmark_runs_and_gives_its_figures(name: str, postgres_url: str, tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--output", str(output)]
    environment = {**os.environ, "TEST_POSTGRES_URL": postgres_url}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    records = json.loads(output.read_text())
    assert PROMISED[name] <= {record["name"] for record in records}
    for record in records:
        assert {"name", "value", "unit", "target", "peer", "ratio"} <= set(record)
        assert math.isfinite(record["value"])
        assert record["value"] > 0 or record["name"].startswith("idle")
        assert from_record(record).record() == record


@pytest.mark.parametrize("name", NAMES)
def test_every_registered_name_is_a_benchmark(name: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{name}").run)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_percentiles_are_by_nearest_rank(share: float, expected: int) -> None:
    assert percentile(range(100, 0, -1), share) == expected


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 0.5)


def test_a_ratio_above_one_is_better_than_the_peer() -> None:
    quick = Figure("wait", 9.9, "ms", 20.0, peer="10 s poll", peer_value=POLL_P99_MS)
    many = Figure("rate", 50, "/s", 60, peer="other", peer_value=100, higher=True)
    assert (quick.ratio, quick.reached) == (pytest.approx(1000), True)
    assert (many.ratio, many.reached) == (0.5, False)
    assert Figure("alone", 1, "ms").ratio is None
    assert "1e+03x" in line(quick)
    assert "60!" in line(many)
