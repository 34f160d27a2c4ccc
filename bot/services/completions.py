"""What a person may mean while they type: the code task or follow-up of an id, the instant of a time."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from bot.core.followups import FollowUp, FollowUpState
from bot.core.hygiene import clean, cut
from bot.core.inbound import Person, ThreadRef
from bot.core.moments import moment
from bot.core.progress import View
from bot.core.suggestions import OPEN, Suggestion
from bot.core.task_cards import Mask, title_text
from bot.core.tasks import CodeTask
from bot.core.texts import Texts
from bot.core.verbs import VERBS
from bot.core.when import Ask, Reading, When, read_when, split_later
from bot.ports import Choice
from bot.services.languages import WHOLE_WORKSPACE, Languages
from bot.services.zones import Zones
from bot.store import FollowUpFilter, Requester, SuggestionFilter, TaskFilter, Transaction

OFFERED: Final = 25
RECENT: Final = 200
"""How many of the newest code tasks are looked through (ours); older ones are found by number or words."""
LABEL_MAX: Final = 100
"""Characters of a label: Discord shows no more."""
READ: Final = 300
"""Characters of a typed time that are read (ours)."""
FOLLOW_UPS: Final = 8
"""How many follow-ups stand behind the code tasks while nothing tells them apart (ours)."""
SUGGESTIONS: Final = 3
WORD: Final = 3
"""From so many characters on a text is looked for in the titles of suggestions."""
_SUGGESTION: Final = re.compile(r"rq-?(\d{0,9})", re.ASCII)
_NUMBER: Final = re.compile(r"(?:ct-|#)?([1-9]\d{0,8})", re.ASCII)
_TASK: Final = re.compile(r"ct-?\d*", re.ASCII)
_FOLLOW_UP: Final = re.compile(r"fu-?(\d{0,9})", re.ASCII)
_VERBS: Final = frozenset(
    word
    for verb in VERBS
    if verb.name in ("list", "show", "cancel", "stop", "run", "retry", "change")
    for language in ("en", "zh")
    for word in verb.words(language)
)
"""What `/followup` reads in the place of a time."""
_LIVE: Final = (FollowUpState.RUNNING, FollowUpState.PENDING, FollowUpState.FAILED)
_FAR_APART: Final = ("Pacific/Kiritimati", "Etc/GMT+12", "America/New_York", "Europe/Berlin", "Australia/Sydney")
"""Zones of other days and other clock changes: a time that is one instant in all of them needs no zone (ours)."""


@dataclass(frozen=True, slots=True)
class Completions:
    """Answers in the person's language, and times in their zone."""

    languages: Languages
    zones: Zones
    mask: Mask

    def offer(
        self,
        tx: Transaction,
        name: str,
        text: str,
        person: Person,
        place: ThreadRef | None,
        seen: Collection[Requester] | None = (),
    ) -> list[Choice]:
        """At most 25 choices for the option `id` or `when`; none for any other. Without a place a channel's own zone
        and language play no part. `seen` is what `seen_by` answers for the person."""
        whole = ThreadRef(platform=person.platform, workspace_id=person.workspace_id, channel_id=WHOLE_WORKSPACE)
        here = place or whole
        texts = self.languages.personal(tx, person, here).texts
        match name:
            case "id":
                asked = [suggestion_choice(one, texts, self.mask) for one in matching_suggestions(tx, text, place)]
                if _SUGGESTION.fullmatch(text.strip().lower()):
                    return asked
                return [*offer_ids(tx, text, person, texts, self.mask, seen)[: OFFERED - len(asked)], *asked]
            case "when":
                return offer_times(text, tx.now, self.zones.of(tx, person, here), texts)
            case _:
                return []


def offer_ids(
    tx: Transaction, text: str, person: Person, texts: Texts, mask: Mask, seen: Collection[Requester] | None
) -> list[Choice]:
    """At most 25 code tasks that the person may see, and own follow-ups, that match the text."""
    found = [] if _FOLLOW_UP.fullmatch(text.strip().lower()) else matching_tasks(tx, text, seen)
    later = matching_follow_ups(tx, text, person)[: FOLLOW_UPS if found else OFFERED]
    shown = [choice_of(task, texts, mask) for task in found[: OFFERED - len(later)]]
    return shown + [_follow_up_choice(follow_up, texts, mask) for follow_up in later]


def matching_tasks(tx: Transaction, text: str, seen: Collection[Requester] | None) -> list[CodeTask]:
    """At most 25 code tasks whose number, title or name the text is part of, the most recent first."""
    wanted = " ".join(clean(text).split()).lower()
    if not wanted:
        return list(tx.tasks.list(TaskFilter(limit=OFFERED, seen_by=seen)))
    number = _NUMBER.fullmatch(wanted)
    exact = TaskFilter(limit=1, before_id=int(number[1]) + 1, seen_by=seen) if number else None
    found = {task.id: task for task in (tx.tasks.list(exact) if exact else ()) if _matches(task, wanted, number)}
    for which in (TaskFilter(limit=RECENT, seen_by=seen), TaskFilter(text=wanted, limit=RECENT, seen_by=seen)):
        found |= {task.id: task for task in tx.tasks.list(which) if _matches(task, wanted, number)}
        if len(found) >= OFFERED:
            break
    return sorted(found.values(), key=lambda task: -(task.id or 0))[:OFFERED]


def _matches(task: CodeTask, wanted: str, number: re.Match[str] | None) -> bool:
    by_number = str(task.id).startswith(number[1]) if number else task.ref.lower().startswith(wanted)
    return by_number or wanted in task.title.lower() or wanted in task.name.lower()


def choice_of(task: CodeTask, texts: Texts, mask: Mask) -> Choice:
    """`CT-12 Title (Review)`, the title shortened so that the stage stays readable."""
    shown = texts.say(f"shown.{View(task, None, texts, task.updated_at).shown}")
    rest = texts.say("form.choice", ref=task.ref, title="", shown=shown)
    title = cut(title_text(task, mask), LABEL_MAX - len(rest))
    return Choice(label=texts.say("form.choice", ref=task.ref, title=title, shown=shown), value=task.ref)


def matching_follow_ups(tx: Transaction, text: str, person: Person) -> list[FollowUp]:
    """Those of the person that run, wait or failed and whose number or title the text is part of; running first, then
    by time."""
    wanted = " ".join(clean(text).split()).lower()
    number = _FOLLOW_UP.fullmatch(wanted) or _NUMBER.fullmatch(wanted)
    if _TASK.fullmatch(wanted):
        return []
    which = FollowUpFilter(states=_LIVE, requester=(person.platform, person.workspace_id, person.id), limit=RECENT)
    found = tx.followups.list(which)
    if number is None:
        return [one for one in found if wanted in one.title.lower()]
    return [one for one in found if str(one.id).startswith(number[1])]


def _follow_up_choice(follow_up: FollowUp, texts: Texts, mask: Mask) -> Choice:
    """`FU-7 check the deploy (pending)`."""
    shown = texts.say(f"follow_up.state.{follow_up.state.value}")
    rest = texts.say("form.choice", ref=follow_up.ref, title="", shown=shown)
    title = cut(mask(clean(follow_up.title)), LABEL_MAX - len(rest))
    return Choice(label=texts.say("form.choice", ref=follow_up.ref, title=title, shown=shown), value=follow_up.ref)


def matching_suggestions(tx: Transaction, text: str, place: ThreadRef | None) -> list[Suggestion]:
    """Open suggestions of the channel that is typed in: those whose number or title the text is part of."""
    wanted = " ".join(clean(text).split()).lower()
    number = _SUGGESTION.fullmatch(wanted)
    if place is None or not (number or len(wanted) >= WORD):
        return []
    channel = (place.platform, place.workspace_id, place.channel_id)
    found = tx.suggestions.list(SuggestionFilter(states=(OPEN,), channel=channel, limit=RECENT))
    if number is not None:
        return [one for one in found if str(one.id).startswith(number[1])][:OFFERED]
    return [one for one in found if wanted in one.title.lower()][:SUGGESTIONS]


def suggestion_choice(suggestion: Suggestion, texts: Texts, mask: Mask) -> Choice:
    """`RQ-3 CSV export on contacts (Suggested)`."""
    shown = texts.say("ledger.top_suggested")
    rest = texts.say("form.choice", ref=suggestion.ref, title="", shown=shown)
    title = cut(mask(clean(suggestion.title)), LABEL_MAX - len(rest))
    label = texts.say("form.choice", ref=suggestion.ref, title=title, shown=shown)
    return Choice(label=label, value=suggestion.ref)


# --- Times ------------------------------------------------------------------------------------------------------------


def offer_times(text: str, now: datetime, zone: tzinfo | None, texts: Texts) -> list[Choice]:
    """The instants that a time typed so far says, each labelled in the person's zone and language; its value reads back
    as exactly that instant. Examples where it says none. `zone` None: nobody knows the person's, so only what is the
    same instant everywhere is resolved and the rest is offered as it was typed."""
    now, typed = now.replace(microsecond=0), " ".join(clean(text[:READ]).split())
    found = _times(typed, now, zone, texts)
    if found:
        return found[:OFFERED]
    if typed.lower().split(" ")[0] in _VERBS:
        return [Choice(label=typed, value=typed)] if len(typed) <= LABEL_MAX else []
    known = texts.say("when.completions").split("|")
    begun = [example for example in known if typed and example.startswith(typed.lower())]
    shown = (_times(example, now, zone, texts) for example in begun or known)
    return [choices[0] for choices in shown if choices][:OFFERED]


def _times(typed: str, now: datetime, zone: tzinfo | None, texts: Texts) -> list[Choice]:
    if zone is None:
        return _times_anywhere(typed, now, texts)
    read, rest = _read(typed, now, zone)
    if isinstance(read, When):
        return list(_labelled([(read.at, "")], rest, now, zone, texts))
    return list(_labelled(((choice.at, choice.name) for choice in read.choices), rest, now, zone, texts))


def _read(typed: str, now: datetime, zone: tzinfo | str) -> tuple[Reading, str]:
    """The time, and the text behind it where more than a time was typed."""
    read = read_when(typed, now=now, zone=zone)
    if not isinstance(read, When | Ask) and not read.choices:
        return split_later(typed, now=now, zone=zone)
    return read, ""


def _labelled(
    instants: Iterable[tuple[datetime, str]], rest: str, now: datetime, zone: tzinfo, texts: Texts
) -> Iterator[Choice]:
    """`rest` is text behind the time, typed into the same option; it stays behind the instant while there is room."""
    for at, name in instants:
        label = " ".join(part for part in (moment(at, now, zone, texts), name) if part)
        value = at.astimezone(zone).isoformat()
        kept = f"{value} -- {rest}" if rest else value
        if len(kept) <= LABEL_MAX:
            yield Choice(label=cut(f"{label}: {rest}" if rest else label, LABEL_MAX), value=kept)


def _times_anywhere(typed: str, now: datetime, texts: Texts) -> list[Choice]:
    readings = [_read(typed, now, zone)[0] for zone in _FAR_APART]
    instants = {read.at for read in readings if isinstance(read, When)}
    if len(instants) == 1 and all(isinstance(read, When) for read in readings):
        return _times(typed, now, UTC, texts)
    if not any(isinstance(read, When | Ask) or read.choices for read in readings) or len(typed) > LABEL_MAX:
        return []
    return [Choice(label=cut(texts.say("when.zone_unknown", text=typed), LABEL_MAX), value=typed)]
