"""`settings [KEY [VALUE]]`: which words are a setting and its value, and which are the beginning of a request."""

from typing import Final

from bot.core.targets import Context
from bot.core.verbs import MODE_WORDS, PINGS_WORDS, SETTING_WORDS, Setting, SettingKey
from bot.core.words import Word

_ZONES: Final = frozenset({"tz", "timezone"})
_VALUES: Final[dict[SettingKey, dict[str, str]]] = {"intake": MODE_WORDS, "pings": PINGS_WORDS}


def build_setting(rest: list[Word], context: Context) -> Setting | None:
    """`settings`, `settings tz New York`, `设置 需求收集 建议`; None for "settings page crashes on save"."""
    if not rest:
        return Setting()
    key = SETTING_WORDS.get(rest[0].bare)
    if key is None:
        return None
    if len(rest) == 1:
        return Setting(key)
    if key in _ZONES:
        return Setting(key, context.text[rest[1].start :].strip()) if _zone_fits(rest, context) else None
    if len(rest) != 2:
        return None
    return Setting(key, _VALUES.get(key, {}).get(rest[1].bare) or rest[1].raw.strip())


def _zone_fits(rest: list[Word], context: Context) -> bool:
    """Whether words behind `settings tz` can be a zone: one word, or a name that is one."""
    from bot.core.when import zone_named

    if len(rest) == 2:
        return True
    value = context.text[rest[1].start :].strip()
    return len(rest) <= 4 and any(zone_named(name) is not None for name in (value, f"{value} time"))
