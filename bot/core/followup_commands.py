"""The part of the grammar that only follow-ups have: `later`, `change`, `run`, `delete`, lists, zones (UX rules 3, 4).

A time is looked for only behind `later`, `change` and `/followup`. Which instant it is depends on the person's zone, so
what is parsed keeps the words; here they only decide whether a text is a command at all.
"""

from datetime import UTC, datetime
from typing import Final

from bot.core.options import FOLLOWING_UP, Given, read_leading, read_trailing
from bot.core.targets import Context, is_prefixed, only_target, run_of, target_of
from bot.core.verbs import (
    FOLLOW_UP_FILTERS,
    BadFlag,
    ChangeFollowUp,
    Command,
    DeleteFollowUp,
    ListFollowUps,
    RunNow,
    SetFollowUp,
    ThisThread,
)
from bot.core.words import END_MARKS, Word

VAGUE: Final = frozenset(
    ["soon", "sometime", "someday", "eventually", "asap", "afterwards", "待会", "待会儿", "回头", "改天", "有空"]
)
"""No time can be read in these, yet who says `later soon` means no code task."""
_ANY_DAY: Final = datetime(2030, 1, 2, 12, 0, tzinfo=UTC)

Read = Command | BadFlag | None


def reads_as_time(text: str, *, whole: bool = False) -> bool:
    """Whether a text starts with a time (`whole`: is one), clear or not; one that can only be refused is one too."""
    # Not at the top: zones and patterns take time to load, and `codetask --help` imports the table of verbs.
    from bot.core.when import Refused, read_when, split_later

    read = read_when(text, now=_ANY_DAY, zone="UTC") if whole else split_later(text, now=_ANY_DAY, zone="UTC")[0]
    return not (isinstance(read, Refused) and read.key in ("when.unclear", "when.empty"))


def build_later(rest: list[Word], context: Context) -> Read:
    """`later WHEN [TEXT]`; None when what follows is no time, so that the text is a request."""
    if not rest:
        return SetFollowUp("")
    wish = read_wish(context.text[rest[0].start :])
    if isinstance(wish, BadFlag) or not wish.text:
        return wish
    vague = wish.text.split(None, 1)[0].casefold().rstrip(END_MARKS) in VAGUE
    return wish if vague or reads_as_time(wish.text) else None


def read_wish(text: str) -> SetFollowUp | BadFlag:
    """A time and what to do, with the options before the time, between the two, or at the end."""
    given = Given(FOLLOWING_UP)
    at = read_leading(text, given)
    if isinstance(at, BadFlag):
        return at
    kept = read_trailing(text[at:].strip(), given)
    if isinstance(kept, BadFlag):
        return kept
    time, between = _options_between(kept)
    if not between:
        return SetFollowUp(kept, given.follow_up_options())
    at = read_leading(between, given)
    return at if isinstance(at, BadFlag) else SetFollowUp(time, given.follow_up_options(), between[at:].strip())


def _options_between(text: str) -> tuple[str, str]:
    """The time, and what follows it from its first option on; nothing for the second where no option follows."""
    if "--" not in text:
        return text, ""
    from bot.core.when import split_later

    rest = split_later(text, now=_ANY_DAY, zone="UTC")[1]
    time = text[: len(text) - len(rest)]
    before = time.removesuffix("--").strip()
    forced = before.endswith("--")  # a mark that what follows is text
    return (text, "") if not rest or rest == text or not time.endswith("--") or forced else (before, f"--{rest}")


def build_list(rest: list[Word]) -> Read:
    """`followups [FILTER]`, `/followup list [FILTER]`."""
    if not rest:
        return ListFollowUps()
    chosen = FOLLOW_UP_FILTERS.get(rest[0].bare.removeprefix("--"))
    return ListFollowUps(chosen) if chosen is not None and len(rest) == 1 else None


def build_run(rest: list[Word]) -> Read:
    """`run FU-7`: only follow-ups run, so a bare number is one."""
    target = _only(rest)
    return RunNow(target) if target is not None else None


def build_delete(rest: list[Word], context: Context) -> Read:
    """`delete FU-7`; None for anything but a follow-up."""
    if not rest:
        return DeleteFollowUp(ThisThread()) if context.default_kind == "FU" else None
    target = only_target(rest, context.default_kind, "clear")
    if target is None or getattr(target, "kind", context.default_kind) != "FU" or run_of(rest[0]) is not None:
        return None
    return DeleteFollowUp(target)


def build_change(rest: list[Word], context: Context) -> Read:
    """`change FU-7 WHEN`, `change WHEN` in its thread. Without a prefix the rest has to be a time."""
    target = _only(rest)
    if rest and target is not None and (is_prefixed(rest[0]) or len(rest) == 1):
        return ChangeFollowUp(target, "")
    target = target_of(rest[0], "FU", "clear") if rest and run_of(rest[0]) is None else None
    when = context.text[rest[0].end :].strip() if rest else ""
    sure = bool(rest) and (is_prefixed(rest[0]) or context.default_kind == "FU")
    if target is not None and when and (sure or reads_as_time(when, whole=True)):
        return ChangeFollowUp(target, when)
    when = context.text[rest[0].start :].strip() if rest else ""
    return ChangeFollowUp(ThisThread(), when) if when and reads_as_time(when, whole=True) else None


def _only(rest: list[Word]):
    return None if rest and run_of(rest[0]) is not None else only_target(rest, "FU", "clear")
