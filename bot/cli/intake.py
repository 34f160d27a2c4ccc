"""`codetask intake ...`: how requests in ordinary messages are recognised, here and by whom."""

from typing import Annotated, Any

import typer

from bot.cli.failures import OK
from bot.cli.intake_judges import JudgeName
from bot.cli.output import (
    DASH,
    Format,
    Json,
    Output,
    Yes,
    confirm,
    out,
    out_fields,
    out_json,
    out_table,
    say,
    wants_json,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="How requests in ordinary messages are recognised.",
)

File = Annotated[str, typer.Argument(help="JSONL: a line is {text, label[, lang, prev]}; - for stdin.")]


@app.callback()
def intake() -> None:
    """How requests in ordinary messages are recognised."""


@app.command("eval")
def evaluate(
    file: File,
    judge: Annotated[
        JudgeName | None, typer.Option(help="rules, overlay (with what was taught here) or llm; else as configured.")
    ] = None,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Judge labelled messages and print precision and recall per threshold. Needs no server.

    Labels: feature_request, bug_report, question, in_progress, chatter. The first two are "actionable". `prev`, earlier
    messages, is shown to a model only: the local judge never sees a message's neighbours.
    """
    from bot.cli.intake_figures import figures, print_figures
    from bot.cli.intake_judges import judge_cases, read_cases

    told = figures(judge_cases(list(read_cases(file)), judge))
    if wants_json(output, as_json):
        out_json(told)
    else:
        print_figures(told)


@app.command("report")
def report(
    channel: Annotated[str, typer.Option(help="Only this one: C123, T1::C123 or slack:T1:C123.")] = "",
    since: Annotated[str, typer.Option(help="From then on: 2026-03-06, or 24h, 7d; else the last 30 days.")] = "",
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Show what intake heard, would have suggested and was right about. For admins; figures only."""
    from bot.cli.audit import read_since
    from bot.cli.client import Api

    asked = {"channel": channel, "since": read_since(since)}
    with Api() as api:
        told = api.call("GET", "intake/report", params={name: value for name, value in asked.items() if value})
    if wants_json(output, as_json):
        out_json(told)
    else:
        _print_report(told)


def _print_report(told: dict[str, Any]) -> None:
    total = told["total"]
    out_fields(
        {
            "judge": f"{told['judge']}, threshold {told['threshold']:.2f}",
            "judged": str(total["judged"]),
            "above threshold": f"{total['above_threshold']} ({_share(total['share'])})",
            "decided": f"{total['decided']}, of them requests: {_share(total['precision'])}",
        }
    )
    rows = [
        [
            one["channel"],
            one["mode"],
            str(one["judged"]),
            str(one["above_threshold"]),
            str(one["states"].get("open", 0)),
            str(one["decided"]),
            _share(one["precision"]),
        ]
        for one in told["channels"]
    ]
    out("")
    out_table(rows, ["CHANNEL", "MODE", "JUDGED", "ABOVE", "OPEN", "DECIDED", "PRECISION"])
    if total["states"] or total["reasons"]:
        counts = [["state", name, str(count)] for name, count in sorted(total["states"].items())]
        counts += [["skipped", name, str(count)] for name, count in sorted(total["reasons"].items())]
        out("")
        out_table(counts, ["WHAT", "WHICH", "COUNT"])


def _share(value: float | None) -> str:
    return DASH if value is None else f"{value:.1%}"


@app.command("train")
def train(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do; write nothing.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Go back to the shipped weights.")] = False,
    yes: Yes = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> int:
    """Refit the local judge to what people here decided about its suggestions. Run it where the server runs.

    File and Same make a request, Not a request makes none. The result is a small file in the data folder; it is written
    only if it judges labels that it has not seen better than before. The server reads it when it starts.
    """
    from bot.cli.intake_training import remove_overlay, train_overlay
    from bot.cli.local import read_settings

    settings = read_settings()
    if remove:
        confirm("Forget what people taught the local judge?", yes)
        say("Removed. Restart the server." if remove_overlay(settings) else "There is none.")
        return OK
    told = train_overlay(settings, dry_run=dry_run)
    if wants_json(output, as_json):
        out_json(told)
    else:
        out_fields({name.replace("_", " "): str(value) for name, value in told.items()})
        say("Restart the server to use it." if told["written"] else "Nothing was written.")
    return OK
