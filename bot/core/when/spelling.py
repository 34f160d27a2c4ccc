"""The same text in one spelling, letter for letter, so that positions stay those of the original."""

import unicodedata
from typing import Final

_TRADITIONAL: Final = dict(
    zip(
        "頭後點鐘鍾週禮號兩個時間現過個內還機開會於隔東紐約倫柏這當馬來裡裏臺灣準飯班從幾為",
        "头后点钟钟周礼号两个时间现过个内还机开会于隔东纽约伦柏这当马来里里台湾准饭班从几为",
        strict=True,
    )
)
_ONE_FOR_ONE: Final = {
    **dict.fromkeys("‐‑‒–—―−－", "-"),
    **dict.fromkeys("’‘`´", "'"),
    **dict.fromkeys("\xa0\u202f\u2009\u200a\u200b\u200e\u200f\ufeff\u3000", " "),
    "。": ".",
    "、": ",",
    "～": "~",
    "〜": "~",
    "〇": "零",
    **_TRADITIONAL,
}


def plain(text: str) -> str:
    """Lower case, half width, simplified, one kind of dash and quote; as long as `text`."""
    if text.isascii():
        return text.lower()
    return "".join(_letter(letter) for letter in text)


def _letter(letter: str) -> str:
    known = _ONE_FOR_ONE.get(letter)
    if known is not None:
        return known
    folded = unicodedata.normalize("NFKC", letter).lower()
    return folded if len(folded) == 1 else letter
