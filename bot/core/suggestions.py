"""Suggestions: a message that may ask for a change, from the moment it was heard until someone has decided.

`TRANSITIONS` is the law (product rule 6); storage guards every UPDATE with it. Of a message that was not flagged
nothing is stored but its key, its score and the reason: `title`, `text` and the other words stay empty.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final

from sqlmodel import Field, SQLModel

from bot.core.hygiene import clean
from bot.core.intake.kinds import Kind
from bot.core.tasks import TITLE_MAX

TOGETHER: Final = timedelta(seconds=90)
"""Messages of one person in one place that are at most this far apart are one item (product rule 6.2)."""
MEMBERS_MAX: Final = 6
"""So many messages make one item at most (product rule 6.2)."""
JUDGING: Final = timedelta(seconds=60)
"""How long an item belongs to the process that judges it."""
OTHERS_AFTER: Final = timedelta(seconds=5)
"""So long after its time another process judges an item whose text this one does not hold."""
PER_AUTHOR: Final = timedelta(minutes=10)
"""At most one suggestion of one person in that time (product rule 6.2)."""
PER_CHANNEL_AND_DAY: Final = 5
DISMISSALS: Final = 3
"""So many "Not a request" in a row turn `suggest` into `observe`."""
KEPT: Final = timedelta(days=30)
"""Undecided suggestions expire then, and their text is wiped."""
APPROVAL_WAIT: Final = timedelta(hours=72)
"""How long an approval of a request may take (product rule 14)."""
UNDO: Final = timedelta(minutes=10)
"""How long a code task that was filed without a person waits for [Undo] before a worker may take it."""
DECIDED_FOR_AUTO: Final = 100
PRECISION_FOR_AUTO: Final = 0.95
"""What the decided suggestions of a channel must show before a model may file there by itself."""
SAID_LATE: Final = timedelta(hours=24)
"""A request found later than this is said, not filed."""
HASH_SHOWN: Final = 12
"""Hexadecimal digits of a text's hash in the value of a button."""


MESSAGE_GONE: Final = "deleted"
"""The reason of a filed one whose message was deleted: its words are not shown any more."""


BY_HAND: Final = "by_hand"
"""The reason of one whose words a person wrote: an edit of its message never replaces them once they are filed."""


class Mode(StrEnum):
    """What intake does in a channel; stored as the channel setting `intake`."""

    OFF = "off"
    OBSERVE = "observe"
    SUGGEST = "suggest"
    AUTO = "auto"


class SuggestionState(StrEnum):
    """The stored states of a suggestion."""

    WAITING = "waiting"
    """Heard; more of it may follow until `due_at`. Judging moves it on. After a crash another process judges it: its
    text is held in memory only and read again from the platform."""
    SKIPPED = "skipped"
    """Judged, and nothing was shown; `reason` says why. An edit, a shortcut or a reaction moves it on."""
    OPEN = "open"
    """Shown with its buttons; waits for a person. A press, an edit, a deletion or its expiry moves it on."""
    FILED = "filed"
    """A code task was filed for it. [Not a request] or [Undo] moves it to dismissed."""
    SAME = "same"
    """It asks for what a code task asks for, and its thread is told of that one. [This is different] moves it on."""
    DISMISSED = "dismissed"
    """A person said that it is no request. Nobody moves it on, but a shortcut or a command on its message."""
    EXPIRED = "expired"
    """Nobody decided in 30 days (72 h where an admin was asked); its text is wiped. A shortcut moves it on."""
    REMOVED = "removed"
    """Its message was deleted before anyone decided; its text is wiped. Nobody moves it on."""


WAITING, SKIPPED, OPEN = SuggestionState.WAITING, SuggestionState.SKIPPED, SuggestionState.OPEN
FILED, SAME, DISMISSED = SuggestionState.FILED, SuggestionState.SAME, SuggestionState.DISMISSED
EXPIRED, REMOVED = SuggestionState.EXPIRED, SuggestionState.REMOVED
UNDECIDED: Final = frozenset({WAITING, SKIPPED, OPEN, EXPIRED})
"""A person may still file it, by a door of its message."""
TRANSITIONS: Final[frozenset[tuple[SuggestionState, SuggestionState]]] = frozenset(
    {
        *((before, after) for before in (WAITING, SKIPPED) for after in (SKIPPED, OPEN, FILED, REMOVED)),
        *((OPEN, after) for after in (FILED, SAME, DISMISSED, EXPIRED, REMOVED, SKIPPED)),
        *((before, FILED) for before in (SAME, DISMISSED, EXPIRED)),
        *((FILED, after) for after in (DISMISSED, SAME)),
    }
)


class SkipReason(StrEnum):
    """Why nothing was shown for an item; the codes of `codetask intake report`."""

    BELOW = "below_threshold"
    OBSERVED = "observed"
    """Above the threshold in a channel that is only observed."""
    AUTHOR_LIMIT = "author_limit"
    CHANNEL_LIMIT = "channel_limit"
    UNREADABLE = "unreadable"
    """Its text could not be read again after a restart."""
    MODEL_SAYS_NO = "model_says_no"
    EDITED_BELOW = "edited_below"
    """An edit took it below the threshold again."""
    TURNED_OFF = "turned_off"
    """The channel was switched off before it was judged."""


class Suggestion(SQLModel):
    """One item of intake. Shown to people as `RQ-<id>`."""

    id: int | None = None
    platform: str
    workspace_id: str
    channel_id: str
    root: str = ""
    """The root of the thread its message stands in; empty for a message of the channel itself."""
    message_id: str
    """Its first message; unique in its channel."""
    author_id: str
    author_name: str = ""
    author_kind: str = "human"
    state: SuggestionState = SuggestionState.WAITING
    reason: str = ""
    """A `SkipReason` when skipped, a key of `guard` when an admin has to allow it; else the scorer's reason."""
    mode: Mode = Mode.OBSERVE
    """The channel's mode when it was judged."""
    judge: str = ""
    """`rules`, `llm`, or `person` for one that a person pointed at."""
    kind: Kind | None = None
    score: float | None = None
    """0 to 1; 1.0 for a marker and for a person's word."""
    title: str = Field(default="", max_length=TITLE_MAX)
    text: str = ""
    """Exactly what the agent is given when it is filed."""
    text_hash: str = ""
    """`hash_of(text)`: what a press confirms."""
    seen_hash: str = ""
    """The hash of all its messages when it was judged, kept when the text is wiped: an edit that changes nothing is
    known by it."""
    evidence: str = ""
    question: str = ""
    """The one thing that is missing, as the model asked."""
    language: str = ""
    repo: str | None = None
    guard: str = ""
    """Why an admin has to allow it: keys of `texts` under `guard`, space-separated. Empty: a filer may file it."""
    similar: str = ""
    """Numbers of the code tasks offered by [Same as], space-separated, likeliest first."""
    likely_same: bool = False
    """Whether the first of `similar` likely asks for the same."""
    edited: str = ""
    """What its messages say since an edit that the agent of its code task was not told; a press passes it on."""
    told_hash: str = ""
    """`hash_of` the edit that was passed on last; empty while the agent knows the description only."""
    hidden: int = 0
    """How many invisible characters were taken out of its text."""
    thread_id: int | None = None
    """The thread its line was posted in."""
    code_task_id: int | None = None
    decided_by: str | None = None
    """`platform:person`, or `auto`."""
    decided_at: datetime | None = None
    members: int = 1
    owner: str = ""
    """The process that holds its text in memory."""
    closed: bool = False
    """Nothing joins it any more: somebody else spoke, or it is full."""
    last_at: datetime
    """When its last message was sent."""
    due_at: datetime
    """When it is judged."""
    lease_until: datetime | None = None
    shown_at: datetime | None = None
    """When people were last asked about it, or when it was filed by itself; what the limits of noise count."""
    created_at: datetime
    updated_at: datetime

    @property
    def ref(self) -> str:
        """`RQ-3`."""
        return f"RQ-{self.id}"

    @property
    def similar_ids(self) -> tuple[int, ...]:
        return tuple(int(number) for number in self.similar.split())


WIPED: Final[dict[str, str]] = dict.fromkeys(("title", "text", "text_hash", "evidence", "question", "edited"), "")
"""The values that take every word of a message out of a suggestion."""


def line_key(suggestion: Suggestion) -> str:
    """The key of the delivery that posts its line; edits of it have the card key `suggestion.ref`."""
    return f"{suggestion.ref}:line"


def may_move(before: SuggestionState, after: SuggestionState) -> bool:
    """Whether the move is in the table; anything else is refused with nothing written."""
    return (before, after) in TRANSITIONS


def hash_of(text: str) -> str:
    """SHA-256, as 64 hexadecimal digits, of a text after `clean` and with its white space evened out: two texts that a
    reader cannot tell apart have the same."""
    return sha256(" ".join(clean(text).split()).encode()).hexdigest()
