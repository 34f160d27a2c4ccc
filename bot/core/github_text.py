"""Makes hostile text harmless where GitHub reads it: pull request titles and bodies, commit messages.

GitHub acts on text: `@name` pings people, `fixes #1` closes issues, `other/repo#1` writes into another repository's
timeline, `[skip ci]` skips checks, images load from anywhere, comments hide, `/approve` commands bots. Each of them is
broken by one zero-width space, so that people still read what was written. Text must be `hygiene.clean` first, which
takes out the zero-width characters of others.

Sources: GitHub docs "Linking a pull request to an issue", "Skipping workflow runs", GitHub Flavored Markdown 0.29 (raw
HTML, links, images, link reference definitions, extended autolinks).
"""

import re
from typing import Final
from urllib.parse import urlsplit

ZWSP: Final = "\u200b"

_CLOSING: Final = re.compile(
    r"(?<![A-Za-z0-9])(?P<first>f|c|r)(?P<rest>ix(?:e[sd])?|lose[sd]?|esolve[sd]?)(?![A-Za-z0-9])"
    r"(?=[^A-Za-z0-9]{0,1000}(?:#\d|GH-\d|https?:|www\.|[\w.-]{1,100}/[\w.-]{1,100}\W{0,8}#\d))",
    re.IGNORECASE,
)
_FOREIGN_ISSUE: Final = re.compile(r"(?<=[\w.-])(?P<mark>#|@)(?=[0-9a-f])", re.IGNORECASE)
_SKIP_CI: Final = re.compile(r"\[(?=\s*(?:(?:skip|no)[ -](?:ci|actions)|(?:ci|actions)[ -]skip)\s*\])", re.IGNORECASE)
_NO_CI: Final = re.compile(r"\*\*\*(?=NO_CI\*\*\*)", re.IGNORECASE)
_SKIP_CHECKS: Final = re.compile(r"(skip|request)(?=-checks?\s*:)", re.IGNORECASE)
_BOT_COMMAND: Final = re.compile(r"^([ \t>]*)/(?=[A-Za-z])", re.MULTILINE)
_TAG: Final = re.compile(r"<(?=[A-Za-z/!?])")
_ENTITY: Final = re.compile(r"&(?=#|[A-Za-z])")
_LINK: Final = re.compile(r"!(?=\[)|\](?=[(:\[])")
_URL: Final = re.compile(r"(?:https?|ftp)://[^\s<>\"'`\])}]*|www\.", re.IGNORECASE)
_PLAIN_URL: Final = re.compile(
    r"https?://[A-Za-z0-9.-]+(?::\d{1,5})?(?:/[A-Za-z0-9._~%/?&=+,:;!-]*)?(?:#[A-Za-z0-9_-]*)?"
)
_BACKTICKS: Final = re.compile(r"`+")


def defuse(text: str, allowed_hosts: frozenset[str] = frozenset()) -> str:
    """The text with everything broken that GitHub would act on. Addresses stay links only on the allowed hosts.

    Safe in Markdown, inside code, in a title and in a commit message. Defusing twice changes nothing that matters.
    """
    text = _CLOSING.sub(rf"\g<first>{ZWSP}\g<rest>", text)
    text = _FOREIGN_ISSUE.sub(rf"\g<mark>{ZWSP}", text)
    text = _ENTITY.sub(f"&{ZWSP}", _TAG.sub(f"<{ZWSP}", text))
    text = (
        text.replace("![", f"!{ZWSP}[").replace("](", f"]{ZWSP}(").replace("]:", f"]{ZWSP}:").replace("][", f"]{ZWSP}[")
    )
    text = _URL.sub(lambda found: _address(found.group(), allowed_hosts), text)
    text = _NO_CI.sub(f"*{ZWSP}**", _SKIP_CI.sub(f"[{ZWSP}", text))
    text = _BOT_COMMAND.sub(rf"\g<1>{ZWSP}/", _SKIP_CHECKS.sub(rf"\g<1>{ZWSP}", text))
    return re.sub(f"@(?!{ZWSP})", f"@{ZWSP}", text)


def _address(url: str, allowed_hosts: frozenset[str]) -> str:
    if _PLAIN_URL.fullmatch(url) is not None and urlsplit(url).hostname in allowed_hosts:
        return url
    return re.sub(r"(?<=www)(?=\.)", ZWSP, url.replace("://", f":{ZWSP}//"), flags=re.IGNORECASE)


def quote(text: str) -> str:
    """The text as a Markdown block quote; nothing in it can end the quote."""
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def fence(text: str) -> str:
    """The text as a code block whose fence is longer than every run of backticks inside."""
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    bar = "`" * max(3, longest + 1)
    return f"{bar}text\n{text}\n{bar}"


def web_address(url: str) -> str:
    """An http(s) address that may stand in a link of ours, or an empty string."""
    return url if len(url) <= 1000 and _PLAIN_URL.fullmatch(url) is not None else ""
