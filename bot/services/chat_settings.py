"""`settings` in chat: a person's own time zone and pings, and a channel's settings."""

from dataclasses import dataclass

from bot.core.cards import Doc
from bot.core.inbound import Person
from bot.core.people import Action, may
from bot.core.pings import SETTING as PINGS
from bot.core.pings import Pings
from bot.core.quoting import code_span
from bot.core.suggestions import Mode
from bot.core.task_cards import say_markdown
from bot.core.texts import Texts
from bot.core.verbs import Setting, SettingKey
from bot.core.when.zones import zone_name
from bot.services.channel_settings import KEYS, ChannelKey, ChannelSettings
from bot.services.people import Rights
from bot.services.refusals import Refused
from bot.services.said import Answers, Said
from bot.services.tasks import actor_of
from bot.services.zones import OWN, SHARED, Zones, read_zone, zone_key
from bot.store import Transaction

OFF = frozenset({"off", "none", "关闭", "无"})
UNSET = frozenset({"off", "none", "default", "清除", "无"})
"""Words that take a setting back."""


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """Shows and changes settings; every change is checked anew and audited."""

    rights: Rights
    answers: Answers
    zones: Zones
    channel: ChannelSettings

    def act(self, tx: Transaction, said: Said, wish: Setting) -> None:
        """Shows a setting, or changes it."""
        role = self.rights.role(said.person)
        change = Action.OWN_SETTINGS if wish.key in (OWN, PINGS) else Action.CONFIGURE
        needed = Action.VIEW if wish.value is None else change
        if not may(role, needed, is_requester=True):
            refused = Refused("refused.may_not_configure", {}, "not_allowed")
            self.answers.refuse(tx, said, refused if needed is Action.CONFIGURE else self.rights.refuse_viewing())
        elif wish.value is None or wish.key is None:
            self._show(tx, said, wish.key)
        else:
            self._change(tx, said, wish.key, wish.value)

    def _change(self, tx: Transaction, said: Said, key: SettingKey, value: str) -> None:
        word = value.strip(" .。").casefold()
        unset = word in UNSET
        if key == "pings":
            self._set_pings(tx, said, word)
            return
        if key != "tz" and key != "timezone":
            # `off` is a value of these two, not the way back to the default.
            keeps = key in ("intake", "reaction") and word in OFF
            self._set_for_channel(tx, said, key, "off" if keeps else None if unset else value.strip())
            return
        zone = None if unset else read_zone(value)
        if zone is None and not unset:
            self.answers.refuse(tx, said, Refused("refused.unknown_zone", {"zone": value[:60]}))
            return
        if key == "tz":
            self.prefer(tx, said.person, zone_key(zone) or None)
        else:
            place = said.event.thread.model_copy(update={"root": None, "native": None})
            tx.people.set_setting(place, SHARED, zone_key(zone) or None)
            tx.people.audit(actor_of(said.person), "setting", place.canonical, {SHARED: zone_key(zone)})
        self._show(tx, said, key)

    def _set_pings(self, tx: Transaction, said: Said, word: str) -> None:
        """`none` is a value, not the way back to the default."""
        value = Pings.RESULTS if word == "default" else word
        if value not in list(Pings):
            self.answers.refuse(tx, said, Refused("refused.unknown_pings", {"values": tuple(Pings)}))
            return
        self._prefer(tx, said.person, PINGS, None if value == Pings.RESULTS else value)
        self._show(tx, said, PINGS)

    def _set_for_channel(self, tx: Transaction, said: Said, key: ChannelKey, value: str | None) -> None:
        kept = self.channel.read(key, value)
        if isinstance(kept, Refused):
            self.answers.refuse(tx, said, kept)
            return
        place = said.event.thread.model_copy(update={"root": None, "native": None})
        refused = self.channel.fits(tx, place, key, kept)
        if refused is not None:
            self.answers.refuse(tx, said, refused)
            return
        self.channel.store(tx, place, key, kept)
        tx.people.audit(actor_of(said.person), "setting", place.canonical, {key: kept or ""})
        self._show(tx, said, key)

    def prefer(self, tx: Transaction, person: Person, name: str | None) -> None:
        """Remembers a person's own zone."""
        self._prefer(tx, person, OWN, name)

    def _prefer(self, tx: Transaction, person: Person, key: str, value: str | None) -> None:
        tx.people.prefer(person, key, value)
        tx.people.audit(actor_of(person), "setting", actor_of(person), {key: value or ""})

    def _show(self, tx: Transaction, said: Said, key: SettingKey | None) -> None:
        own = self.zones.of(tx, said.person, said.event.thread)
        chosen = tx.people.preference(said.person, OWN) is not None
        shared = tx.people.setting(said.event.thread, SHARED)
        pings = tx.people.preference(said.person, PINGS)

        def draw(texts: Texts) -> Doc:
            unset, lines = texts.say("settings.unset"), list[str]()
            if key in (None, "tz"):
                named = unset if own is None else zone_name(own, texts.language)
                name = "settings.tz" if chosen or own is None else "settings.tz_told"
                lines.append(say_markdown(texts, name, key=code_span("tz"), zone=named))
            if key in (None, PINGS):
                name = "settings.channel_default" if pings is None else "settings.own"
                lines.append(say_markdown(texts, name, key=code_span(PINGS), value=pings or Pings.RESULTS.value))
            if key in (None, "timezone"):
                lines.append(say_markdown(texts, "settings.timezone", key=code_span(SHARED), zone=shared or unset))
            for name in KEYS:
                if key in (None, name) or (key, name) == ("repo", "base"):  # it is forgotten with its repository
                    lines.append(self.channel.describe(tx, said.event.thread, name, texts))
            if key == "intake" and tx.people.setting(said.event.thread, key) == Mode.AUTO.value:
                lines.append(self.channel.about_auto(texts))
            return Doc(text="\n".join(f"- {line}" for line in lines))

        self.answers.whisper(tx, said, draw)
