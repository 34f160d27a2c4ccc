"""`settings` of a channel in chat: intake, the emoji that files, repository, base, agent, language. For admins."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from bot.core.branches import is_branch
from bot.core.emoji import emoji_name
from bot.core.inbound import ThreadRef
from bot.core.quoting import Markdown, code_span
from bot.core.suggestions import DECIDED_FOR_AUTO, PRECISION_FOR_AUTO, Mode
from bot.core.task_cards import say_markdown
from bot.core.texts import Texts, language_of, languages
from bot.services.intake.modes import FEATURES
from bot.services.intake.news import SuggestionNews
from bot.services.intake.suggestions import SINCE
from bot.services.refusals import Refused
from bot.services.tasks import repo_of_channel
from bot.settings import Settings
from bot.store import Transaction

ChannelKey = Literal["intake", "reaction", "repo", "base", "agent", "language"]
KEYS: Final[tuple[ChannelKey, ...]] = ("intake", "reaction", "repo", "base", "agent", "language")
BULB: Final = "bulb"
NO_EMOJI: Final = "off"
"""The value of `reaction` where no emoji files anything: no emoji has that name."""
_EMOJI: Final = re.compile(r"[\w+-]{1,64}|[^\x00-\x7f]{1,8}")
_LANGUAGES: Final = {"english": "en", "英文": "en", "英语": "en", "chinese": "zh", "中文": "zh", "汉语": "zh"}


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """Checks, stores and describes them. `agents` are those that may be used here."""

    settings: Settings
    news: SuggestionNews
    agents: tuple[str, ...]

    def read(self, key: ChannelKey, value: str | None) -> str | Refused | None:
        """What is stored for a value; None to take the setting back."""
        match key:
            case "intake":
                return self._mode(value)
            case "reaction":
                return _emoji(value)
            case "repo" if value is not None and value not in self.settings.repositories:
                known = tuple(sorted(self.settings.repositories))
                return Refused("refused.unknown_repository", {"repo": value[:80], "repositories": known})
            case "base" if value is not None and not is_branch(value):
                return Refused("refused.bad_branch", {"branch": value[:80]})
            case "agent" if value is not None and value.lower() not in self.agents:
                return Refused("refused.unknown_agent", {"agent": value[:80], "agents": tuple(sorted(self.agents))})
            case "agent":
                return value.lower() if value is not None else None
            case "language" if value is not None:
                return _language(value)
            case _:
                return value

    def fits(self, tx: Transaction, place: ThreadRef, key: ChannelKey, value: str | None) -> Refused | None:
        """Why a value that `read` gave cannot be this channel's: a branch belongs to a repository."""
        if key != "base" or value is None or repo_of_channel(tx, place, self.settings) is not None:
            return None
        return Refused("refused.base_without_repo", {"command": code_span("settings repo")})

    def store(self, tx: Transaction, place: ThreadRef, key: ChannelKey, value: str | None) -> None:
        """Stores a value that `read` gave. Where it switches intake on, the channel is told; the base of a repository
        is forgotten with it."""
        before = tx.people.setting(place, key)
        tx.people.set_setting(place, key, value)
        if key == "repo" and value != before:
            tx.people.set_setting(place, "base", None)
        if key != "intake" or value is None or value == (before or Mode.OFF.value):
            return
        mode = Mode(value)
        if mode in (Mode.SUGGEST, Mode.AUTO):
            tx.people.set_setting(place, SINCE, tx.now.isoformat())
        self.news.intake_on(tx, place, mode, self.settings.intake_judge)

    def describe(self, tx: Transaction, place: ThreadRef, key: ChannelKey, texts: Texts) -> Markdown:
        """One line: the value, and whether it is this channel's or the default."""
        chosen = tx.people.setting(place, key)
        if chosen is not None:
            return say_markdown(texts, "settings.channel", key=code_span(key), value=chosen)
        value = self._default(tx, place, key) or texts.say("settings.unset")
        return say_markdown(texts, "settings.channel_default", key=code_span(key), value=value)

    def about_auto(self, texts: Texts) -> str:
        """What `auto` needs before it files what was judged."""
        share = f"{PRECISION_FOR_AUTO:.0%}"
        return texts.say("settings.auto", n=DECIDED_FOR_AUTO, share=share)

    def _default(self, tx: Transaction, place: ThreadRef, key: ChannelKey) -> str:
        """Empty where there is none."""
        match key:
            case "intake":
                return Mode.OFF.value
            case "reaction":
                return self.settings.intake_emoji or BULB
            case "agent":
                return self.settings.default_agent
            case "language":
                return self.settings.default_language
            case "repo":
                return next(iter(self.settings.repositories), "")
            case "base":
                repo = repo_of_channel(tx, place, self.settings)
                return repo.base if repo is not None else ""

    def _mode(self, value: str | None) -> str | Refused | None:
        if not set(self.settings.features) >= FEATURES:
            return Refused("refused.intake_disabled")
        if value is None or value == Mode.OFF.value:
            return None
        if value not in [mode.value for mode in Mode]:
            return Refused("refused.unknown_mode", {"modes": tuple(mode.value for mode in Mode)})
        return value


def _emoji(value: str | None) -> str | Refused | None:
    name = emoji_name(value) if value is not None else None
    if name is not None and not _EMOJI.fullmatch(name):
        return Refused("refused.unknown_emoji", {"example": code_span("bulb")})
    return name


def _language(value: str) -> str | Refused:
    name = _LANGUAGES.get(value.casefold(), language_of(value))
    if name not in languages():
        return Refused("refused.unknown_language", {"languages": languages()})
    return name
