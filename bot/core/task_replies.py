"""Replies in the thread of a code task, and what is whispered about code tasks: lists, details, logs, help."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot.core import buttons
from bot.core.cards import Button, Card, Doc
from bot.core.commands import render
from bot.core.hygiene import clean, cut
from bot.core.inbound import Person
from bot.core.moments import ago, clock
from bot.core.progress import View, reason_text, shown_stage
from bot.core.quoting import Markdown, code_span, escape, fence
from bot.core.redact import mask_formats
from bot.core.runs import ParkedChange, Run, RunLogEntry, RunState
from bot.core.task_cards import (
    Mask,
    change_text,
    cost_text,
    person_name,
    plain,
    pull_request_link,
    requester_of,
    say_markdown,
    tests_text,
    title_text,
)
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.core.texts import Texts, Word
from bot.core.verbs import (
    FLAGS,
    VERBS,
    CancelTask,
    ChangeFollowUp,
    Command,
    EditText,
    Help,
    ListFilter,
    ListFollowUps,
    ListSuggestions,
    ListTasks,
    LogsOf,
    NearMiss,
    OnFollowUp,
    RetryTask,
    RunNow,
    Send,
    ShowTask,
    StatusOf,
    Stop,
    TaskId,
    Top,
    Undo,
    WhoAmI,
    verb_word,
)

LOG_LINES: Final = 20
EVENTS: Final = 5
LIST_PAGE: Final = 10
CHAT_COMMAND: Final = "/codetask"


@dataclass(frozen=True, slots=True)
class EventLine:
    """One move in a code task's history. `from_stage` is None for the filing; `actor` is a name or empty."""

    at: datetime
    to_stage: Stage
    from_stage: Stage | None = None
    actor: str = ""
    reason: str = ""


# --- Replies that ping one person -------------------------------------------------------------------------------------


def review_reply(task: CodeTask, texts: Texts, mask: Mask = mask_formats, *, sends: bool = True) -> Doc:
    """Said once when the pull request is open (or the branch pushed): link, title, size, tests; pings the requester."""
    tests = escape(tests_text(task, texts, mask))
    facts = Markdown(texts.listed((change_text(task, texts), tests)))
    title = title_text(task, mask)
    if task.pr_number is None:
        branch = code_span(task.branch or "")
        text = say_markdown(texts, "reply.branch_only", branch=branch, title=title, facts=facts)
        return Doc(text=text, mention=requester_of(task), buttons=(buttons.mark_merged(task, texts),))
    key = _review_key(task)
    text = say_markdown(texts, key, link=pull_request_link(task), title=title, facts=facts)
    asking = (buttons.ask_changes(task, texts),) if sends and task.tests_passed is False else ()
    return Doc(text=text, mention=requester_of(task), buttons=(*buttons.open_pull_request(task, texts), *asking))


def _review_key(task: CodeTask) -> str:
    if task.tests_passed is False:
        return "reply.red" if task.pr_draft else "reply.red_open"
    return "reply.ready_draft" if task.pr_draft else "reply.ready"


def failed_reply(task: CodeTask, texts: Texts, run: Run | None = None, mask: Mask = mask_formats) -> Doc:
    """Said once when a code task failed: the reason in one line, the next step, Retry; pings the requester."""
    reason = task.failure_reason or FailureReason.AGENT_FAILED
    if reason is FailureReason.PR_CLOSED and task.pr_number is not None:
        head = say_markdown(texts, "reply.closed", ref=task.ref, link=pull_request_link(task))
    elif reason is FailureReason.TESTS_FAILED:
        why = tests_text(task, texts, mask) if task.tests_passed is not None else texts.say("tests.failed")
        head = say_markdown(texts, "reply.failed_testing", ref=task.ref, why=why)
    else:
        why = _inside_sentence(plain(reason_text(task, run, texts), mask))
        head = say_markdown(texts, "reply.failed", ref=task.ref, why=why)
    text = texts.sentences((head, _next_step(task, reason, texts)))
    return Doc(
        text=text, mention=requester_of(task), buttons=(*buttons.retries(task, texts), buttons.details(task, texts))
    )


def _inside_sentence(why: str) -> str:
    """A sentence as it reads after a colon: `Coding agent ...` loses its capital, `GIT_REPO_URL` keeps it."""
    return why[:1].lower() + why[1:] if why[1:2].islower() else why


def _next_step(task: CodeTask, reason: FailureReason, texts: Texts) -> str:
    if reason is FailureReason.CANCELLED:
        return ""
    command = RetryTask(TaskId("CT", task.id or 0), "…" if reason is FailureReason.NO_CHANGES else None)
    key = f"next.{reason.value}"
    if "command" in texts.placeholders(key):
        return say_markdown(texts, key, command=code_span(render(command, texts.language)))
    return texts.say(key)


def approval_reply(task: CodeTask, change: ParkedChange, texts: Texts, admin: Person | None = None) -> Doc:
    """Says what in the change has to be allowed, with Approve and Refuse for exactly this commit; pings an admin where
    one is known."""
    who = person_name(task.requester_name, task.requester_id)
    shown = texts.listed(code_span(cut(clean(texts.reword(reason, "finding")), 200)) for reason in change.reasons[:5])
    text = say_markdown(texts, "reply.approval", ref=task.ref, what=Markdown(shown), requester=who)
    both = (buttons.approve(task, texts, change.sha), buttons.refuse(task, texts, change.sha))
    return Doc(text=text, mention=admin, asks=True, buttons=both)


def cancelled_reply(task: CodeTask, by: str, texts: Texts, mention: bool = False) -> Doc:
    """Says who cancelled. `mention` is for someone else's cancel: the requester is pinged then."""
    who = person_name(by)
    if not who:
        return Doc(
            text=texts.say("reply.cancelled_self", ref=task.ref), mention=requester_of(task) if mention else None
        )
    parts = [say_markdown(texts, "reply.cancelled", who=who, ref=task.ref)]
    if task.pushed_sha and task.branch:
        parts.append(say_markdown(texts, "reply.cancelled_branch", branch=code_span(task.branch)))
    return Doc(text=texts.sentences(parts), mention=requester_of(task) if mention else None)


# --- Whispers ---------------------------------------------------------------------------------------------------------


def list_doc(
    tasks: Sequence[CodeTask],
    chosen: ListFilter,
    texts: Texts,
    now: datetime,
    total: int | None = None,
    mask: Mask = mask_formats,
) -> Doc:
    """At most 10 code tasks, one line each; says how many more there are (`total` counts all)."""
    if not tasks:
        return Doc(text=_empty_list(chosen, texts))
    lines = [f"- {list_line(task, texts, now, mask)}" for task in tasks[:LIST_PAGE]]
    left = (len(tasks) if total is None else total) - len(lines)
    if left > 0:
        command = code_span("codetask task list --all" if chosen == "all" else "codetask task list")
        lines.append("\n" + say_markdown(texts, "list.more", n=left, command=command))
    head = say_markdown(texts, "list.title", filter=_filter_word(chosen, texts))
    return Doc(text="\n".join([f"**{head}**", "", *lines]))


def list_line(task: CodeTask, texts: Texts, now: datetime, mask: Mask = mask_formats) -> Markdown:
    """`CT-42 Review · Add a CSV export button · acme/web#87 · 12m ago`."""
    where = pull_request_link(task) if task.pr_number is not None else code_span(task.repo)
    shown, age = shown_stage(task, texts), ago(task.created_at, now, texts)
    return say_markdown(
        texts, "list.line", ref=task.ref, shown=shown, title=title_text(task, mask), where=where, age=age
    )


def _filter_word(chosen: ListFilter, texts: Texts) -> str:
    return texts.say(f"filter.{chosen}" if chosen in ("open", "mine", "all") else f"shown.{chosen}")


def _empty_list(chosen: ListFilter, texts: Texts) -> str:
    example = code_span(f"{CHAT_COMMAND} …")
    match chosen:
        case "open" | "mine" | "all":
            return say_markdown(texts, f"list.empty_{chosen}", command=example)
        case "failed":
            return texts.say("list.empty_failed")
        case _:
            return texts.say("list.empty_stage", stage=Word(f"stage.{chosen}"))


def show_doc(card: Card, events: Sequence[EventLine], texts: Texts, now: datetime) -> Doc:
    """The card as a document, and the last 5 events, oldest first."""
    marks = {"done": "✓", "active": "●", "pending": "○", "failed": "✗"}
    steps = [f"- {escape(f'{marks[step.state]} {step.label} {step.detail}'.rstrip())}" for step in card.steps]
    history = [f"- {_event_line(event, texts, now)}" for event in events[-EVENTS:]]
    parts = [f"**{escape(card.title)}**", card.meta, "\n".join(steps), card.body, card.foot, "\n".join(history)]
    return Doc(text="\n\n".join(part for part in parts if part), buttons=card.buttons)


def _event_line(event: EventLine, texts: Texts, now: datetime) -> str:
    to_stage = texts.say(f"shown.{event.to_stage.value}")
    what = texts.say("show.filed")
    if event.from_stage is not None:
        what = texts.say("show.moved", from_stage=texts.say(f"shown.{event.from_stage.value}"), to_stage=to_stage)
    if event.reason:
        known = texts.say(f"reason.{event.reason}") if f"reason.{event.reason}" in texts.known else event.reason
        what = texts.sentences((what, texts.say("show.reason", reason=plain(known, mask_formats, 80))))
    time, who = clock(event.at, now, texts), person_name(event.actor)
    if who:
        return say_markdown(texts, "show.event_by", time=time, what=what, who=who)
    return say_markdown(texts, "show.event", time=time, what=what)


def status_doc(
    task: CodeTask,
    run: Run | None,
    texts: Texts,
    now: datetime,
    since: datetime | None = None,
    mask: Mask = mask_formats,
) -> Doc:
    """Stage, what the agent does, attempt, since when, last step, branch or pull request, cost."""
    view = View(task, run, texts, now)
    shown = texts.say(f"shown.{view.shown}")
    head = say_markdown(texts, "status.head", ref=task.ref, shown=shown, title=title_text(task, mask))
    lines = [texts.say("status.stage_since", shown=shown, time=clock(since or task.updated_at, now, texts))]
    if task.stage in (Stage.RUNNING, Stage.TESTING) and run is not None:
        lines += run_lines(run, texts, mask)
    lines.append(texts.say("status.attempt", attempt=view.attempt, max=max(task.max_attempts, view.attempt)))
    if task.stage is Stage.QUEUED and task.next_attempt_at is not None:
        lines.append(texts.say("status.next_attempt", time=clock(task.next_attempt_at, now, texts)))
    if task.pr_number is not None:
        lines.append(say_markdown(texts, "status.pull_request", link=pull_request_link(task)))
    elif task.branch:
        lines.append(say_markdown(texts, "status.branch", branch=code_span(task.branch)))
    if task.stage is Stage.FAILED:
        lines.append(say_markdown(texts, "status.error", error=plain(reason_text(task, run, texts), mask)))
    lines.append(texts.say("status.cost", cost=cost_text(task.cost_usd, texts)))
    return Doc(text="\n".join([f"**{head}**", "", *(f"- {line}" for line in lines)]))


def run_lines(run: Run, texts: Texts, mask: Mask) -> list[str]:
    """What the agent does, its last step and its worker."""
    states = {
        RunState.WORKING: "status.agent_working",
        RunState.WAITING_FOR_INPUT: "status.agent_waiting",
        RunState.IDLE: "status.agent_idle",
    }
    lines = [texts.say(states[run.run_state])] if run.run_state is not None and run.run_state in states else []
    if run.message:
        lines.append(say_markdown(texts, "status.last_step", step=plain(run.message, mask)))
    if run.lease_owner:
        lines.append(say_markdown(texts, "status.worker", worker=run.lease_owner))
    return lines


def logs_doc(
    task: CodeTask, entries: Sequence[RunLogEntry], texts: Texts, mask: Mask = mask_formats, url: str = ""
) -> Doc:
    """The last 20 entries in a code block, and where all of them are (`url`, else the CLI's command)."""
    everything = escape(url) if url else code_span(f"codetask task logs {task.ref}")
    return entries_doc(task.ref, entries, texts, mask, everything)


def entries_doc(ref: str, entries: Sequence[RunLogEntry], texts: Texts, mask: Mask, everything: Markdown) -> Doc:
    """The last 20 entries of anything that runs; `everything` says where all of them are."""
    if not entries:
        return Doc(text=texts.say("logs.empty", ref=ref))
    lines = [cut(clean(mask(clean(entry.content))).strip("\n"), 400) for entry in entries[-LOG_LINES:]]
    more = texts.say("logs.truncated") + "\n" if entries[0].seq > 1 or len(entries) > LOG_LINES else ""
    parts = [f"**{texts.say('logs.title', ref=ref)}**", fence(more + "\n".join(lines))]
    return Doc(text="\n\n".join([*parts, say_markdown(texts, "logs.all", command=everything)]))


SHOWN_MAX: Final = 20
"""How many groups or accounts `whoami` shows."""


def whoami_doc(person: Person, channel_id: str, role: str | None, texts: Texts) -> Doc:
    """The ids to put into ADMINS, FILERS, VIEWERS, the person's groups and linked accounts, and their role here."""
    lines = [
        say_markdown(texts, "whoami.platform", platform=code_span(person.platform)),
        say_markdown(texts, "whoami.workspace", workspace=code_span(person.workspace_id)),
        say_markdown(texts, "whoami.channel", channel=code_span(channel_id)),
        say_markdown(texts, "whoami.user", user=code_span(person.account)),
        texts.say("whoami.role", role=texts.say("whoami.no_role") if role is None else texts.say(f"role.{role}")),
        texts.say(f"whoami.may_{role or 'nothing'}"),
    ]
    if person.roles:
        shown = texts.listed(code_span(name) for name in sorted(person.roles)[:SHOWN_MAX])
        lines.append(say_markdown(texts, "whoami.groups", groups=Markdown(shown)))
    if person.also:
        shown = texts.listed(code_span(one.account) for one in person.also[:SHOWN_MAX])
        lines.append(say_markdown(texts, "whoami.linked", accounts=Markdown(shown)))
    named = texts.listed(map(code_span, ("ADMINS", "FILERS", "VIEWERS")))
    how = say_markdown(texts, "whoami.how", settings=Markdown(named), user=code_span(person.account))
    return Doc(text="\n".join([*(f"- {line}" for line in lines), "", how]))


# --- Help -------------------------------------------------------------------------------------------------------------


def help_doc(
    texts: Texts,
    verb: str | None = None,
    latest: Sequence[CodeTask] = (),
    now: datetime | None = None,
    mask: Mask = mask_formats,
) -> Doc:
    """The help (at most 12 lines), or one verb's use. `latest` adds the person's latest code tasks (needs `now`)."""
    lines = _verb_help(verb, texts) if verb else _help_lines(texts)
    if latest and now is not None:
        lines += ["", texts.say("help.latest"), *(f"- {list_line(task, texts, now, mask)}" for task in latest[:3])]
    return Doc(text="\n".join(lines))


def _help_lines(texts: Texts) -> list[str]:
    one, language = TaskId("CT", 42), texts.language
    looking = (ListTasks(), ListTasks("failed"), ShowTask(one), StatusOf(one), LogsOf(one), WhoAmI())
    acting = (CancelTask(one), Stop(one), RetryTask(one), RetryTask(one, "…"), Send(one, "…"))
    seven = TaskId("FU", 7)
    following = (ListFollowUps(), ShowTask(seven), ChangeFollowUp(seven, "…"), RunNow(seven), CancelTask(seven))
    asking = (ListSuggestions(), EditText(TaskId("RQ", 3), "…"), Undo(one), Top())
    options = [flag.usage(language) for flag in FLAGS if flag.offered]
    verb, later = verb_word("later", language), texts.say("help.later_wish")

    def codes(commands: Sequence[Command]) -> Markdown:
        return _codes([render(command, language).replace(str(one), "42") for command in commands])

    lines = [
        say_markdown(texts, "help.file", example=code_span(f"{CHAT_COMMAND} {texts.say('help.wish')}")),
        say_markdown(texts, "help.thread", mention=code_span("@codetask …"), bang=code_span("!codetask …")),
        say_markdown(texts, "help.look", commands=codes(looking)),
        say_markdown(texts, "help.act", commands=codes(acting)),
        say_markdown(texts, "help.later", slash=code_span(f"/followup {later}"), verb=code_span(f"{verb} {later}")),
        say_markdown(texts, "help.follow_ups", commands=codes(following)),
        say_markdown(texts, "help.requests", commands=codes(asking)),
        say_markdown(texts, "help.options", options=_codes(options)),
        say_markdown(texts, "help.zone", command=code_span(f"{verb_word('settings', language)} tz Asia/Tokyo")),
        say_markdown(texts, "help.force", mark=code_span("--")),
        say_markdown(texts, "help.one", example=code_span(render(Help("cancel"), language))),
    ]
    return [f"- {line}" for line in lines]


def _codes(words: Sequence[str]) -> Markdown:
    return Markdown(" ".join(code_span(word) for word in words))


def _verb_help(name: str, texts: Texts) -> list[str]:
    verb = next((verb for verb in VERBS if verb.name == name), None)
    if verb is None:
        return _help_lines(texts)
    if not verb.offered:
        return [say_markdown(texts, "refused.not_yet", verb=code_span(verb.words(texts.language)[0]))]
    usage = code_span(verb.usage(texts.language))
    lines = [texts.say(verb.help_key), say_markdown(texts, "help.usage", usage=usage)]
    others = [word for word in (verb.name, *verb.aliases, *verb.chinese) if word != verb.words(texts.language)[0]]
    return [*lines, say_markdown(texts, "help.aliases", aliases=_codes(others))] if others else lines


# --- Questions about what was meant -----------------------------------------------------------------------------------


def near_miss_doc(miss: NearMiss, texts: Texts, inbox_row: int | None = None, *, may_file: bool = True) -> Doc:
    """ "Did you mean `cancel CT-42`?" with [Yes] where one press can do it, and [File it as a code task] unless that
    cannot have been meant.

    `inbox_row` is the stored command whose text is filed; without it only the `--` hint is given."""
    command = code_span(render(miss.meant, texts.language))
    question = say_markdown(texts, "refused.near_miss", command=command)
    if not may_file:
        return Doc(text=question, buttons=_yes(miss, texts, inbox_row))
    shown = (*_yes(miss, texts, inbox_row), *_file(inbox_row, texts))
    return Doc(text=texts.sentences((question, _force_hint(inbox_row, texts))), buttons=shown)


def task_word_doc(texts: Texts, inbox_row: int | None = None) -> Doc:
    """The answer to a bare "task ..."."""
    codetask, followup = code_span(CHAT_COMMAND), code_span("/followup")
    question = say_markdown(texts, "refused.task_word", codetask=codetask, followup=followup)
    return Doc(text=texts.sentences((question, _force_hint(inbox_row, texts))), buttons=_file(inbox_row, texts))


def _force_hint(inbox_row: int | None, texts: Texts) -> str:
    return "" if inbox_row is not None else say_markdown(texts, "refused.force_text", mark=code_span("--"))


def _file(inbox_row: int | None, texts: Texts) -> tuple[Button, ...]:
    if inbox_row is None:
        return ()
    label, name = texts.say("button.file"), texts.say("button_name.file")
    return (Button(label=label, name=name, value=buttons.value_of("file", inbox_row)),)


def _yes(miss: NearMiss, texts: Texts, inbox_row: int | None) -> tuple[Button, ...]:
    action = buttons.action_of(miss.meant)
    if action is not None:
        value = buttons.value_of(action.verb, action.number)
    elif inbox_row is not None and (isinstance(miss.meant, OnFollowUp | Stop) or _is_of_follow_up(miss.meant)):
        value = buttons.wish_value("yes", inbox_row)
    else:
        return ()
    name = texts.say("button_name.yes", command=render(miss.meant, texts.language))
    return (Button(label=texts.say("button.yes"), name=name, value=value, style="primary"),)


def _is_of_follow_up(command: Command) -> bool:
    return getattr(getattr(command, "id", None), "kind", "") == "FU"
