"""`codetask whoami` and `codetask stats`."""

from bot.cli.client import Api
from bot.cli.output import DASH, Format, Json, Output, out_fields, out_json, out_table, wants_json


def whoami(output: Output = Format.TABLE, as_json: Json = False) -> None:
    """Show who this token acts for, and the role."""
    with Api() as api:
        me = api.call("GET", "me")
    if wants_json(output, as_json):
        out_json(me)
        return
    listed = ":".join(part for part in (me["platform"], me["workspace_id"], me["id"]) if part)
    out_fields(
        {
            "person": me["name"] or me["id"],
            "id": listed,
            "role": me["role"] or "none",
            "groups": " ".join(me["roles"]) or DASH,
            "linked": " ".join(me["linked"]) or DASH,
            "scopes": ", ".join(me["scopes"]) or DASH,
        }
    )


def stats(output: Output = Format.TABLE, as_json: Json = False) -> None:
    """Count code tasks, follow-ups, runs and deliveries."""
    with Api() as api:
        told = api.call("GET", "stats")
    if wants_json(output, as_json):
        out_json(told)
        return
    rows = [["code tasks", name, str(count)] for name, count in told["code_tasks"].items()]
    rows += [["follow-ups", name, str(count)] for name, count in told["follow_ups"].items()]
    rows += [["runs", name, str(count)] for name, count in told["runs"].items()]
    rows += [["deliveries", name, str(count)] for name, count in told["deliveries"].items()]
    rows += [["events", "unhandled", str(told["unhandled_events"])], ["workers", "alive", str(told["workers"])]]
    out_table(rows, ["WHAT", "STATE", "COUNT"])
