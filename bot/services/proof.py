"""Proving a chat platform by doing: send, edit, react and read back in a channel of one's choice.

Used by `codetask setup` and `codetask doctor --live`. It goes through the port like everything else, so what it proves
is what the product does. One message stays in the channel; it says what it was.
"""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bot.core.cards import Doc
from bot.core.inbound import MessageRef, ThreadRef
from bot.ports import AuthFailed, Clock, Gone, NotAllowed, Platform, Retry, Trouble, Unsendable

ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
TRYING: Final = "Codetask is checking that it can write here."
DONE: Final = "Codetask checked this channel: it can send, edit, react and read here."
READ_BACK: Final = 20
"""Messages read back to find the own one; others may have written meanwhile."""


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing tried: `send`, `edit`, `react` or `read`. `problem` is empty when it worked, else says the fix."""

    step: str
    problem: str = ""
    why: str = ""


async def prove(platform: Platform, channel: ThreadRef, clock: Clock) -> AsyncIterator[Proof]:
    """Tries the four in order and tells each outcome; stops at a failed send, since the rest needs its message."""
    started_at = clock.now() - timedelta(minutes=1)
    sent = await platform.post(channel, Doc(text=TRYING), _key())
    if not isinstance(sent, MessageRef):
        yield Proof("send", _fix(sent), _why(sent))
        return
    yield Proof("send")
    for step, done in (
        ("edit", await platform.edit(sent, Doc(text=DONE), _key())),
        ("react", await platform.react(sent, "done", True, _key())),
    ):
        yield Proof(step) if isinstance(done, MessageRef) else Proof(step, _fix(done), _why(done))
    found = await platform.history(channel, started_at, READ_BACK)
    if isinstance(found, Trouble):
        yield Proof("read", _fix(found), _why(found))
    elif any(one.own and one.message.message_id == sent.message_id for one in found):
        yield Proof("read")
    else:
        yield Proof("read", "The message just sent is not in the channel's history. Give the bot the right to read it.")


def _key() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(24))


def _why(trouble: Trouble) -> str:
    return trouble.why


def _fix(trouble: Trouble) -> str:
    match trouble:
        case NotAllowed(fix=fix) | AuthFailed(fix=fix):
            return fix
        case Gone(what=what):
            return f"There is no such {what}. Copy the channel's id again, and invite the bot there."
        case Retry(after=after):
            return f"The platform asks to wait {after.total_seconds():.0f} s. Run it again then."
        case Unsendable():
            return "The platform refused the message itself. Run it with LOG_LEVEL=debug and report it."
