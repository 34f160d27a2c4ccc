"""The texts of a pull request: title, body and commit message of a code task (product 4 "Commit", "PR"; ux 2).

Pure. Every string of people, agents and test output goes through the same gate: clean, redact, defuse, cut.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from bot.core.github_text import defuse, fence, quote, web_address
from bot.core.hygiene import clean, cut
from bot.core.tasks import DESCRIPTION_MAX, CodeTask

SUBJECT_MAX: Final = 72
"""Code points of a commit subject and of a pull request's title (product 14)."""
TAIL_MAX: Final = 1_000
"""Code points of test output shown in a pull request (product 14)."""
BODY_MAX: Final = 60_000
"""Code points of a body; GitHub refuses more than 65,536."""
_NAME_MAX: Final = 80
_PREFIX: Final = "[codetask] "
_RED_PREFIX: Final = "[codetask] [tests failing] "


def _unchanged(text: str) -> str:
    return text


@dataclass(frozen=True, slots=True)
class PullRequestContext:
    """What the row of a code task does not know.

    `thread_url` and `platform` ("Slack") may be empty. `requester_email` is used in `Co-authored-by`; without one an
    address that can never exist is written. `warnings` are lines of ours (no sandbox, protected paths), `redact` masks
    secrets, `allowed_hosts` are the hosts whose addresses stay links."""

    thread_url: str = ""
    platform: str = ""
    requester_email: str = ""
    warnings: Sequence[str] = ()
    allowed_hosts: frozenset[str] = frozenset()
    redact: Callable[[str], str] = field(default=_unchanged, repr=False)

    def safe(self, text: str, last: int | None = None) -> str:
        """Text fit for GitHub: cleaned, redacted, cut to its `last` code points, defused."""
        plain = clean(self.redact(clean(text))).strip("\n")
        return defuse(plain if last is None else plain[-last:], self.allowed_hosts)

    def line(self, text: str, limit: int) -> str:
        """One line of at most `limit` code points."""
        return cut(" ".join(self.safe(text).split()), limit)


def pull_request_title(task: CodeTask, context: PullRequestContext) -> str:
    """`[codetask] Add a CSV export button`; red tests say so. At most 72 code points."""
    prefix = _RED_PREFIX if task.tests_passed is False else _PREFIX
    return prefix + (context.line(task.title, SUBJECT_MAX - len(prefix)) or task.ref)


def pull_request_body(task: CodeTask, context: PullRequestContext) -> str:
    """The description quoted, the tests, where it came from, what it cost, and what the reviewer must know."""
    parts = [quote(context.safe(task.description))]
    if task.instruction:
        parts += ["Added later:", quote(cut(context.safe(task.instruction), DESCRIPTION_MAX))]
    parts += _tests(task, context)
    parts += [_origin(task, context), _effort(task, context), "Review before merging."]
    parts += [f"**Warning:** {context.line(warning, 500)}" for warning in context.warnings]
    return cut("\n\n".join(parts), BODY_MAX)


def commit_message(task: CodeTask, context: PullRequestContext) -> str:
    """A subject of at most 72 code points and trailers: the code task, the thread, the requester."""
    trailers = [f"Code-Task: {task.ref}"]
    if thread := web_address(context.thread_url):
        trailers.append(f"Thread: {thread}")
    trailers.append(f"Co-authored-by: {_signature(task, context)}")
    return f"{_subject(task, context)}\n\n" + "\n".join(trailers) + "\n"


def _subject(task: CodeTask, context: PullRequestContext) -> str:
    return context.line(task.title, SUBJECT_MAX) or task.ref


def _tests(task: CodeTask, context: PullRequestContext) -> list[str]:
    if task.tests_passed is None:
        return ["Tests: none were run."]
    summary = context.line(task.test_summary or "", 200)
    took = "" if task.test_seconds is None else f" in {_seconds(task.test_seconds)}"
    if task.tests_passed:
        lines = [f"Tests: {summary or 'passed'}{took}"]
    else:
        code = "" if task.test_exit_code is None else f", exit {task.test_exit_code}"
        lines = [f"**Tests failing{code}**{took}" + (f": {summary}" if summary else "")]
    tail = context.safe(task.test_tail or "", last=TAIL_MAX)
    return [*lines, fence(tail)] if tail.strip() else lines


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _origin(task: CodeTask, context: PullRequestContext) -> str:
    text = (
        f"{task.ref}, requested by {_emphasis_free(context.line(task.requester_name or task.requester_id, _NAME_MAX))}"
    )
    if context.platform:
        text += f" on {context.line(context.platform, _NAME_MAX)}"
    thread = web_address(context.thread_url)
    if not thread:
        return text
    return f"{text}, [thread]({thread})" if urlsplit(thread).scheme == "https" else f"{text}, thread {thread}"


def _effort(task: CodeTask, context: PullRequestContext) -> str:
    cost = "—" if task.cost_usd is None else f"${task.cost_usd:.4f}"
    return f"Agent {context.line(task.agent, _NAME_MAX)} · attempt {task.attempt} of {task.max_attempts} · cost {cost}"


def _emphasis_free(name: str) -> str:
    return re.sub(r"([\\`*_\[\]~|])", r"\\\1", name)


def _signature(task: CodeTask, context: PullRequestContext) -> str:
    """`Ana <address>`, safe as one trailer line: no brackets, no line ends."""
    name = re.sub(r"[<>\"\\,;:()\[\]@\u200b]+", " ", clean(context.redact(clean(task.requester_name))))
    name = cut(" ".join(name.split()), _NAME_MAX) or "Requester"
    address = clean(context.requester_email).strip()
    if re.fullmatch(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}", address) is None:
        parts = (task.requester_platform or "codetask", task.requester_id)
        local = "-".join(re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in parts)[:64].strip("-")
        address = f"{local or 'requester'}@codetask.invalid"
    return f"{name} <{address}>"
