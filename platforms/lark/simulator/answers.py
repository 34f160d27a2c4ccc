"""What the app answers to a button press: a toast for the one who pressed, and perhaps a new card."""

import json
from typing import Any

from platforms.lark.simulator.delivery import Delivery
from platforms.lark.simulator.kit import card_problem
from platforms.lark.simulator.messages import Messages
from platforms.lark.simulator.state import StoredMessage, Whisper, World

Json = dict[str, Any]
_LOCALES = {"en": "en_us", "zh": "zh_cn"}
_STYLES = ("info", "success", "error", "warning")


class Answers:
    """Carries out answers to presses. A card patched while its press waited for the answer goes back to what it was."""

    def __init__(self, world: World, messages: Messages) -> None:
        self.world = world
        self.messages = messages

    def expect(self, delivery: Delivery) -> Delivery:
        """From now on, until the answer, patches of the pressed card will not last."""
        waiting = self.messages.pending_presses
        waiting[delivery.message_id] = waiting.get(delivery.message_id, 0) + 1
        delivery.answered, delivery.ended = self._answered, self._ended
        return delivery

    def give_up(self, delivery: Delivery) -> None:
        """The press never reached the app."""
        self._ended(delivery)

    def _answered(self, delivery: Delivery, body: Any) -> None:
        if body in (None, "", {}):
            return
        if not isinstance(body, dict) or set(body) - {"toast", "card"}:
            self.world.surprise(delivery.name, f"an answer nobody reads: {str(body)[:100]}")
            return
        if body.get("toast"):
            self._toast(delivery, body["toast"])
        if body.get("card"):
            self._card(delivery, body["card"])

    def _toast(self, delivery: Delivery, toast: Any) -> None:
        if not isinstance(toast, dict) or set(toast) - {"type", "content", "i18n"} or toast.get("type") not in _STYLES:
            self.world.surprise(delivery.name, f"a toast that cannot be shown: {str(toast)[:100]}")
            return
        texts = {str(k): str(v) for k, v in (toast.get("i18n") or {}).items()}
        language = self.world.users[delivery.user].language
        text = texts.get(_LOCALES[language]) or str(toast.get("content") or "")
        whisper = Whisper(self.world.clock.now(), delivery.user, text, "toast", toast["type"], texts)
        self.world.whispers.append(whisper)
        self.world.tell("whispered", delivery.chat, delivery.user, text)

    def _card(self, delivery: Delivery, card: Any) -> None:
        known = isinstance(card, dict) and not set(card) - {"type", "data"} and card.get("type") == "raw"
        problem = card_problem(card.get("data")) if known else "only a card of type raw is simulated"
        if problem is not None:
            self.world.surprise(delivery.name, f"a card that cannot be shown: {problem}")
            return
        self.messages.patched_early.pop(delivery.message_id, None)
        self.messages.revise(self._message(delivery), json.dumps(card["data"], ensure_ascii=False), "callback")

    def _ended(self, delivery: Delivery) -> None:
        waiting = self.messages.pending_presses
        waiting[delivery.message_id] -= 1
        if waiting[delivery.message_id]:
            return
        del waiting[delivery.message_id]
        before = self.messages.patched_early.pop(delivery.message_id, None)
        if before is not None and delivery.acked:
            self.messages.revise(self._message(delivery), before, "reverted")

    def _message(self, delivery: Delivery) -> StoredMessage:
        return self.world.messages[delivery.message_id]
