"""A refusal: a value that says no and why, the same for chat, HTTP and command line."""

from dataclasses import dataclass, field
from typing import Any, Literal

from bot.core.quoting import code_span
from bot.core.texts import Word
from bot.core.verbs import BadFlag

RefusalKind = Literal["bad", "not_allowed", "not_found", "state"]


@dataclass(frozen=True, slots=True)
class Refused:
    """No. `key` names the sentence in the texts, `values` fill it in.

    `kind` decides HTTP code and exit code: bad (400, 2), not_allowed (403, 3), not_found (404, 4), state (409, 3)."""

    key: str
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    kind: RefusalKind = "bad"


def stage_word(stage: str) -> Word:
    """A stage inside a sentence, in the reader's language."""
    return Word(f"stage.{stage}")


def refuse_flag(flag: BadFlag) -> Refused:
    """Why an option could not be read; nothing was filed."""
    key = f"refused.flag_{flag.why}"
    if flag.why == "value" and not flag.allowed:
        key = "refused.flag_name" if flag.name == "name" else "refused.flag_value_any"
    allowed = flag.allowed if flag.why == "value" else tuple(f"--{name}" for name in flag.allowed)
    undone = Word("refused.nothing_filed" if flag.of == "task" else "refused.nothing_set")
    return Refused(key, {"flag": code_span(f"--{flag.name}"), "allowed": allowed, "undone": undone})
