"""`settings pings`: which of the messages that are for a person may mention them."""

from enum import StrEnum
from typing import Final

from bot.core.cards import Doc

SETTING: Final = "pings"


class Pings(StrEnum):
    """What a person wants to be mentioned for. The message comes in any case."""

    RESULTS = "results"
    """Results, failures, reminders, and questions: the default."""
    QUESTIONS = "questions"
    """Only what waits for their answer."""
    NONE = "none"


def as_wanted(doc: Doc, wanted: str | None) -> Doc:
    """The document with its mention, or without it where the mentioned person does not want it (`wanted` is what they
    chose, None for nothing)."""
    if wanted in (None, Pings.RESULTS) or (wanted == Pings.QUESTIONS and doc.asks):
        return doc
    others = {language: as_wanted(one, wanted) for language, one in doc.translations.items()}
    return doc.model_copy(update={"mention": None, "translations": others})
