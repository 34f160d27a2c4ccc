"""Numbers in words, English and Chinese."""

import re
from typing import Final

_SMALL: Final = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS: Final = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_VALUES: Final = {word: number for number, word in enumerate(_SMALL)} | {
    word: 20 + 10 * place for place, word in enumerate(_TENS)
}
_UP: Final = "|".join(sorted(_SMALL, key=len, reverse=True))
NUMBER_WORD: Final = rf"(?:(?:{'|'.join(_TENS)})(?:[\s-]+(?:{'|'.join(_SMALL[1:10])})\b)?|{_UP})\b"
"""A pattern of zero to ninety-nine in words."""
SMALL_WORD: Final = rf"(?:{_UP})\b"

ORDINALS: Final = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
    "twenty-first",
    "twenty-second",
    "twenty-third",
    "twenty-fourth",
    "twenty-fifth",
    "twenty-sixth",
    "twenty-seventh",
    "twenty-eighth",
    "twenty-ninth",
    "thirtieth",
    "thirty-first",
]


def english_number(words: str) -> int:
    """`twenty-five` -> 25."""
    return sum(_VALUES[word] for word in re.split(r"[\s-]+", words.strip()))


CHINESE_NUMBER: Final = r"(?:[零一二两三四五六七八九十百]{1,5}|\d{1,6})"
_DIGITS: Final = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"两": 2}


def chinese_number(text: str) -> int | None:
    """`二十五`, `一百零五`, `25`, digit by digit (`二零二六`); None when it is no number, or several (`两三`)."""
    if text.isdecimal():
        return int(text)
    if not any(letter in "十百" for letter in text):
        if 1 < len(text) < 4 and "零" not in text:
            return None  # `两三` is two or three
        return int("".join(str(_DIGITS[letter]) for letter in text)) if all(c in _DIGITS for c in text) else None
    total, digit, last = 0, None, 1000
    for letter in text:
        if letter in "十百":
            size = 10 if letter == "十" else 100
            if size >= last or (digit is None and size == 100):
                return None
            total, digit, last = total + (1 if digit is None else digit) * size, None, size
        elif letter == "零":
            digit = None
        elif digit is not None:
            return None
        else:
            digit = _DIGITS[letter]
    return total + (digit or 0)
