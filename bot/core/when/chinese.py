"""Days, times of day, parts of the day and lengths in Chinese."""

import re
from fractions import Fraction
from itertools import pairwise
from typing import Final

from bot.core.when.items import (
    MANY,
    PAST,
    UNCLEAR,
    Date,
    DayPart,
    Exact,
    Half,
    Item,
    Mode,
    Month,
    MonthDay,
    Part,
    Relative,
    SameTime,
    Shift,
    Week,
    Weekday,
    Weekend,
)
from bot.core.when.lengths import LARGEST, SIZES, added
from bot.core.when.numbers import CHINESE_NUMBER, chinese_number
from bot.core.when.rules import Made, Rule, clock, rule

_N: Final = CHINESE_NUMBER
_DAY_OF: Final = {
    name: day for day, names in enumerate(["一1", "二2", "三3", "四4", "五5", "六6", "日天7"]) for name in names
}
_WEEK: Final = r"(?:周|星期|礼拜)"
_UNITS: Final = {
    "秒": "seconds", "秒钟": "seconds", "分": "minutes", "分钟": "minutes", "小时": "hours", "钟头": "hours",
    "钟": "hours", "天": "days", "日": "days", "周": "weeks", "星期": "weeks", "礼拜": "weeks", "月": "months",
    "年": "years", "工作日": "workdays",
}  # fmt: skip
_UNIT: Final = "|".join(sorted(_UNITS, key=len, reverse=True))
_POINT: Final = (
    r"[零一二两三四五六七八九十]{1,3}点[零一二三四五六七八九]"
    r"(?=\s*(?:个\s*月|个?\s*(?:小时|钟头)|分钟|天|周|星期|礼拜|年))"
)
_PIECE: Final = re.compile(
    rf"(?P<n>{_POINT}|\d{{1,18}}(?:\.\d{{1,6}})?|{_N}|半)\s*(?P<measure>个)?(?P<half>半)?\s*(?:(?P<quarter>刻钟?)|(?P<unit>{_UNIT}))(?P<more>半)?"
)
_BEFORE: Final = re.compile(r"(?:再?过|再等|等)\s*")
_AFTER: Final = re.compile(r"\s*(?:(?P<on>之后|以后|过后|后)|(?P<back>之前|以前|前))(?!天|日)")
_WITHIN: Final = re.compile(r"\s*[之以]?内")
_OFTEN: Final = re.compile(rf"\s*{_N}\s*次")
_RANGE: Final = re.compile(
    rf"(?:[一两二三四五六七八九]{{2}}|{_N}\s*(?:到|至|-|~)\s*{_N})\s*个?(?:刻钟|{_UNIT})(?:\s*(?:之后|以后|过后|后))?"
)


def read_length(text: str, at: int) -> tuple[tuple[Item, ...], int] | None:
    """`2小时后`, `一个半小时以后`, `过两天`, `1小时30分钟后`; also without 后 where that is a length beyond doubt."""
    before = _BEFORE.match(text, at)
    position = start = before.end() if before else at
    several = _RANGE.match(text, start)
    if several and not _is_number(several[0]):
        return (MANY,), several.end()
    shift, clear, last = Shift(), True, LARGEST
    while (piece := _PIECE.match(text, position)) is not None:
        longer = _piece(shift, piece)
        if longer is None:
            break
        size = SIZES["minutes" if piece["quarter"] else _UNITS[piece["unit"]]]
        if size >= last:
            return (MANY,), piece.end()
        last = size
        shift, position = longer, piece.end()
        clear = clear and piece["unit"] != "钟"
        clear = clear and (piece["unit"] not in ("分", "日", "月", "年") or bool(piece["measure"]))
    if position == start or _WITHIN.match(text, position):
        return None
    after, often = _AFTER.match(text, position), _OFTEN.match(text, position)
    if often:
        return (MANY,), often.end()
    if after:
        return ((PAST,) if after["back"] else (shift,)), after.end()
    return ((shift,), position) if before or clear else None


def _is_number(text: str) -> bool:
    """`三十天` and `二十二分钟` are one number, `两三天` is a range."""
    return "十" in text or "百" in text


def _piece(shift: Shift, piece: re.Match[str]) -> Shift | None:
    said = piece["n"]
    if said == "半":
        value = Fraction(1, 2)
    elif "." in said:
        value = Fraction(said)
    elif "点" in said:
        whole, _, tenths = said.partition("点")
        number = chinese_number(whole)
        if number is None:
            return None
        value = Fraction(number) + Fraction(chinese_number(tenths) or 0, 10)
    else:
        number = int(said) if said.isdecimal() else chinese_number(said)
        if number is None:
            return None
        value = Fraction(number)
    if piece["quarter"]:
        return added(shift, "minutes", value * 15)
    if piece["unit"] in ("月", "钟") and not piece["measure"]:
        return None
    if piece["unit"] == "工作日" and (value % 1 or piece["half"]):
        return None
    return added(shift, _UNITS[piece["unit"]], value + (Fraction(1, 2) if piece["half"] or piece["more"] else 0))


def _weekday(found: re.Match[str]) -> Made:
    day, lead = _DAY_OF[found["day"]], (found["lead"] or "").replace("个", "")
    match lead:
        case "":
            return (Weekday(day),)
        case "这" | "本":
            return (Weekday(day, Mode.CALENDAR),)
        case "下":
            return (Weekday(day, Mode.NEXT),)
        case _:
            return (PAST,) if lead == "上" else (Week(len(lead)), Weekday(day))


def _weekdays(found: re.Match[str]) -> Made:
    """`周一三五`; not the `日天` of `周日天气`."""
    named = [_DAY_OF[day] for day in found["days"]]
    return (MANY,) if all(one < other for one, other in pairwise(named)) else None


def _date(found: re.Match[str]) -> Made:
    month, day = chinese_number(found["month"]), chinese_number(found["day"])
    year = chinese_number(found["year"]) if found["year"] else None
    if month is None or day is None or (found["year"] and (year is None or year < 100)):
        return None
    return (Date(month, day, year, {"今": 0, "明": 1}.get(found["ahead"] or "")),)


_MONTHS: Final = {"": None, "这": 0, "本": 0, "当": 0, "下": 1, "下下": 2}


def _month_day(found: re.Match[str]) -> Made:
    day = chinese_number(found["day"])
    return None if day is None else (MonthDay(day, _MONTHS[(found["lead"] or "").replace("个", "").replace("月", "")]),)


def _month_end(found: re.Match[str]) -> Made:
    months = _MONTHS[(found["lead"] or "本").replace("个", "")]
    return (MonthDay(-1, months),)


def _month_start(found: re.Match[str]) -> Made:
    return (MonthDay(1, _MONTHS[(found["lead"] or "").replace("个", "")]),)


def _clock(found: re.Match[str]) -> Made:
    hour = chinese_number(found["hour"])
    if hour is None:
        return None
    minute = 30 if found["half"] else 0
    if found["quarter"]:
        minute = {"一": 15, "1": 15, "两": 30, "三": 45, "3": 45}[found["quarter"]]
    said = found["minute"] or found["bare"]
    if said:
        read = chinese_number(said.removeprefix("零") or "零")
        if read is None:
            return None
        minute = read
    full = Half.FULL if len(found["hour"]) == 2 and found["hour"][0] == "0" else Half.UNSAID
    return (clock(hour, minute, half=full),)


def _short_of(found: re.Match[str]) -> Made:
    """`差五分九点`, `九点差一刻`."""
    hour = chinese_number(found["hour"])
    minutes = 15 if found["quarter"] else chinese_number(found["minute"])
    if hour is None or minutes is None or not 1 <= hour <= 24 or not 1 <= minutes <= 59:
        return None
    return (clock((hour - 2) % 12 + 1 if hour <= 12 else hour - 1, 60 - minutes),)


_PARTS: Final = {
    "凌晨": Part.DAWN, "清晨": Part.MORNING, "早晨": Part.MORNING, "早上": Part.MORNING, "早": Part.MORNING,
    "上午": Part.MORNING, "中午": Part.NOON, "正午": Part.NOON, "下午": Part.AFTERNOON, "午后": Part.AFTERNOON,
    "傍晚": Part.EVENING, "晚上": Part.NIGHT, "晚间": Part.NIGHT, "夜晚": Part.NIGHT, "夜里": Part.NIGHT,
    "夜间": Part.NIGHT, "晚": Part.NIGHT, "夜": Part.NIGHT, "半夜": Part.NIGHT, "深夜": Part.NIGHT,
    "午夜": Part.MIDNIGHT,
}  # fmt: skip
_PART: Final = "|".join(sorted(_PARTS, key=len, reverse=True))
_TODAYS: Final = {"今": 0, "明": 1, "后": 2}


def _near_part(found: re.Match[str]) -> Made:
    """`今晚`, `明早`."""
    return (Relative(_TODAYS[found["when"]]), DayPart(Part.MORNING if found["part"] in "早晨" else Part.NIGHT))


_COUNTED: Final = (
    r"\s*(?:[个件次条项位份遍人名台张篇页本场轮批组种封款家只道天周岁倍票步号楼级行块元%点时月日年:]|小时|分钟|秒|刻钟)"
)
_MINUTES: Final = (
    r"(?:零[一二三四五六七八九]|[二三四五]?十[一二三四五六七八九]?|[0-5]\d)"
    rf"(?![\d零一二三四五六七八九十百]|{_COUNTED})"
)
"""What is surely minutes without a word for them: `三点五十`, not the three of `五点三个任务`."""
_END_DAY: Final = r"(?!\s*[点时:个年月天])"
_LEAD: Final = r"(?P<lead>下下个?|下个?|这个?|本|当|上个?)?"
RULES: Final[tuple[Rule, ...]] = (
    rule(r"现在|马上|立刻|立即|即刻", Exact(None)),
    rule(r"今天|今日|今儿", Relative(0)),
    rule(r"明天|明日|明儿", Relative(1)),
    rule(r"大后天", Relative(3)),
    rule(r"后天|后日", Relative(2)),
    rule(r"(?P<when>[今明后])(?P<part>早上?|晨|晚上?|夜)(?!点)", _near_part),
    rule(r"大?前天|昨[天日晚夜]|去年|刚才|上个?(?:周末|周|星期|礼拜|月)", PAST),
    rule(rf"{_LEAD.replace('|当', '')}{_WEEK}(?P<day>[一二三四五六日天]|[1-7](?![\d.])){_END_DAY}", _weekday),
    rule(r"(?:(?<=[\d日号]\()|(?<=[\d日号] \())(?P<day>[一二三四五六日天])(?=\s*\))",
         lambda found: (Weekday(_DAY_OF[found["day"]]),)),
    rule(rf"下个?{_WEEK}", Week(1)),
    rule(rf"下下个?{_WEEK}", Week(2)),
    rule(rf"(?:这个?|本){_WEEK}", Week(0)),
    rule(r"(?:这个?|本)?(?:周末|星期末)", Weekend(0)),
    rule(r"下个?(?:周末|星期末)", Weekend(1)),
    rule(r"下个?月", Month(1)),
    rule(r"下下个?月", Month(2)),
    rule(rf"(?:(?P<year>\d{{4}}|[零一二三四五六七八九]{{4}})\s*年\s*|(?P<ahead>[今明])年\s*)?(?P<month>{_N})\s*月\s*(?P<day>{_N})\s*(?:[日号]|(?![点个天年时:\d]))",
         _date),
    rule(rf"(?P<lead>(?:下下个?|下个?|这个?|本|当)月)?\s*(?P<day>{_N})\s*[日号]", _month_day),
    rule(rf"{_LEAD.replace('|上个?', '')}月[底末]", _month_end),
    rule(rf"{_LEAD.replace('|上个?', '')}月初", _month_start),
    rule(r"今?年[底末]", Date(12, 31)),
    rule(rf"(?P<hour>{_N})\s*(?:点钟?|时(?!间|候|区))(?:整|正(?![常好在式确如])|(?P<half>半)|过?(?P<quarter>[一两三13])刻|过?(?P<minute>零?{_N})分(?!钟)|过?(?P<bare>{_MINUTES}))?(?![刻分])(?!\d{{1,6}}(?!\d|{_COUNTED}))",
         _clock),
    rule(rf"差(?:(?P<quarter>一刻)|(?P<minute>{_N})分钟?)(?:到|不到)?\s*(?P<hour>{_N})\s*点", _short_of),
    rule(rf"(?P<hour>{_N})\s*点\s*差(?:(?P<quarter>一刻)|(?P<minute>{_N})分)", _short_of),
    rule(rf"(?:半夜|深夜)(?!\s*{_N}\s*[点时])", UNCLEAR),
    rule(rf"(?:明早|[早晚])一点儿?(?![半钟整零过差左准十\d]|{_N}|\s*[前后之以])", UNCLEAR),
    rule(r"[早晚]一?些|晚上(?:晚|早)?些|稍[早晚微后]", UNCLEAR),
    rule(rf"(?P<part>{_PART})(?!点|些|一些)", lambda found: (DayPart(_PARTS[found["part"]]),)),
    rule(r"(?:这个|同一个?|同样的?|这)(?:时间|时候|时刻)", SameTime()),
    rule(r"每隔?|天天", MANY),
    rule(r"工作日", UNCLEAR),
    rule(rf"{_WEEK}(?P<days>[一二三四五六日天]{{2,7}})(?!\s*[点时:个年月天次起早件十百]|[一二三四五六日])", _weekdays),
    rule(rf"{_N}\s*(?:-|~|到|至)\s*{_N}\s*点", MANY),
)  # fmt: skip
