"""`python -m benchmarks [name ...] [--quick] [--peers]`: runs benchmarks, prints a table, writes `build/bench.json`."""

import argparse
import importlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.figure import Figure, Stolen, load_average
from benchmarks.register import NAMES
from bot.app import SWITCH_SECONDS, settle_memory

OUTPUT = Path("build/bench.json")
ROW = "{:<46} {:>10} {:<5} {:>9} {:>5} {:>6} {:>9}  {}"


def main() -> int:
    """Runs what the command line names; 0 when every benchmark ran, whatever its figures."""
    options = _options()
    # The load and the simulators run here: a pause of theirs would be taken for one of the app.
    sys.setswitchinterval(SWITCH_SECONDS)
    settle_memory()
    figures: list[Figure] = []
    failed: list[str] = []
    _say(ROW.format("figure", "value", "unit", "target", "load", "stolen", "ratio", "peer or note"))
    for name in options.names or NAMES:
        if name == "peers" and not (options.peers or options.names):
            _say("SKIPPED peers: PgQueuer and Procrastinate are measured with --peers (make bench ARGS=--peers)")
            continue
        stolen = Stolen()
        try:
            found = importlib.import_module(f"benchmarks.{name}").run(quick=options.quick)
        except Exception as error:
            failed.append(name)
            _say(f"FAILED {name}: {type(error).__name__}: {error}")
            continue
        taken = stolen.percent()
        found = [replace(figure, stolen=taken) if figure.stolen is None else figure for figure in found]
        figures += found
        for figure in found:
            _say(line(figure))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps([figure.record() for figure in figures], indent=1) + "\n")
    _say(f"{len(figures)} figures in {options.output}; {os.cpu_count()} cores, load average now {load_average()}")
    return 1 if failed else 0


def line(figure: Figure) -> str:
    """A figure as one row of the table; `!` marks a missed target."""
    target = "" if figure.target is None else f"{figure.target:g}{'' if figure.reached else '!'}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.3g}x"
    beside = f"{figure.peer} ({figure.peer_value:g})" if figure.peer and figure.peer_value else figure.note
    stolen = "" if figure.stolen is None else f"{figure.stolen:g}%"
    return ROW.format(
        figure.name, f"{figure.value:g}", figure.unit, target, figure.load, stolen, ratio, beside
    ).rstrip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="tiny counts: shows that it runs, not how fast")
    parser.add_argument("--peers", action="store_true", help="also measure PgQueuer and Procrastinate (installs them)")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}")
    return options


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
