"""What an agent reports during a turn -> our events. All of it is hostile: wrong types are dropped, sizes cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot.ports import AgentEvent, Text, ToolFinished, ToolStarted, Usage

_TITLE_CHARS = 300
_ID_CHARS = 200
_FINAL_CHARS = 64_000


class Updates:
    """Turns `session/update` params into events for one session, and keeps the agent's last words.

    Updates before `begin` (a replayed history) and of other sessions are dropped."""

    def __init__(self, put: Callable[[AgentEvent], None]) -> None:
        self._put = put
        self._session: str | None = None
        self._words: list[str] = []
        self._words_size = 0
        self._open: set[str] = set()
        self.reported_usd: float | None = None

    def begin(self, session: str) -> None:
        """From now on the updates of this session count."""
        self._session = session

    def final_text(self) -> str:
        """What the agent said after its last tool call, else what it said last."""
        return "".join(self._words).strip()

    def take(self, params: dict[str, Any]) -> None:
        """Reads one update."""
        update = params.get("update")
        if self._session is None or params.get("sessionId") != self._session or not isinstance(update, dict):
            return
        match update.get("sessionUpdate"):
            case "agent_message_chunk":
                self._text(update.get("content"))
            case "tool_call":
                self._tool_started(update)
                self._tool_finished(update)
            case "tool_call_update":
                self._tool_finished(update)
            case "usage_update":
                self._usage(update)
            case _:
                pass

    def _text(self, content: object) -> None:
        text = content.get("text") if isinstance(content, dict) else None
        if not isinstance(text, str) or not text:
            return
        if self._words and self._open_new_paragraph:
            self._words.clear()
            self._words_size = 0
        self._open_new_paragraph = False
        if self._words_size < _FINAL_CHARS:
            self._words.append(text[: _FINAL_CHARS - self._words_size])
            self._words_size += len(text)
        self._put(Text(text))

    _open_new_paragraph = False

    def _tool_started(self, update: dict[str, Any]) -> None:
        call = _short(update.get("toolCallId"), _ID_CHARS)
        if call and call not in self._open:
            self._open.add(call)
            self._open_new_paragraph = True
            kind = _short(update.get("kind"), 40) or "other"
            self._put(ToolStarted(call, kind, _short(update.get("title"), _TITLE_CHARS) or kind))

    def _tool_finished(self, update: dict[str, Any]) -> None:
        call = _short(update.get("toolCallId"), _ID_CHARS)
        if call in self._open and update.get("status") in ("completed", "failed"):
            self._open.discard(call)
            self._put(ToolFinished(call, update["status"] == "completed"))

    def _usage(self, update: dict[str, Any]) -> None:
        cost = update.get("cost")
        amount = cost.get("amount") if isinstance(cost, dict) and cost.get("currency") == "USD" else None
        if isinstance(amount, int | float) and not isinstance(amount, bool) and 0 <= amount < 1e9:
            self.reported_usd = float(amount)
            self._put(Usage(tokens=None, usd=self.reported_usd, scope="session"))


def _short(value: object, limit: int) -> str:
    return value[:limit] if isinstance(value, str) else ""
