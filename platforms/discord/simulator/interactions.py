"""Interactions: sending them to the app, and its answers, follow-ups and forms."""

import copy
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from platforms.discord.simulator import catalog
from platforms.discord.simulator.api import Call
from platforms.discord.simulator.kit import modal_problems, number
from platforms.discord.simulator.messages import SETTABLE, Messages
from platforms.discord.simulator.payloads import channel_json, member_json, message_json, user_json
from platforms.discord.simulator.permissions import permissions_of
from platforms.discord.simulator.refusals import ApiError, invalid, nested_in, refuse, too_long, wrong_choice
from platforms.discord.simulator.registered import choice_problems
from platforms.discord.simulator.state import Channel, Form, StoredMessage, User, Whisper, World
from platforms.simulation import Timer, Timers

Json = dict[str, Any]
State = Literal["pending", "acked", "lost", "refused", "swallowed"]
COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5
ANSWER, DEFER, DEFER_UPDATE, UPDATE, CHOICES, SHOW_FORM = 4, 5, 6, 7, 8, 9
ALLOWED: dict[int, tuple[int, ...]] = {
    COMMAND: (ANSWER, DEFER, SHOW_FORM),
    COMPONENT: (ANSWER, DEFER, DEFER_UPDATE, UPDATE, SHOW_FORM),
    AUTOCOMPLETE: (CHOICES,),
    MODAL: (ANSWER, DEFER, DEFER_UPDATE, UPDATE),
}


@dataclass
class Interaction:
    """One interaction and what became of it.

    `state`: pending, acked, lost (no answer within 3 s: the person reads "The application did not respond"), refused
    (the person's client said no), swallowed (only deaf sessions took it). `error` says why. `choices` are the answer
    of an autocompletion, `form` is the modal shown, `answers` the messages the app answered with.
    """

    kind: int
    name: str
    user: str
    channel: str
    payload: Json = field(default_factory=dict)
    state: State = "pending"
    error: str = ""
    callback: int = 0
    sent: float = 0.0
    answered: float | None = None
    acked_at: datetime | None = None
    expires_at: datetime | None = None
    choices: list[Json] = field(default_factory=list)
    form: Form | None = None
    answers: list[StoredMessage] = field(default_factory=list)
    original: StoredMessage | None = None
    message: StoredMessage | None = None
    ephemeral: bool = False
    timer: Timer | None = None

    @property
    def id(self) -> str:
        return str(self.payload.get("id", ""))

    @property
    def token(self) -> str:
        return str(self.payload.get("token", ""))

    @property
    def acked(self) -> bool:
        return self.state == "acked"

    @property
    def latency_ms(self) -> float | None:
        """Milliseconds from sending the interaction to receiving its answer, over the wire; None without one."""
        return None if self.answered is None else (self.answered - self.sent) * 1000

    @property
    def whisper(self) -> Whisper | None:
        """The newest answer that only the person sees."""
        return next((m for m in reversed(self.answers) if isinstance(m, Whisper) and not m.deleted), None)


class Interactions:
    """Starts interactions and serves callback and webhook operations."""

    def __init__(self, world: World, messages: Messages, timers: Timers) -> None:
        self.world = world
        self.messages = messages
        self.events = messages.events
        self.timers = timers
        self.all: list[Interaction] = []

    # --- To the app ---------------------------------------------------------------------------------------------------

    def start(
        self, kind: int, name: str, user: User, channel: Channel, data: Json, message: StoredMessage | None = None
    ) -> Interaction:
        """Sends one to every session."""
        interaction = Interaction(kind, name, user.id, channel.id, message=message)
        interaction.payload = self._payload(kind, user, channel, data, message)
        now = self.world.clock.now()
        interaction.expires_at = now + catalog.TOKEN_LIFE
        interaction.sent = time.monotonic()
        self.all.append(interaction)
        interaction.timer = self.timers.after(catalog.INTERACTION_WINDOW, lambda: self._lost(interaction))

        def sent() -> None:
            if interaction.answered is None:
                interaction.sent = time.monotonic()

        reached = self.events.gateway.dispatch("INTERACTION_CREATE", 0, lambda _: interaction.payload, sent)
        if not reached and any(c.deaf for c in self.events.gateway.live):
            interaction.state = "swallowed"
        self.world.changed()
        return interaction

    def _lost(self, interaction: Interaction) -> None:
        if interaction.state in ("pending", "swallowed"):
            interaction.state, interaction.error = "lost", "The application did not respond"
            self.world.tell("refused", interaction.channel, interaction.user, f"{interaction.name}: no answer")

    def _payload(self, kind: int, user: User, channel: Channel, data: Json, message: StoredMessage | None) -> Json:
        world = self.world
        payload: Json = {
            "id": world.ids.snowflake(),
            "application_id": world.app_id,
            "type": kind,
            "data": data,
            "token": world.ids.secret(190),
            "version": 1,
            "locale": user.locale,
            "channel_id": channel.id,
            "channel": channel_json(world, channel) | {"permissions": str(permissions_of(world, user, channel))},
            "app_permissions": str(permissions_of(world, world.bot, channel)),
            "entitlements": [],
            "entitlement_sku_ids": [],
            "attachment_size_limit": 10_485_760,
            "context": 1 if channel.is_direct else 0,
            "authorizing_integration_owners": {"0": "0" if channel.is_direct else world.guild_id},
        }
        if channel.is_direct:
            payload["user"] = user_json(user)
        else:
            permissions = str(permissions_of(world, user, channel))
            payload["member"] = {**member_json(user), "permissions": permissions, "unusual_dm_activity_until": None}
            payload |= {"guild_id": world.guild_id, "guild_locale": "en-US"}
            payload["guild"] = {"id": world.guild_id, "locale": "en-US", "features": []}
        if message is not None:
            payload["message"] = message_json(world, message)
        return payload

    # --- The answer ---------------------------------------------------------------------------------------------------

    def callback(self, call: Call) -> Any:
        """`POST /interactions/{id}/{token}/callback`."""
        interaction = self._pending(call)
        body = call.body if isinstance(call.body, dict) else {}
        kind = body.get("type")
        if kind not in ALLOWED[interaction.kind] or (kind in (DEFER_UPDATE, UPDATE) and interaction.message is None):
            raise invalid(wrong_choice("type", ALLOWED[interaction.kind]))
        data = body.get("data") or {}
        message = self._carry_out(interaction, kind, data)
        interaction.callback, interaction.state = kind, "acked"
        interaction.answered, interaction.acked_at = time.monotonic(), self.world.clock.now()
        if interaction.timer is not None:
            interaction.timer.cancel()
        self.world.changed()
        wants_body = str(call.query.get("with_response", "")).lower() in ("1", "true")
        return self._response(interaction, kind, message) if wants_body else None

    def _pending(self, call: Call) -> Interaction:
        token = call.params["token"]
        for interaction in reversed(self.all):
            if interaction.id == call.params["interaction_id"] and interaction.token == token:
                if interaction.acked:
                    raise refuse(40060)
                if interaction.state == "lost":
                    raise refuse(10062)
                return interaction
        raise refuse(10062)

    def _carry_out(self, interaction: Interaction, kind: int, data: Json) -> StoredMessage | None:
        if kind == CHOICES:
            self._offer(interaction, data)
        elif kind == SHOW_FORM:
            self._show(interaction, data)
        elif kind == ANSWER:
            self._check(data)
            interaction.original = self._say(interaction, data, "answer")
        elif kind == DEFER:
            interaction.ephemeral = bool((data.get("flags") or 0) & catalog.EPHEMERAL)
            interaction.original = self._loading(interaction)
        elif kind == UPDATE:
            self._update(interaction, data)
        else:
            interaction.original = interaction.message
        return interaction.original

    def _update(self, interaction: Interaction, data: Json) -> None:
        message = interaction.original = interaction.message
        if message is None or message.deleted:
            raise refuse(10008)
        try:
            self.messages.revise(message, data)
        except ApiError as refusal:
            raise nested_in("data", refusal) from None

    def _check(self, data: Json) -> None:
        try:
            self.messages.check_new(data)
        except ApiError as refusal:
            raise nested_in("data", refusal) from None

    def _offer(self, interaction: Interaction, data: Json) -> None:
        choices = data.get("choices")
        if not isinstance(choices, list):
            raise invalid(("data/choices", "BASE_TYPE_REQUIRED", "This field is required"))
        problems = [too_long("data/choices", 25)] if len(choices) > 25 else []
        kind = focused(interaction.payload["data"]["options"])["type"]
        for index, choice in enumerate(choices):
            problems += choice_problems(choice, f"data/choices/{index}", kind)
        if problems:
            raise invalid(*problems)
        interaction.choices = copy.deepcopy(choices)

    def _show(self, interaction: Interaction, data: Json) -> None:
        user, channel = self.world.users[interaction.user], self.world.channels[interaction.channel]
        interaction.form = self.show(user, channel, data, interaction.message)

    def show(self, user: User, channel: Channel, data: Json, message: StoredMessage | None = None) -> Form:
        """A modal on a person's screen. Raises 50035."""
        problems = modal_problems(data)
        if problems:
            raise invalid(*problems)
        form = Form(user.id, copy.deepcopy(data), channel.id, message)
        number(form.body["components"])
        self.world.forms.append(form)
        self.world.changed()
        return form

    def _new(self, interaction: Interaction, flags: int, via: Any) -> StoredMessage:
        world = self.world
        ids = world.ids.snowflake(), interaction.channel, world.bot.id, "", world.clock.now()
        message: StoredMessage
        if flags & catalog.EPHEMERAL:
            message = Whisper(*ids, flags=flags, to=interaction.user, via=via)
        else:
            message = StoredMessage(*ids, flags=flags)
        message.type = 20 if interaction.kind == COMMAND else 19 if interaction.kind == COMPONENT else 0
        message.interaction = {
            "id": interaction.id,
            "type": interaction.kind,
            "user": user_json(world.users[interaction.user]),
            "authorizing_integration_owners": interaction.payload["authorizing_integration_owners"],
        }
        return message

    def _say(self, interaction: Interaction, body: Json, via: Any, flags: int = 0) -> StoredMessage:
        flags |= (body.get("flags") or 0) & (SETTABLE | catalog.EPHEMERAL)
        message = self._new(interaction, flags, via)
        message.request = body
        self.messages.fill(message, body, author=self.world.bot)
        if isinstance(message, Whisper):
            message.pinged = frozenset()
        self.world.store(message)
        interaction.answers.append(message)
        self.events.posted(message)
        return message

    def _loading(self, interaction: Interaction) -> StoredMessage:
        flags = catalog.LOADING | (catalog.EPHEMERAL if interaction.ephemeral else 0)
        message = self._new(interaction, flags, "answer")
        self.world.messages[message.id] = message
        self.events.posted(message)
        return message

    def _response(self, interaction: Interaction, kind: int, message: StoredMessage | None) -> Json:
        shown: Json = {"id": interaction.id, "type": interaction.kind}
        if kind in (ANSWER, DEFER, UPDATE, DEFER_UPDATE) and message is not None:
            shown |= {
                "response_message_id": message.id,
                "response_message_loading": bool(message.flags & catalog.LOADING),
                "response_message_ephemeral": bool(message.flags & catalog.EPHEMERAL),
            }
        if kind in (ANSWER, UPDATE) and message is not None:
            return {"interaction": shown, "resource": {"type": kind, "message": self._shown(message)}}
        return {"interaction": shown}

    # --- Webhooks by the interaction's token --------------------------------------------------------------------------

    def _by_token(self, call: Call) -> Interaction:
        """The answered interaction. Raises 10015 (unknown or not answered yet) or 50027 (older than 15 minutes)."""
        found = next((i for i in reversed(self.all) if i.token == call.params["token"]), None)
        if found is None or call.params["application_id"] != self.world.app_id or found.expires_at is None:
            raise refuse(10015)
        if found.expires_at < self.world.clock.now():
            raise refuse(50027)
        if not found.acked:
            raise refuse(10015)
        return found

    def _target(self, call: Call) -> StoredMessage:
        interaction = self._by_token(call)
        wanted = call.params.get("message_id")
        if wanted in (None, "@original"):
            message = interaction.original
        else:
            message = next((m for m in [*interaction.answers, interaction.original] if m and m.id == wanted), None)
        if message is None or message.deleted:
            raise refuse(10008)
        return message

    def follow_up(self, call: Call) -> Json:
        interaction = self._by_token(call)
        body = self.messages.check_new(call.body)
        original = interaction.original
        if original is not None and original.flags & catalog.LOADING:
            return self._shown(self._finish(interaction, original, body))
        return self._shown(self._say(interaction, body, "follow_up"))

    def read(self, call: Call) -> Json:
        return self._shown(self._target(call))

    def edit(self, call: Call) -> Json:
        message = self._target(call)
        if message.flags & catalog.LOADING:
            interaction = self._by_token(call)
            return self._shown(self._finish(interaction, message, self.messages.check_new(call.body)))
        self.messages.revise(message, call.body)
        return self._shown(message)

    def delete(self, call: Call) -> None:
        self.messages.remove(self._target(call))

    def _finish(self, interaction: Interaction, message: StoredMessage, body: Json) -> StoredMessage:
        """The first content of a deferred answer takes the place of "is thinking"."""
        message.flags = message.flags & ~catalog.LOADING | ((body.get("flags") or 0) & SETTABLE)
        message.request = body
        self.messages.fill(message, body, author=self.world.bot)
        if isinstance(message, Whisper):
            message.pinged = frozenset()
        self.world.store(message)
        interaction.answers.append(message)
        self.events.changed(message)
        return message

    def _shown(self, message: StoredMessage) -> Json:
        return message_json(self.world, message)


def focused(options: list[Json]) -> Json:
    """The option being typed. Raises LookupError when there is none."""
    for option in options:
        if option.get("focused"):
            return option
        if option.get("options"):
            return focused(option["options"])
    raise LookupError("no option is focused")
