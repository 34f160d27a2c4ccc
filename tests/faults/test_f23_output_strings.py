"""F23: what other people wrote is shown on every platform and in the pull request, and none of it works there. Every
platform's worst strings go to all of them: what one ignores may be another's mention."""

from collections.abc import Callable
from typing import Final

import pytest

from bot.core.cards import Doc
from platforms.discord import cards as discord_cards
from platforms.lark import cards as lark_cards
from platforms.slack import cards as slack_cards
from tests.core import test_pull_requests as pulls
from tests.platforms.discord import test_cards as discord
from tests.platforms.lark import test_cards as lark
from tests.platforms.slack import test_cards as slack

pytestmark = pytest.mark.fault

SEEDS: Final = (*slack.HOSTILE, *discord.HOSTILE, *lark.SEEDS)
TEXTS: Final = tuple(
    dict.fromkeys([*(shape.replace("{0}", seed) for seed in SEEDS for shape in lark.SHAPES), *pulls.HOSTILE])
)


def on_slack(text: str) -> None:
    slack.check_nothing_live(slack_cards.render_card(slack.hostile_card(text), "k", True))
    slack.check_nothing_live(slack_cards.render_doc(Doc(text=text), "k"))


def on_discord(text: str) -> None:
    discord.check_nothing_live([discord_cards.render_card(discord.hostile_card(text))])
    discord.check_nothing_live(discord_cards.render_doc(Doc(text=text)))


def on_lark(text: str) -> None:
    lark.check_nothing_live(lark_cards.render(lark.hostile_card(text)))
    lark.check_nothing_live(lark_cards.render(Doc(text=text)))


def in_the_pull_request(text: str) -> None:
    hostile = pulls.hostile_task(text.encode("utf-8", "replace").decode())  # no code task holds half a character
    pulls.assert_harmless(pulls.pull_request_body(hostile, pulls.PLAIN))
    pulls.assert_harmless(pulls.pull_request_title(hostile, pulls.PLAIN))
    pulls.assert_harmless(pulls.commit_message(hostile, pulls.PLAIN).split("\n")[0])


PLACES: Final = (on_slack, on_discord, on_lark, in_the_pull_request)


@pytest.mark.parametrize("shown", PLACES)
def test_nothing_that_others_wrote_is_live(shown: Callable[[str], None], long_run: bool) -> None:
    for text in TEXTS if long_run else TEXTS[::2]:
        try:
            shown(text)
        except AssertionError as live:
            raise AssertionError(f"live: {text!r}") from live
