"""Zones as people name them: IANA names, abbreviations, cities, offsets."""

import re
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone that was named beside a time."""

    zone: tzinfo


LARGEST_BEHIND, LARGEST_AHEAD = timedelta(hours=12), timedelta(hours=14)
"""How far the clocks of the world are from UTC."""
_BY_REGION: Final = {
    "UTC": "utc gmt z zulu",
    "America/New_York": "est edt et eastern 美东 美国东部 纽约",
    "America/Chicago": "cst cdt ct central 美中 美国中部 芝加哥",
    "America/Denver": "mst mdt mt mountain 丹佛",
    "America/Los_Angeles": "pst pdt pt pacific 美西 美国西部 太平洋 洛杉矶 旧金山",
    "America/Anchorage": "akst akdt",
    "Pacific/Honolulu": "hst",
    "America/Halifax": "ast adt",
    "America/Sao_Paulo": "brt",
    "Europe/London": "bst 伦敦 英国",
    "Europe/Lisbon": "wet west",
    "Europe/Berlin": "cet cest 柏林 德国 欧洲中部",
    "Europe/Paris": "巴黎",
    "Europe/Athens": "eet eest",
    "Europe/Moscow": "msk 莫斯科",
    "Africa/Johannesburg": "sast",
    "Asia/Kolkata": "ist 印度",
    "Asia/Karachi": "pkt",
    "Asia/Jakarta": "wib",
    "Australia/Adelaide": "acst acdt",
    "Asia/Dubai": "gst 迪拜",
    "Asia/Shanghai": "北京 中国 上海",
    "Asia/Hong_Kong": "hkt 香港",
    "Asia/Taipei": "台北 台湾",
    "Asia/Singapore": "sgt 新加坡",
    "Asia/Tokyo": "jst 东京 日本",
    "Asia/Seoul": "kst 首尔",
    "Australia/Sydney": "aest aedt 悉尼",
    "Australia/Perth": "awst",
    "Pacific/Auckland": "nzst nzdt",
}
"""An abbreviation is the local time of that region on the date in question: PST in July is summer time there."""
CHINESE: Final = {
    "America/New_York": "纽约", "America/Chicago": "芝加哥", "America/Denver": "丹佛", "America/Los_Angeles": "洛杉矶",
    "America/Toronto": "多伦多", "America/Vancouver": "温哥华", "America/Sao_Paulo": "圣保罗",
    "Europe/London": "伦敦", "Europe/Berlin": "柏林", "Europe/Paris": "巴黎", "Europe/Zurich": "苏黎世",
    "Europe/Madrid": "马德里", "Europe/Rome": "罗马", "Europe/Amsterdam": "阿姆斯特丹", "Europe/Moscow": "莫斯科",
    "Asia/Shanghai": "北京", "Asia/Hong_Kong": "香港", "Asia/Taipei": "台北", "Asia/Singapore": "新加坡",
    "Asia/Tokyo": "东京", "Asia/Seoul": "首尔", "Asia/Kolkata": "印度", "Asia/Dubai": "迪拜",
    "Asia/Bangkok": "曼谷", "Australia/Sydney": "悉尼", "Pacific/Auckland": "奥克兰",
}  # fmt: skip
"""What a zone is called in Chinese; also read, before `时间`."""
_PLACES: Final = {
    "beijing": "Asia/Shanghai", "china": "Asia/Shanghai", "india": "Asia/Kolkata", "mumbai": "Asia/Kolkata",
    "delhi": "Asia/Kolkata", "japan": "Asia/Tokyo", "korea": "Asia/Seoul", "uk": "Europe/London",
    "british": "Europe/London", "germany": "Europe/Berlin", "german": "Europe/Berlin", "france": "Europe/Paris",
    "san_francisco": "America/Los_Angeles", "california": "America/Los_Angeles", "texas": "America/Chicago",
}  # fmt: skip
"""Places that name no zone of their own; read before `time`."""
_NAMES: Final = {name: region for region, names in _BY_REGION.items() for name in names.split()} | {
    name: region for region, name in CHINESE.items()
}
_SHORT: Final = "|".join(sorted((name for name in _NAMES if name.isascii()), key=len, reverse=True))
_CHINESE: Final = "|".join(sorted((name for name in _NAMES if not name.isascii()), key=len, reverse=True))

_ABBREVIATION: Final = re.compile(
    rf"\(?({_SHORT})(?:\s+(?:standard\s+|daylight\s+)?time|时间)?(?![a-z0-9_])\)?(?![-+/']\w)"
)
_CHINESE_NAME: Final = re.compile(rf"({_CHINESE})(?:标准)?时间")
_OFFSET: Final = re.compile(
    r"\(?(?:(?:utc|gmt)\s?([+-])\s?(\d{1,2})(?::?(\d{2}))?|([+-])(\d{2}):?(\d{2}))(?![a-z0-9_])\)?"
)
_IANA: Final = re.compile(r"\(?([a-z_]+(?:/[a-z0-9_+-]+){1,2})\)?(?![a-z0-9_/])")
_IN_BRACKETS: Final = re.compile(r"(?<=\()([a-z]+(?: [a-z]+){0,2})\)")
_CITY: Final = re.compile(r"\(?([a-z]+(?: [a-z]+){0,2}?)\s+time(?![a-z0-9_])\)?")


def in_brackets(text: str, at: int) -> bool:
    """`(Berlin)`, which behind a time of day is a zone."""
    found = _IN_BRACKETS.match(text, at)
    return found is not None and found[1].replace(" ", "_") in _cities()


def zone_named(name: str) -> tzinfo | None:
    """The zone of an IANA name in any case, an abbreviation or an offset; None when there is none of that name."""
    name = name.strip().lower()
    found = read_zone(name, 0) or _by_abbreviation(name)
    if found is not None:
        return found[0].zone if found[1] == len(name) else None
    return _load(_known().get(name, ""))


def zone_name(zone: tzinfo, language: str = "en") -> str:
    """What a zone is called: `New York`, `纽约`, `UTC`, `UTC+02:00`."""
    key = getattr(zone, "key", "")
    if language == "zh" and key in CHINESE:
        return CHINESE[key]
    if key and not key.startswith("Etc/"):
        return str(key).rpartition("/")[2].replace("_", " ")
    return zone.tzname(None) or "UTC"


def read_zone(text: str, at: int) -> tuple[Zone, int] | None:
    """The zone that is named at a position of the plain text, and where it ends."""
    for read in (_by_offset, _by_iana, _by_city, _by_abbreviation):
        found = read(text, at)
        if found is not None:
            return found
    return None


def _by_offset(text: str, at: int = 0) -> tuple[Zone, int] | None:
    found = _OFFSET.match(text, at)
    if found is None:
        return None
    sign, hours, minutes = found[1] or found[4], int(found[2] or found[5]), int(found[3] or found[6] or 0)
    ahead = timedelta(hours=hours, minutes=minutes)
    if minutes > 59 or ahead > (LARGEST_BEHIND if sign == "-" else LARGEST_AHEAD):
        return None
    return Zone(timezone(-ahead if sign == "-" else ahead)), found.end()


def _by_iana(text: str, at: int) -> tuple[Zone, int] | None:
    found = _IANA.match(text, at)
    zone = _load(_known().get(found[1], "")) if found else None
    return (Zone(zone), found.end()) if found and zone else None


def _by_city(text: str, at: int) -> tuple[Zone, int] | None:
    found = _CITY.match(text, at) or _IN_BRACKETS.match(text, at)
    zone = _load(_cities().get(found[1].replace(" ", "_"), "")) if found else None
    return (Zone(zone), found.end()) if found and zone else None


def _by_abbreviation(text: str, at: int = 0) -> tuple[Zone, int] | None:
    found = _ABBREVIATION.match(text, at) or _CHINESE_NAME.match(text, at)
    zone = _load(_NAMES[found[1]]) if found else None
    return (Zone(zone), found.end()) if found and zone else None


@cache
def _known() -> dict[str, str]:
    return {name.lower(): name for name in available_timezones()}


@cache
def _cities() -> dict[str, str]:
    """`new_york` -> `America/New_York`, for the names of places, not of rules such as `EST5EDT`."""
    named = {name.rpartition("/")[2]: full for name, full in _known().items() if "/" in name and "etc/" not in name}
    return named | _PLACES


@cache
def _load(name: str) -> tzinfo | None:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
