"""One name for an emoji on every platform."""

import pytest

from bot.core.emoji import emoji_name


@pytest.mark.parametrize("told", ["bulb", ":bulb:", "💡", "BULB", "StatusFlashOfInspiration", " :bulb: ", "IDEA"])
def test_the_lamp_is_the_same_on_every_platform(told: str) -> None:
    assert emoji_name(told) == "bulb"


@pytest.mark.parametrize("told", ["+1", "thumbsup", "+1::skin-tone-4", ":+1::skin-tone-2:", "👍", "👍🏽", "THUMBSUP"])
def test_a_skin_tone_changes_nothing(told: str) -> None:
    assert emoji_name(told) == "+1"


def test_a_picture_that_may_also_be_plain_is_the_same() -> None:
    assert emoji_name("✔️") == emoji_name("✔") == "heavy_check_mark"
    assert emoji_name("⚙️") == "gear"


def test_what_is_not_known_keeps_its_name() -> None:
    assert emoji_name("file-this") == emoji_name(":File-This:") == "file-this"
    assert emoji_name("🦒") == "🦒"
    assert emoji_name("") == ""
    assert len({emoji_name(one) for one in ("memo", "eyes", "bulb", "pushpin")}) == 4
