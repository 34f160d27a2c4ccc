"""What the thread and the person are told of a follow-up (UX rules 1 and 5)."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final, Literal

from bot.core.buttons import FollowUpVerb, follow_up_button
from bot.core.cards import Button, Doc
from bot.core.followups import FollowUp, FollowUpKind, FollowUpReason, FollowUpState
from bot.core.hygiene import clean, cut
from bot.core.inbound import Person
from bot.core.long_answers import beginning, closed
from bot.core.moments import ahead, elapsed, local, moment
from bot.core.progress import stored_error
from bot.core.quoting import Markdown, code_span, escape
from bot.core.redact import mask_formats
from bot.core.runs import Run
from bot.core.task_cards import Mask, plain, say_markdown
from bot.core.task_replies import LIST_PAGE, run_lines
from bot.core.texts import Texts
from bot.core.verbs import FOLLOW_UP_FLAGS, FOLLOW_UP_VERBS, FollowUpFilterName, verb_word
from bot.core.when import zone_named

SHOWN_FILES: Final = 10
LISTED_BUTTONS: Final = 2
"""How many follow-ups of a list have buttons, two each: more would hide the list (ours)."""
BODY_SHOWN: Final = 1_000
_CLI_LIST: Final = code_span("codetask followup list")
_ALLOWED: Final[dict[FollowUpState, tuple[FollowUpVerb, ...]]] = {
    FollowUpState.PENDING: ("run", "change", "cancel"),
    FollowUpState.RUNNING: ("stop",),
    FollowUpState.FAILED: ("retry",),
}


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
    follow_up: FollowUp,
    texts: Texts,
    now: datetime,
    *,
    as_reminder: bool = False,
    kept: str | None = None,
    known: bool = False,
    mask: Mask = mask_formats,
) -> Doc:
    """The confirmation: what happens when, with [Change] [Cancel]. `known`: the same message had set it before."""
    if known:
        ended = follow_up.state is not FollowUpState.PENDING
        text = say_markdown(texts, "follow_up.already", ref=follow_up.ref)
        return Doc(text=text, buttons=() if ended else _buttons(follow_up, texts, "change", "cancel"))
    key = "will_run" if follow_up.kind is FollowUpKind.AGENT else "will_post"
    time = moment(follow_up.due_at, now, zone_of(follow_up), texts)
    parts = [say_markdown(texts, f"follow_up.{key}", time=time, title=plain(follow_up.title, mask))]
    if as_reminder:
        parts.append(say_markdown(texts, "follow_up.as_reminder"))
    if kept is not None:
        parts.append(say_markdown(texts, "follow_up.agent_kept", agent=kept, asked=follow_up.agent or ""))
    return Doc(text=texts.sentences(parts), buttons=_buttons(follow_up, texts, "change", "cancel"))


def set_by_agent_doc(follow_up: FollowUp, agent: str, texts: Texts, now: datetime, mask: Mask = mask_formats) -> Doc:
    """The quiet line in the thread when an agent set it, with [Cancel]."""
    time = moment(follow_up.due_at, now, zone_of(follow_up), texts)
    values = {"agent": agent, "ref": follow_up.ref, "time": time, "title": plain(follow_up.title, mask)}
    return Doc(
        text=say_markdown(texts, "follow_up.set_by_agent", **values), buttons=_buttons(follow_up, texts, "cancel")
    )


def reminder_doc(
    follow_up: FollowUp, texts: Texts, now: datetime, late: timedelta | None, mask: Mask = mask_formats
) -> Doc:
    """A reminder that is due: its whole text, from whom and when, [Done] [Snooze 1 h] [Tomorrow 09:00]."""
    zone = zone_of(follow_up)
    day = local(follow_up.created_at, now, zone, texts)
    title, body = plain(follow_up.title, mask), _body(follow_up, mask)
    text = say_markdown(texts, "follow_up.reminder", day=day, title=title)
    if body != title:
        text = Markdown(f"{text}\n\n{escape(body)}")
    return Doc(
        text=_with_lateness(follow_up, text, texts, now, late),
        mention=requester_of(follow_up),
        buttons=_buttons(follow_up, texts, "done", "snooze", "tomorrow"),
        topic=f"{follow_up.ref} {title}",
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
    text = closed(said.strip()) or texts.say("follow_up.no_output")
    notes: list[str] = []
    first = beginning(text)
    if first is not None:
        text = first
        command = code_span(f"{verb_word('logs', texts.language)} {follow_up.ref}")
        notes.append(say_markdown(texts, "follow_up.rest_in_log", command=command))
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
        buttons=_buttons(follow_up, texts, "file") if files else (),
        topic=f"{follow_up.ref} {follow_up.title}",
    )


def _body(follow_up: FollowUp, mask: Mask) -> str:
    """Its whole text, masked, its lines kept."""
    return clean(mask(clean(follow_up.body))).strip()


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
            text = say_markdown(
                texts, "follow_up.broken_off" if follow_up.crashes else "follow_up.missed", ref=follow_up.ref, time=time
            )
            buttons = _buttons(follow_up, texts, "retry", "dismiss")
        case FollowUpReason.BUSY:
            text = say_markdown(texts, "follow_up.busy", ref=follow_up.ref)
            buttons = _buttons(follow_up, texts, "retry")
        case _:
            why = stored_error(follow_up.error, texts) or texts.say(f"follow_up.why.{reason.value}")
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


# --- Whispers ---------------------------------------------------------------------------------------------------------

Place = Literal["this_thread", "a_thread", "this_channel", "a_channel", "nowhere"]
"""Where a follow-up answers, seen from where a person asks."""


def list_doc(
    follow_ups: Sequence[tuple[FollowUp, Place]],
    chosen: FollowUpFilterName,
    texts: Texts,
    now: datetime,
    zone: tzinfo | None = None,
    mask: Mask = mask_formats,
) -> Doc:
    """One line each, at most 10, with [Cancel] [Run now] where they are few. `zone`: the reader's, if known."""
    if not follow_ups:
        command = code_span(f"{verb_word('later', texts.language)} {texts.say('help.later_wish')}")
        key = "follow_ups.empty_open" if chosen == "open" else "follow_ups.empty_other"
        return Doc(text=say_markdown(texts, key, command=command))
    lines = [f"- {list_line(one, place, texts, now, zone, mask)}" for one, place in follow_ups[:LIST_PAGE]]
    if len(follow_ups) > LIST_PAGE:
        lines.append("\n" + say_markdown(texts, "list.more", n=len(follow_ups) - LIST_PAGE, command=_CLI_LIST))
    pending = [one for one, _ in follow_ups[:LIST_PAGE] if one.state is FollowUpState.PENDING]
    verbs: tuple[FollowUpVerb, ...] = ("cancel", "run")
    return Doc(
        text="\n".join([f"**{texts.say('follow_ups.title')}**", "", *lines]),
        buttons=tuple(
            follow_up_button(verb, one, texts, named=True) for one in pending[:LISTED_BUTTONS] for verb in verbs
        ),
    )


def list_line(
    follow_up: FollowUp,
    place: Place,
    texts: Texts,
    now: datetime,
    zone: tzinfo | None = None,
    mask: Mask = mask_formats,
) -> Markdown:
    """`FU-7 Sat 7 Mar 09:00 (in 17 h) · check the deploy · this thread`."""
    time = local(follow_up.due_at, now, zone or zone_of(follow_up), texts)
    values = {"ref": follow_up.ref, "time": time, "title": plain(follow_up.title, mask)}
    where = texts.say(f"follow_ups.{place}")
    if follow_up.by_agent:
        where = texts.listed((where, texts.say("follow_ups.by_agent")))
    if follow_up.state is FollowUpState.PENDING:
        left = ahead(follow_up.due_at, now, texts)
        return say_markdown(texts, "follow_ups.line", **values, ahead=left, where=where)
    state = texts.say(f"follow_up.shown.{follow_up.state.value}")
    return say_markdown(texts, "follow_ups.line_over", **values, state=state, where=where)


def details_doc(
    follow_up: FollowUp,
    place: Place,
    run: Run | None,
    texts: Texts,
    now: datetime,
    zone: tzinfo | None = None,
    mask: Mask = mask_formats,
    *,
    body: bool = True,
) -> Doc:
    """All that is known of one, with the buttons that its state allows. `body`: with its whole text."""
    where, state = texts.say(f"follow_ups.{place}"), texts.say(f"follow_up.shown.{follow_up.state.value}")
    title = plain(follow_up.title, mask)
    head = say_markdown(texts, "follow_ups.head", ref=follow_up.ref, state=state, title=title)
    time = moment(follow_up.due_at, now, zone or zone_of(follow_up), texts)
    lines = [say_markdown(texts, "follow_ups.due", time=time), say_markdown(texts, "follow_ups.where", where=where)]
    who = follow_up.requester_name or follow_up.requester_id
    lines.append(say_markdown(texts, "follow_ups.agent_set" if follow_up.by_agent else "follow_ups.set_by", who=who))
    kind = texts.say(f"follow_ups.kind_{follow_up.kind.value}")
    lines.append(say_markdown(texts, "follow_ups.kind", kind=kind))
    if follow_up.agent and follow_up.kind is FollowUpKind.AGENT:
        lines.append(say_markdown(texts, "follow_ups.agent", agent=follow_up.agent))
    if follow_up.state is FollowUpState.RUNNING and run is not None:
        lines += run_lines(run, texts, mask)
    if follow_up.state is FollowUpState.FAILED:
        reason = follow_up.failure_reason or FollowUpReason.AGENT_FAILED
        why = follow_up.error or texts.say(f"follow_up.why.{reason.value}")
        lines.append(say_markdown(texts, "status.error", error=plain(why, mask)))
    parts = [f"**{head}**", "\n".join(f"- {line}" for line in lines)]
    text = cut(_body(follow_up, mask), BODY_SHOWN)
    if body and text != title:
        parts.append(escape(text))
    return Doc(text="\n\n".join(parts), buttons=_buttons(follow_up, texts, *_ALLOWED.get(follow_up.state, ())))


def help_doc(texts: Texts) -> Doc:
    """How follow-ups are set and looked after."""
    language, wish = texts.language, texts.say("help.later_wish")
    later = code_span(f"{verb_word('later', language)} {wish}")
    verbs = [code_span(f"{verb_word(verb, language)} FU-7") for verb in FOLLOW_UP_VERBS]
    options = [code_span(flag.usage(language)) for flag in FOLLOW_UP_FLAGS]
    lines = [
        say_markdown(
            texts,
            "help.later",
            slash=code_span(f"/followup {wish}"),
            verb=later,
        ),
        say_markdown(texts, "help.follow_up_verbs", verbs=Markdown(" ".join(verbs))),
        say_markdown(texts, "help.follow_up_list", command=code_span("/followup list")),
        say_markdown(texts, "help.options", options=Markdown(" ".join(options))),
        say_markdown(texts, "help.zone", command=code_span(f"{verb_word('settings', language)} tz Asia/Tokyo")),
    ]
    return Doc(text="\n".join(f"- {line}" for line in lines))
