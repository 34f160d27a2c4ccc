"""Foreign text set into markdown: shown as written, whatever it contains."""

import re
from typing import Final

from bot.core.hygiene import clean

_SPECIAL: Final = re.compile(r"[\\`*\[\]<~|]|(?<![^\W_])_|_(?![^\W_])|&(?=#|[A-Za-z])")
_LINE_START: Final = re.compile(r"^([ \t]*)([#>+=-]|\d{1,9}(?=[.)]))", re.MULTILINE)
_INDENT: Final = re.compile(r"^[ \t]+", re.MULTILINE)
_TICKS: Final = re.compile("`+")
_WEB: Final = re.compile(r"https?://[^\s<>\"'`\\^{|}]+", re.IGNORECASE)
_INFO: Final = re.compile(r"[A-Za-z0-9_+#.-]{1,32}")


class Markdown(str):
    """Text that already is markdown and is set in as it is; every other string is escaped."""

    __slots__ = ()


def escape(text: str) -> Markdown:
    """Markdown that shows exactly `text`, cleaned; a mark that would start a list, a quote or code only shows."""
    kept = _INDENT.sub("", _SPECIAL.sub(r"\\\g<0>", clean(text)))
    return Markdown(_LINE_START.sub(_escape_start, kept))


def _escape_start(found: re.Match[str]) -> str:
    mark = found[2]
    return found[1] + (f"\\{mark}" if not mark[0].isdigit() else f"{mark}\\")


def code_span(text: str) -> Markdown:
    """One line of code, its fence longer than any run of backticks inside; empty text gives nothing."""
    line = " ".join(clean(text).split())
    if not line:
        return Markdown("")
    ticks = "`" * (_longest(line) + 1)
    padding = " " if line.startswith("`") or line.endswith("`") else ""
    return Markdown(f"{ticks}{padding}{line}{padding}{ticks}")


def fence(text: str, language: str = "") -> Markdown:
    """A block of code, its fence longer than any run of backticks inside."""
    ticks = "`" * max(3, _longest(text) + 1)
    info = language if _INFO.fullmatch(language) else ""
    return Markdown(f"{ticks}{info}\n{clean(text).strip(chr(10))}\n{ticks}")


def link(label: str, url: str) -> Markdown:
    """A link when `url` is http(s), else only the label."""
    if not is_web(url):
        return escape(label)
    return Markdown(f"[{escape(label)}](<{url}>)")


def is_web(url: str) -> bool:
    """Whether `url` is a plain http(s) address."""
    return bool(_WEB.fullmatch(url))


def _longest(text: str) -> int:
    return max((len(run) for run in _TICKS.findall(text)), default=0)
