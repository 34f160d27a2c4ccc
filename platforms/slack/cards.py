"""`Card` and `Doc` rendered as Slack blocks. Pure; golden-tested.

Only this module makes mentions and links: every text from outside is escaped, in code fences too. What is too long
loses its body, never a button or a link. Limits: platforms.md 2.1; block shapes: `slack_sdk.models.blocks`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

from bot.core.cards import Button, Card, Content, Doc, Step, StepState
from bot.core.dialect import Dialect, no_ticks, one_line
from bot.core.hygiene import cut
from bot.core.inbound import Person
from bot.core.splitting import split

MAX_SECTION: Final = 3000
MAX_SUMMARY: Final = 3000
"""Top-level text (ours; Slack advises at most 4,000)."""
MAX_SECTIONS: Final = 40
"""Sections of one message (ours; Slack takes 50 blocks, steps, buttons and foot need their room)."""
MAX_TEXT: Final = 40_000
"""Markdown of one message: Slack's limit of a text; it also bounds what rendering hostile text costs."""
MAX_TITLE: Final = 300
MAX_LABEL: Final = 75
MAX_CONFIRM: Final = {"title": 100, "text": 300, "confirm": 30}
MAX_CONTEXT: Final = 2000

Block = dict[str, Any]

_STATUS: Final[dict[StepState, str]] = {
    "done": "complete",
    "active": "in_progress",
    "pending": "pending",
    "failed": "error",
}
_MARK: Final[dict[StepState, str]] = {"done": "✅", "active": "⏳", "pending": "○", "failed": "❌"}
_USER_ID: Final = re.compile(r"[UW][A-Z0-9]{2,30}")
_LINK: Final = re.compile(r"https?://[^\s<>|\"]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What `chat.postMessage` takes: `text` for notifications and screen readers, `blocks` for the eye."""

    text: str
    blocks: list[Block]


def render(content: Content, edit: str, native_plan: bool = True) -> Rendered:
    """Any content. `edit` names this rendering: Slack wants new block ids with every edit of a message."""
    match content:
        case Card():
            return render_card(content, edit, native_plan)
        case Doc():
            return render_doc(content, edit)
        case _:
            assert_never(content)


def render_card(card: Card, edit: str, native_plan: bool = True) -> Rendered:
    """The living message of a code task. Without `native_plan` the steps are lines of emoji and words."""
    head = f"*{escape(cut(one_line(card.title), MAX_TITLE))}*"
    if card.meta:
        head += "\n" + fit(mrkdwn(card.meta), MAX_SECTION - len(head) - 1)
    blocks = [_section(head)]
    if card.steps:
        blocks += [_plan(card, edit)] if native_plan else [_section(_step_lines(card.steps))]
    blocks += [_section(piece) for piece in _sections(card.body)]
    if card.buttons:
        blocks.append(_actions(card.buttons))
    if foot := fit(mrkdwn(card.foot), MAX_CONTEXT).strip():
        blocks.append({"type": "context", "elements": [_text(foot)]})
    return Rendered(escape_within(one_line(card.summary), MAX_SUMMARY), _numbered(blocks, edit))


def render_doc(doc: Doc, edit: str) -> Rendered:
    """A reply or whisper: the one mention first, then the text, then the buttons."""
    mention = mention_of(doc.mention) if doc.mention else ""
    pieces = _sections(doc.text, len(mention) + 1)
    first = " ".join(part for part in (mention, pieces[0] if pieces else "") if part)
    blocks = [_section(piece) for piece in [first, *pieces[1:]] if piece]
    if doc.buttons:
        blocks.append(_actions(doc.buttons))
    return Rendered(fit(first, MAX_SUMMARY) or "…", _numbered(blocks, edit))


def mention_of(person: Person) -> str:
    """A live mention. A person without a real Slack id is only named."""
    if person.platform == "slack" and _USER_ID.fullmatch(person.id):
        return f"<@{person.id}>"
    return escape(one_line(person.name or person.id))


# --- Texts ------------------------------------------------------------------------------------------------------------


def escape(text: str) -> str:
    """Text that Slack shows as it is: no mention, no link, no date token can come of it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_within(text: str, limit: int) -> str:
    """Escaped text of at most `limit` characters, never cut inside an entity."""
    return fit(escape(text), limit)


def fit(rendered: str, limit: int) -> str:
    """Rendered text shortened to `limit` characters, with an ellipsis; entities, links and fences stay whole."""
    if len(rendered) <= limit:
        return rendered
    head = rendered[: limit - 5]
    head = head[: _whole(head)].rstrip()
    return head + ("…\n```" if head.count("```") % 2 else "…")


def _whole(head: str) -> int:
    """How much of a cut text can stay: nothing of a `&lt;` or `<url|label>` that was cut through."""
    end = len(head)
    entity = head.rfind("&")
    if entity >= 0 and ";" not in head[entity:] and end - entity < 6:
        end = entity
    token = head.rfind("<")
    return min(end, token) if token >= 0 and ">" not in head[token:] else end


class _Mrkdwn(Dialect):
    bullet, bold, italic, strike = "•", "*", "_", "~"

    def text(self, text: str) -> str:
        return escape(no_ticks(text))

    def code(self, text: str) -> str:
        return f"`{escape(text)}`"

    def fence(self, text: str, language: str) -> str:
        return f"```\n{escape(text)}\n```"

    def link(self, url: str, label: str) -> str:
        target = escape(url.replace("<", "%3C").replace(">", "%3E").replace("|", "%7C"))
        return f"<{target}|{escape(label).replace('|', '¦') or 'link'}>"


_MRKDWN: Final = _Mrkdwn()
mrkdwn: Final = _MRKDWN.render
"""Markdown in Slack's dialect. Only what this writes is live: links to http(s), never a mention."""
_blocks: Final = _MRKDWN.blocks


def _sections(markdown: str, reserved: int = 0) -> list[str]:
    """The text in pieces that each fit a section; what does not fit a message is left out, with an ellipsis."""
    said = cut(markdown, MAX_TEXT)
    pieces = [_blocks(piece) for piece in split(said, MAX_SECTION - reserved, lambda piece: len(_blocks(piece)))]
    pieces = [piece for piece in pieces if piece.strip()]
    if len(pieces) > MAX_SECTIONS:
        pieces = [*pieces[: MAX_SECTIONS - 1], fit(pieces[MAX_SECTIONS - 1] + "\n…", MAX_SECTION)]
    return pieces


# --- Blocks -----------------------------------------------------------------------------------------------------------


def _text(rendered: str) -> Block:
    # verbatim: Slack would otherwise turn bare URLs, channel names and @names of foreign text into live ones.
    return {"type": "mrkdwn", "text": rendered, "verbatim": True}


def _plain(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": cut(one_line(text), limit) or "…", "emoji": False}


def _section(rendered: str) -> Block:
    return {"type": "section", "text": _text(rendered)}


def _numbered(blocks: Sequence[Block], edit: str) -> list[Block]:
    return [{**block, "block_id": f"{edit}-{number}"[-255:]} for number, block in enumerate(blocks)]


def _current(steps: Sequence[Step]) -> Step:
    return next((step for step in steps if step.state in ("active", "failed")), steps[-1])


def _plan(card: Card, edit: str) -> Block:
    tasks = [_task(step, f"{card.key}-{number}", edit) for number, step in enumerate(card.steps)]
    return {"type": "plan", "title": cut(one_line(_current(card.steps).label), MAX_TITLE) or "…", "tasks": tasks}


def _task(step: Step, task_id: str, edit: str) -> Block:
    task: Block = {
        "type": "task_card",
        "task_id": task_id,
        "title": cut(one_line(step.label), MAX_TITLE) or "…",
        "status": _STATUS[step.state],
        "block_id": f"{edit}-{task_id}"[-255:],
    }
    if step.detail:
        said = {"type": "text", "text": cut(one_line(step.detail), MAX_TITLE)}
        rich = {"type": "rich_text_section", "elements": [said]}
        task["details"] = {"type": "rich_text", "elements": [rich]}
    return task


def _step_lines(steps: Sequence[Step]) -> str:
    def line(step: Step) -> str:
        label = escape(cut(one_line(step.label), MAX_TITLE))
        shown = f"*{label}*" if step.state == "active" else label
        return f"{_MARK[step.state]} {shown}" + (f" — {escape(cut(one_line(step.detail), 200))}" if step.detail else "")

    return fit("\n".join(line(step) for step in steps), MAX_SECTION)


def _actions(buttons: Sequence[Button]) -> Block:
    return {"type": "actions", "elements": [_button(button, number) for number, button in enumerate(buttons)][:25]}


def _button(button: Button, number: int) -> Block:
    element: Block = {
        "type": "button",
        "text": _plain(button.label, MAX_LABEL),
        "action_id": f"{button.value or 'link'}#{number}",
    }
    if button.value:
        element["value"] = button.value
    if _LINK.fullmatch(button.url) and len(button.url) <= 3000:
        element["url"] = button.url
    if button.style != "default":
        element["style"] = button.style
    if button.name and button.name != button.label:
        element["accessibility_label"] = cut(one_line(button.name), MAX_LABEL)
    if button.confirm:
        element["confirm"] = {
            "title": _plain(button.name, MAX_CONFIRM["title"]),
            "text": _plain(button.confirm, MAX_CONFIRM["text"]),
            "confirm": _plain(button.name, MAX_CONFIRM["confirm"]),
            "deny": _plain("Not now", MAX_CONFIRM["confirm"]),
        }
    return element
