"""The application commands in Chinese too: what Discord shows to people whose Discord is in Chinese.

Names of commands stay (people tell each other `/codetask`); subcommands, options, choices, menu entries and all
descriptions are localised. What Discord sends back are always the names and values of the original.
"""

from collections.abc import Mapping
from typing import Any, Final

from bot.core.texts import Texts
from bot.core.verbs import FLAG_VALUES, FLAGS, FOLLOW_UP_FLAGS, SETTING_WORDS, SHOWN_FILTERS, VERBS
from platforms.discord.slash import FILE_MENU, LATER_MENU, MESSAGE_MENU, SUB_COMMAND, build_commands

Json = dict[str, Any]

LOCALES: Final[Mapping[str, tuple[str, ...]]] = {"zh": ("zh-CN", "zh-TW")}
"""Our languages -> Discord's locales."""
_MENU_KEYS: Final = {FILE_MENU: "discord.menu.file", LATER_MENU: "discord.menu.later"}


def localised_commands() -> list[Json]:
    """The body of the bulk PUT with names and descriptions in every language there are texts in."""
    commands = build_commands()
    for language, locales in LOCALES.items():
        texts = Texts.load(language)
        for command, other in zip(commands, build_commands(texts), strict=True):
            _localise(command, other, texts, locales)
    return commands


def _localise(thing: Json, other: Json, texts: Texts, locales: tuple[str, ...]) -> None:
    """Adds to `thing` the description of `other`, which is the same thing built in that language, and its name."""
    _add(thing, "name", _name(thing, texts), locales)
    if "description" in thing:
        _add(thing, "description", other["description"], locales)
    for choice in thing.get("choices") or ():
        _add(choice, "name", _choice(thing["name"], choice["value"], texts), locales)
    for option, translated in zip(thing.get("options") or (), other.get("options") or (), strict=True):
        _localise(option, translated, texts, locales)


def _add(thing: Json, field: str, text: str, locales: tuple[str, ...]) -> None:
    if text and text != thing[field]:
        thing.setdefault(f"{field}_localizations", {}).update(dict.fromkeys(locales, text))


def _name(thing: Json, texts: Texts) -> str:
    """The name of a menu entry, a subcommand or an option in a language; empty for a command's own."""
    name = thing["name"]
    if thing["type"] == MESSAGE_MENU and name in _MENU_KEYS:
        return texts.say(_MENU_KEYS[name])
    if thing["type"] == SUB_COMMAND and "options" in thing and name not in ("codetask", "followup"):
        verbs = {verb.name: verb.words(texts.language)[0] for verb in VERBS}
        return verbs.get(name) or texts.say(f"discord.name.{name}")
    flags = {flag.name: flag.word(texts.language) for flag in (*FLAGS, *FOLLOW_UP_FLAGS)}
    key = f"discord.name.{name}"
    return flags.get(name) or (texts.say(key) if key in texts.known else "")


def _choice(option: str, value: str, texts: Texts) -> str:
    match option:
        case "which":
            return next((word for name, word in SHOWN_FILTERS[texts.language].items() if name == value), "")
        case "key":
            return next((word for word, meant in SETTING_WORDS.items() if meant == value and not word.isascii()), "")
        case "verb":
            return next((verb.words(texts.language)[0] for verb in VERBS if verb.name == value), "")
        case _:
            return next((word for word, meant in FLAG_VALUES.items() if meant == value), "")
