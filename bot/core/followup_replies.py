"""What the thread and the person are told of a follow-up (UX rules 1 and 5)."""

from datetime import datetime, timedelta, tzinfo
from typing import Final

from bot.core.buttons import FollowUpVerb, follow_up_button
from bot.core.cards import Button, Doc
from bot.core.followups import FollowUp, FollowUpKind, FollowUpReason
from bot.core.hygiene import clean
from bot.core.inbound import Person
from bot.core.moments import elapsed, local, moment
from bot.core.quoting import Markdown, code_span, escape
from bot.core.task_cards import say_markdown
from bot.core.texts import Texts
from bot.core.when import zone_named

SHOWN_FILES: Final = 10


def zone_of(follow_up: FollowUp) -> tzinfo:
    """The zone its time is shown in; UTC where none was known."""
    found = zone_named(follow_up.zone) if follow_up.zone else None
    return found or zone_named("UTC")  # type: ignore[return-value]


def requester_of(follow_up: FollowUp) -> Person:
    """Whom a reply mentions."""
    return Person(
        platform=follow_up.requester_platform,
        workspace_id=follow_up.requester_workspace,
        id=follow_up.requester_id,
        name=follow_up.requester_name,
    )


def set_doc(
    follow_up: FollowUp, texts: Texts, now: datetime, *, as_reminder: bool = False, kept: str | None = None
) -> Doc:
    """The confirmation: what happens when, with [Change] [Cancel]."""
    key = "will_run" if follow_up.kind is FollowUpKind.AGENT else "will_post"
    time = moment(follow_up.due_at, now, zone_of(follow_up), texts)
    parts = [say_markdown(texts, f"follow_up.{key}", time=time, title=follow_up.title)]
    if as_reminder:
        parts.append(say_markdown(texts, "follow_up.as_reminder"))
    if kept is not None:
        parts.append(say_markdown(texts, "follow_up.agent_kept", agent=kept, asked=follow_up.agent or ""))
    return Doc(text=texts.sentences(parts), buttons=_buttons(follow_up, texts, "change", "cancel"))


def set_by_agent_doc(follow_up: FollowUp, agent: str, texts: Texts, now: datetime) -> Doc:
    """The quiet line in the thread when an agent set it, with [Cancel]."""
    time = moment(follow_up.due_at, now, zone_of(follow_up), texts)
    values = {"agent": agent, "ref": follow_up.ref, "time": time, "title": follow_up.title}
    return Doc(
        text=say_markdown(texts, "follow_up.set_by_agent", **values), buttons=_buttons(follow_up, texts, "cancel")
    )


def reminder_doc(follow_up: FollowUp, texts: Texts, now: datetime, late: timedelta | None) -> Doc:
    """A reminder that is due: its whole text, from whom and when, [Done] [Snooze 1 h] [Tomorrow 09:00]."""
    zone = zone_of(follow_up)
    day = local(follow_up.created_at, now, zone, texts)
    text = say_markdown(texts, "follow_up.reminder", day=day, title=follow_up.title)
    body = clean(follow_up.body).strip()
    if body != follow_up.title:
        text = Markdown(f"{text}\n\n{escape(body)}")
    return Doc(
        text=_with_lateness(follow_up, text, texts, now, late),
        mention=requester_of(follow_up),
        buttons=_buttons(follow_up, texts, "done", "snooze", "tomorrow"),
        topic=f"{follow_up.ref} {follow_up.title}",
    )


def result_doc(
    follow_up: FollowUp,
    said: str,
    texts: Texts,
    now: datetime,
    *,
    late: timedelta | None = None,
    fresh_session: bool = False,
    kept: str | None = None,
    files: tuple[str, ...] = (),
) -> Doc:
    """What the agent answered, as markdown; "Done (no output)" for nothing. It mentions the person who set it."""
    text = said.strip() or texts.say("follow_up.no_output")
    notes: list[str] = []
    if fresh_session:
        notes.append(say_markdown(texts, "follow_up.fresh_session"))
    if kept is not None:
        notes.append(say_markdown(texts, "follow_up.agent_kept", agent=kept, asked=follow_up.agent or ""))
    if files:
        shown = tuple(code_span(name) for name in files[:SHOWN_FILES])
        notes.append(say_markdown(texts, "follow_up.changed_files", files=shown))
    if notes:
        text = f"{text}\n\n{texts.sentences(notes)}"
    return Doc(
        text=_with_lateness(follow_up, text, texts, now, late),
        mention=requester_of(follow_up),
        topic=f"{follow_up.ref} {follow_up.title}",
    )


def _with_lateness(follow_up: FollowUp, text: str, texts: Texts, now: datetime, late: timedelta | None) -> str:
    if late is None:
        return text
    clock = local(follow_up.due_at, now, zone_of(follow_up), texts)
    said = say_markdown(texts, "follow_up.late", clock=clock, late=elapsed(late, texts))
    return f"{text}\n\n{said}"


def failed_doc(follow_up: FollowUp, texts: Texts, now: datetime) -> Doc:
    """Why it was not answered, with [Run again]."""
    reason = follow_up.failure_reason or FollowUpReason.AGENT_FAILED
    match reason:
        case FollowUpReason.MISSED:
            time = local(follow_up.due_at, now, zone_of(follow_up), texts)
            text = say_markdown(texts, "follow_up.missed", ref=follow_up.ref, time=time)
            buttons = _buttons(follow_up, texts, "retry", "dismiss")
        case FollowUpReason.BUSY:
            text = say_markdown(texts, "follow_up.busy", ref=follow_up.ref)
            buttons = _buttons(follow_up, texts, "retry")
        case _:
            why = follow_up.error or texts.say(f"follow_up.why.{reason.value}")
            text = say_markdown(texts, "follow_up.failed", ref=follow_up.ref, why=why.rstrip("."))
            buttons = _buttons(follow_up, texts, "retry")
    return Doc(
        text=text,
        mention=requester_of(follow_up),
        buttons=buttons,
        topic=f"{follow_up.ref} {follow_up.title}",
    )


def _buttons(follow_up: FollowUp, texts: Texts, *verbs: FollowUpVerb) -> tuple[Button, ...]:
    return tuple(follow_up_button(verb, follow_up, texts) for verb in verbs)
