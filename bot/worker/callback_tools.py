"""The tools that a running agent is offered, as data: name, what it is told of them, arguments, HTTP route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from bot.services.run_seats import ToolRefused

Kind = Literal["string", "strings"]


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a tool: a text, or a list of texts."""

    about: str
    required: bool = True
    kind: Kind = "string"

    def schema(self) -> dict[str, Any]:
        if self.kind == "strings":
            return {"type": "array", "items": {"type": "string"}, "description": self.about}
        return {"type": "string", "description": self.about}


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. `route` is its HTTP method and path under `/api/v1/run`; `{id}` in it is the argument `id`."""

    name: str
    about: str
    route: tuple[str, str]
    arguments: Mapping[str, Argument] = field(default_factory=dict[str, Argument])
    makes: bool = False
    """Whether it makes something new (HTTP 201)."""
    waits: bool = False
    """Whether its answer may take as long as a person takes."""

    def described(self) -> dict[str, Any]:
        """As MCP's `tools/list` shows it."""
        schema = {
            "type": "object",
            "properties": {name: one.schema() for name, one in self.arguments.items()},
            "required": [name for name, one in self.arguments.items() if one.required],
            "additionalProperties": False,
        }
        return {"name": self.name, "description": self.about, "inputSchema": schema}

    def read(self, given: Mapping[str, Any]) -> dict[str, Any] | ToolRefused:
        """The arguments as the use case takes them. Numbers count as their text; anything else is refused."""
        unknown = [name for name in given if name not in self.arguments]
        if unknown:
            known = ", ".join(self.arguments) or "none"
            return ToolRefused(f"{self.name} has no argument {unknown[0][:40]!r}. Its arguments: {known}.")
        read: dict[str, Any] = {}
        for name, argument in self.arguments.items():
            value = _text(given[name]) if argument.kind == "string" and name in given else given.get(name)
            if value is None and not argument.required:
                continue
            if value is None or not _fits(value, argument.kind):
                a_list = "a list of texts" if argument.kind == "strings" else "a text"
                return ToolRefused(f"{self.name} needs `{name}`: {a_list}.")
            read[name] = value
        return read


def _text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _fits(value: object, kind: Kind) -> bool:
    if kind == "string":
        return isinstance(value, str)
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


_WHEN: Final = (
    'When: "in 2h", "tomorrow 9am", "monday 14:00", or ISO 8601. At least 1 minute and at most 30 days ahead. A time '
    "without a zone is meant in the zone of the person you work for."
)
_TOOLS: Final = (
    Tool(
        "schedule_followup",
        "Set a follow-up: at that time an agent is started in this thread with your message and this conversation, and "
        "its answer is posted here. Use it instead of waiting for anything that takes longer than 2 minutes.",
        ("POST", "follow-ups"),
        {
            "when": Argument(_WHEN),
            "message": Argument("What to do then, as a prompt to yourself. Name what to look at and what to report."),
            "title": Argument("A short title, at most 80 characters.", required=False),
            "agent": Argument("Another agent's name. Leave it out to stay with yourself.", required=False),
        },
        makes=True,
    ),
    Tool("list_followups", "List the follow-ups of this thread, open ones first.", ("GET", "follow-ups")),
    Tool(
        "cancel_followup",
        "Cancel a pending follow-up that an agent set in this thread.",
        ("POST", "follow-ups/{id}/cancel"),
        {"id": Argument("Its id, like FU-7.")},
    ),
    Tool(
        "create_code_task",
        "File one separate code task for the person you work for: another change, in its own pull request. Only when "
        "they asked for it or agreed. Its card is posted in this thread.",
        ("POST", "code-tasks"),
        {
            "description": Argument("What to change and what the result should be, 10 to 8,000 characters."),
            "title": Argument("A short title; without one the first line of the description.", required=False),
        },
        makes=True,
    ),
    Tool(
        "get_code_task",
        "Look up a code task: its stage, branch, pull request and test result.",
        ("GET", "code-tasks/{id}"),
        {"id": Argument("Its id, like CT-12.")},
    ),
    Tool(
        "post_update",
        "Show the people in the thread one line of at most 200 characters about what you are doing. Sparingly: only "
        "what they would want to know now.",
        ("POST", "updates"),
        {"text": Argument("The line.")},
    ),
    Tool(
        "ask_user",
        "Ask the people in the thread a question and wait for the answer, up to 1 hour. Only for what you cannot find "
        "out and may not decide. If it answers `waiting`, ask the same again to go on waiting.",
        ("POST", "questions"),
        {
            "question": Argument("The question, at most 1,000 characters."),
            "choices": Argument("Up to 4 short answers to pick from.", required=False, kind="strings"),
        },
        waits=True,
    ),
)
TOOLS: Final[Mapping[str, Tool]] = MappingProxyType({tool.name: tool for tool in _TOOLS})


def routed(path: str) -> list[tuple[str, Tool, dict[str, str]]]:
    """The tools at a path under `/api/v1/run`: HTTP method, tool, and the arguments that the path holds."""
    parts = path.split("/")
    found: list[tuple[str, Tool, dict[str, str]]] = []
    for tool in TOOLS.values():
        method, route = tool.route
        wanted = route.split("/")
        if len(wanted) == len(parts) and all(w in ("{id}", p) for w, p in zip(wanted, parts, strict=True)):
            found.append((method, tool, {"id": parts[wanted.index("{id}")]} if "{id}" in wanted else {}))
    return found
