"""What a person would read: messages as plain text in the language of their client, for tests and the demo."""

import json
import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any, NamedTuple

from platforms.lark.simulator.state import StoredMessage

Json = dict[str, Any]

_LOCALES = {"en": "en_us", "zh": "zh_cn"}
_AT = re.compile(r"<at\s+(?:user_id|id)\s*=\s*[\"']?([^\s\"'>]+)[\"']?\s*>(.*?)</at>|<at\s+id=(\S+?)\s*/>", re.DOTALL)


class ButtonSeen(NamedTuple):
    """A button as a person sees it. `value`: what a press sends back, None for a link; `tip`: shown when hovering."""

    label: str
    value: Any
    url: str
    style: str
    disabled: bool
    tip: str


def localized(part: Json | None, language: str, field: str = "content") -> str:
    """A text of a card in one language: its `i18n_content` where it has that language, else its content."""
    if not part:
        return ""
    texts = part.get(f"i18n_{field}") or {}
    return str(texts.get(_LOCALES.get(language, language)) or part.get(field) or "")


def render_text(message: StoredMessage, language: str = "en", names: Mapping[str, str] | None = None) -> str:
    """The message as a person with this language reads it. Buttons as `[Label]`; `names` turns open ids into names."""
    known = names or {}
    if message.deleted:
        return ""
    body = message.body
    match message.msg_type:
        case "interactive":
            return "\n".join(line for line in _card(body, language, known) if line)
        case "post":
            return "\n".join(_post(body, message, known))
        case _:
            return _mentions(str(body.get("text", "")), message, known)


def summary(message: StoredMessage, language: str = "en") -> str:
    """What a notification or the list of chats shows of a card: its summary, else its title; the text of others."""
    card = message.card
    if card is None:
        return render_text(message, language)
    own = localized(card.get("config", {}).get("summary"), language)
    return own or localized(card.get("header", {}).get("title"), language)


def buttons(message: StoredMessage, language: str = "en") -> list[ButtonSeen]:
    """The buttons of a card in order; none for other messages."""
    card = message.card
    if card is None or message.deleted:
        return []
    return [_button(element, language) for element in _all(card.get("body", {})) if element.get("tag") == "button"]


def _button(element: Json, language: str) -> ButtonSeen:
    value, url = None, ""
    for behavior in element.get("behaviors", []):
        if behavior["type"] == "callback":
            value = behavior["value"]
        else:
            url = behavior["default_url"]
    label, style = localized(element.get("text"), language), str(element.get("type", "default"))
    tip = localized(element.get("hover_tips"), language)
    return ButtonSeen(label, value, url, style, bool(element.get("disabled")), tip)


def _all(part: Any) -> Iterator[Json]:
    """Every element of a card, depth first, in the order shown."""
    children = [*part.get("columns", []), *part.get("elements", [])]
    for child in children:
        yield child
        yield from _all(child)


def _card(card: Json, language: str, names: Mapping[str, str]) -> Iterator[str]:
    header = card.get("header", {})
    yield _ats(localized(header.get("title"), language), names)
    yield _ats(localized(header.get("subtitle"), language), names)
    tags = [localized(tag.get("text"), language) for tag in header.get("text_tag_list", [])]
    yield " ".join(f"({tag})" for tag in tags)
    yield from _elements(card.get("body", {}).get("elements", []), language, names)


def _elements(elements: list[Json], language: str, names: Mapping[str, str]) -> Iterator[str]:
    row: list[str] = []
    for element in elements:
        if element["tag"] == "button":
            row.append(f"[{_button(element, language).label}]")
            continue
        yield " ".join(row)
        row = []
        yield from _element(element, language, names)
    yield " ".join(row)


def _element(element: Json, language: str, names: Mapping[str, str]) -> Iterator[str]:
    match element["tag"]:
        case "markdown":
            yield unescape(_ats(localized(element, language), names))
        case "div":
            yield _ats(localized(element.get("text"), language), names)
        case "hr":
            yield "---"
        case "column_set":
            columns = [list(_elements(c.get("elements", []), language, names)) for c in element["columns"]]
            yield " ".join("\n".join(line for line in column if line) for column in columns).strip()
        case "collapsible_panel":
            yield "▸ " + localized(element["header"]["title"], language)
            yield from _elements(element["elements"], language, names)
        case "interactive_container":
            yield from _elements(element["elements"], language, names)
        case "img":
            yield f"[image: {localized(element['alt'], language)}]"
        case "table":
            keys = [column["name"] for column in element["columns"]]
            yield " | ".join(
                localized(column, language, "display_name") or column["name"] for column in element["columns"]
            )
            for row in element["rows"]:
                yield " | ".join(str(row.get(key, "")) for key in keys)


def _post(body: Json, message: StoredMessage, names: Mapping[str, str]) -> Iterator[str]:
    content = body if "content" in body else next(iter(body.values()), {})
    if content.get("title"):
        yield str(content["title"])
    for line in content.get("content", []):
        yield "".join(_inline(part, message, names) for part in line)


def _inline(part: Json, message: StoredMessage, names: Mapping[str, str]) -> str:
    match part.get("tag"):
        case "text" | "md" | "code_block":
            return str(part.get("text", ""))
        case "a":
            return f"{part.get('text', '')} ({part.get('href', '')})"
        case "at":
            who = _mentions(str(part.get("user_id", "")), message, names)
            return who if who.startswith("@") else "@" + names.get(who, who)
        case "emotion":
            return f"[{part.get('emoji_type', '')}]"
        case _:
            return ""


def _mentions(text: str, message: StoredMessage, names: Mapping[str, str]) -> str:
    """`@_user_1` -> `@name`."""
    for mention in sorted(message.mentions, key=lambda m: -len(m["key"])):
        open_id = mention["id"]
        text = text.replace(mention["key"], "@" + names.get(open_id, mention["name"]))
    return text.replace("@_all", "@all")


def _ats(text: str, names: Mapping[str, str]) -> str:
    def say(match: re.Match[str]) -> str:
        who = match[1] or match[3]
        return "@" + (match[2] or names.get(who, who))

    return _AT.sub(say, text)


def degraded(content: str) -> str:
    """A card as reading it back over the API shows it: its title and a request to upgrade, not what was sent."""
    card = json.loads(content)
    title = localized(card.get("header", {}).get("title"), "en")
    hint = {"tag": "text", "text": "Please upgrade to the latest version of the client to view the content"}
    return json.dumps({"title": title or None, "elements": [[hint]]}, ensure_ascii=False)
