"""In which language something is said (ux 10): to a person in theirs, in a channel in the channel's, and in all of them
where one message can hold every language and each viewer sees their own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from bot.core.cards import Card, Doc
from bot.core.inbound import Event, Person, ThreadRef
from bot.core.texts import SOURCE_LANGUAGE, Texts, language_of, languages
from bot.ports import Platform
from bot.store import Transaction

SETTING: Final = "language"
WHOLE_WORKSPACE: Final = ""
"""The channel under which a setting of a whole workspace is stored."""

Said = TypeVar("Said", Card, Doc)


@dataclass(frozen=True, slots=True)
class Wording:
    """The languages of one message: `texts` for everyone, `others` for viewers who read one of those."""

    texts: Texts
    others: tuple[Texts, ...] = ()

    def make(self, draw: Callable[[Texts], Said]) -> Said:
        """The content in the main language, with its translations."""
        drawn = draw(self.texts)
        if not self.others and not drawn.translations and drawn.language == self.texts.language:
            return drawn
        translations = {texts.language: _in(texts, draw) for texts in self.others}
        return drawn.model_copy(update={"language": self.texts.language, "translations": translations})


def _in(texts: Texts, draw: Callable[[Texts], Said]) -> Said:
    return draw(texts).model_copy(update={"language": texts.language})


@dataclass(frozen=True, slots=True)
class Languages:
    """Decides. `default` is DEFAULT_LANGUAGE; `every` are the platforms on which a message holds every language."""

    default: str = SOURCE_LANGUAGE
    every: frozenset[str] = frozenset()

    @classmethod
    def of(cls, default: str, platforms: Mapping[str, Platform]) -> "Languages":
        """As the platforms of this process are able to."""
        return cls(default, frozenset(name for name, one in platforms.items() if one.capabilities.every_language))

    def shared(self, tx: Transaction, place: ThreadRef) -> Wording:
        """For what everyone in a channel sees: the channel's language, else its workspace's, else the default."""
        if place.platform in self.every:
            return self._every(self.default)
        return Wording(Texts.load(self._channel(tx, place)))

    def spoken(self, platform: str, language: str | None) -> Wording:
        """The same where it is known which language the channel, else its workspace, is set to."""
        if platform in self.every:
            return self._every(self.default)
        return Wording(Texts.load(_supported(language) or self.default))

    def personal(self, tx: Transaction, person: Person, place: ThreadRef) -> Wording:
        """For what one person sees: their own language, else what is shared in the place."""
        locale = person.locale
        if locale is None:
            known = tx.people.find(person.platform, person.workspace_id, person.id)
            locale = known.locale if known is not None else None
        language = _supported(locale)
        if language is None:
            return self.shared(tx, place)
        return self._every(language) if place.platform in self.every else Wording(Texts.load(language))

    def hear(self, tx: Transaction, event: Event) -> None:
        """Remembers which language a workspace speaks, where its platform tells."""
        if event.workspace_locale is None:
            return
        place = ThreadRef(platform=event.platform, workspace_id=event.workspace_id, channel_id=WHOLE_WORKSPACE)
        language = _supported(event.workspace_locale)
        if tx.people.setting(place, SETTING) != language:
            tx.people.set_setting(place, SETTING, language)

    def _channel(self, tx: Transaction, place: ThreadRef) -> str:
        said = map(_supported, tx.people.settings_around(place, SETTING))
        return next((language for language in said if language is not None), self.default)

    def _every(self, first: str) -> Wording:
        main = Texts.load(first)
        return Wording(main, tuple(Texts.load(one) for one in languages() if one != main.language))


def _supported(locale: str | None) -> str | None:
    """The language of a locale, None when there are no texts in it."""
    language = language_of(locale or "")
    return language if language in languages() else None
