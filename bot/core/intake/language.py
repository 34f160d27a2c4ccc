"""In which of the two languages a message is written."""

import re
from typing import Final

_HAN: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_LATIN: Final = re.compile("[A-Za-z]+")


def language_of(text: str) -> str:
    """`zh` where Chinese characters weigh at least as much as Latin words, else `en`; of the first 2,000 characters."""
    head = text[:2_000]
    han = len(_HAN.findall(head))
    return "zh" if han and han >= len(_LATIN.findall(head)) else "en"
