"""Events and interactions as Slack words them, sent only where app, scopes and membership allow."""

from typing import Any

from platforms.slack.simulator.catalog import EVENT_SCOPES
from platforms.slack.simulator.delivery import Courier, Delivery
from platforms.slack.simulator.state import Channel, StoredMessage, User, View, World

Json = dict[str, Any]


def message_json(world: World, message: StoredMessage, *, metadata: bool = False) -> Json:
    """A message as history, events and interactions show it."""
    shown: Json = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text}
    shown["team"] = world.team_id
    if message.client_msg_id:
        shown["client_msg_id"] = message.client_msg_id
    if message.subtype:
        shown["subtype"] = message.subtype
    if message.bot_id:
        shown |= {"bot_id": message.bot_id, "app_id": world.app_id, "bot_profile": _bot_profile(world)}
    if message.blocks:
        shown["blocks"] = message.blocks
    if message.attachments:
        shown["attachments"] = message.attachments
    if message.edited:
        shown["edited"] = message.edited
    if message.metadata:
        shown["metadata"] = message.metadata if metadata else {"event_type": message.metadata["event_type"]}
    if message.reactions:
        shown["reactions"] = [{"name": n, "users": u, "count": len(u)} for n, u in message.reactions.items()]
    return shown | _thread_json(world, message)


def _thread_json(world: World, message: StoredMessage) -> Json:
    if message.is_reply:
        parent = world.messages.get((message.channel, message.root))
        return {"thread_ts": message.thread_ts} | ({"parent_user_id": parent.user} if parent else {})
    replies = world.replies(message.channel, message.ts)
    if not replies:
        return {}
    people = list(dict.fromkeys(r.user for r in replies))
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users_count": len(people),
        "reply_users": people[:5],
        "latest_reply": replies[-1].ts,
        "is_locked": False,
        "subscribed": world.bot.id in people,
    }


def tombstone_json(world: World, message: StoredMessage) -> Json:
    """What is left of a deleted message that answers hang on."""
    left: Json = {"type": "message", "subtype": "tombstone", "text": "This message was deleted.", "user": "USLACKBOT"}
    return left | {"hidden": True, "ts": message.ts} | _thread_json(world, message)


def shown_json(world: World, message: StoredMessage, *, metadata: bool = False) -> Json:
    """A message as history shows it, whether it was deleted or not."""
    return tombstone_json(world, message) if message.deleted else message_json(world, message, metadata=metadata)


def _bot_profile(world: World) -> Json:
    return {
        "id": world.bot.bot_id,
        "deleted": False,
        "name": world.bot.name,
        "updated": 1_700_000_000,
        "app_id": world.app_id,
        "team_id": world.team_id,
    }


class Events:
    """Sends Events API payloads the app subscribed to and may see."""

    def __init__(self, world: World, courier: Courier, scopes: set[str], subscribed: set[str]) -> None:
        self.world = world
        self.courier = courier
        self.scopes = scopes
        self.subscribed = subscribed

    def emit(self, name: str, event: Json, channel: Channel | None = None, message_ts: str = "") -> Delivery | None:
        """Sends one event, or nothing when not subscribed, not in scope or the bot is not in the channel."""
        scope = EVENT_SCOPES.get(name)
        if name not in self.subscribed or (scope is not None and scope not in self.scopes):
            return None
        if channel is not None and self.world.bot.id not in channel.members:
            return None
        where = channel.id if channel else ""
        delivery = Delivery("events_api", self._wrap(event), name, event.get("user", ""), where)
        delivery.message_ts = message_ts
        return self.courier.dispatch(delivery)

    def posted(self, message: StoredMessage) -> None:
        """A new message: its `message` event, and `app_mention` when it mentions the bot outside a direct message."""
        channel = self.world.channels[message.channel]
        event = message_json(self.world, message) | {"channel": channel.id, "event_ts": message.ts}
        self.emit(_kind(channel), event | {"channel_type": channel.event_type}, channel, message.ts)
        if f"<@{self.world.bot.id}" in message.text and message.user != self.world.bot.id:
            self.mentioned(message)

    def mentioned(self, message: StoredMessage) -> None:
        channel = self.world.channels[message.channel]
        if channel.kind != "im":
            event = message_json(self.world, message) | {"type": "app_mention", "channel": channel.id}
            self.emit("app_mention", event | {"event_ts": message.ts}, channel, message.ts)

    def changed(self, message: StoredMessage, previous: Json) -> None:
        """An edit or an unfurl."""
        now = message_json(self.world, message)
        self._hidden(message, {"subtype": "message_changed", "message": now, "previous_message": previous})

    def deleted(self, message: StoredMessage, previous: Json) -> None:
        """A deletion; one that leaves answers behind is told as a change into a tombstone."""
        if self.world.has_left_answers(message):
            left = tombstone_json(self.world, message)
            self._hidden(message, {"subtype": "message_changed", "message": left, "previous_message": previous})
            return
        self._hidden(message, {"subtype": "message_deleted", "deleted_ts": message.ts, "previous_message": previous})

    def _hidden(self, message: StoredMessage, fields: Json) -> None:
        channel = self.world.channels[message.channel]
        ts = self.world.ids.ts()
        event: Json = {"type": "message", **fields, "channel": channel.id, "hidden": True, "ts": ts, "event_ts": ts}
        self.emit(_kind(channel), event | {"channel_type": channel.event_type}, channel, message.ts)

    def reacted(self, message: StoredMessage, user: str, name: str, added: bool) -> None:
        kind = "reaction_added" if added else "reaction_removed"
        item = {"type": "message", "channel": message.channel, "ts": message.ts}
        event = {"type": kind, "user": user, "reaction": name, "item": item, "item_user": message.user}
        channel = self.world.channels[message.channel]
        self.emit(kind, event | {"event_ts": self.world.ids.ts()}, channel, message.ts)

    def _wrap(self, event: Json) -> Json:
        world = self.world
        authorization = {"team_id": world.team_id, "user_id": world.bot.id, "is_bot": True}
        return {
            "token": "legacy-verification-token",
            "team_id": world.team_id,
            "context_team_id": world.team_id,
            "context_enterprise_id": None,
            "api_app_id": world.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": world.ids.new("Ev", 8),
            "event_time": int(world.clock.now().timestamp()),
            "authorizations": [{"enterprise_id": None, **authorization, "is_enterprise_install": False}],
            "is_ext_shared_channel": False,
            "event_context": f"4-{world.ids.secret(60)}",
        }


def _kind(channel: Channel) -> str:
    return {"public": "message.channels", "private": "message.groups"}.get(channel.kind, f"message.{channel.kind}")


class Interactions:
    """Builds the payloads of slash commands, buttons, shortcuts and forms."""

    def __init__(self, world: World, base_url: str) -> None:
        self.world = world
        self.base_url = base_url

    def slash(self, user: User, channel: Channel, command: str, text: str) -> Delivery:
        world = self.world
        trigger = world.new_trigger(user.id)
        url = self._response_url("commands", channel.id, user.id)
        payload = {
            "token": "legacy-verification-token",
            "team_id": world.team_id,
            "team_domain": world.team_domain,
            "channel_id": channel.id,
            "channel_name": {"im": "directmessage", "private": "privategroup"}.get(channel.kind, channel.name),
            "user_id": user.id,
            "user_name": user.name,
            "command": command,
            "text": text,
            "api_app_id": world.app_id,
            "is_enterprise_install": "false",
            "response_url": url,
            "trigger_id": trigger,
        }
        return self._delivery("slash_commands", payload, command, user, channel.id)

    def button(self, user: User, shown: Any, action: Json, container: Json, message: Json | None) -> Delivery:
        channel = self.world.channels[shown.channel]
        url = self._response_url("actions", channel.id, user.id, shown.ts)
        payload = self._common("block_actions", user) | {
            "container": container,
            "channel": {"id": channel.id, "name": channel.name or "directmessage"},
            "state": {"values": {}},
            "response_url": url,
            "actions": [action],
        }
        if message is not None:
            payload["message"] = message
        return self._delivery("interactive", payload, f"[{action['text']['text']}]", user, channel.id)

    def shortcut(self, user: User, message: StoredMessage, callback_id: str) -> Delivery:
        channel = self.world.channels[message.channel]
        url = self._response_url("app", channel.id, user.id, message.ts)
        payload = self._common("message_action", user) | {
            "action_ts": self.world.ids.ts(),
            "channel": {"id": channel.id, "name": channel.name or "directmessage"},
            "callback_id": callback_id,
            "response_url": url,
            "message_ts": message.ts,
            "message": message_json(self.world, message),
        }
        return self._delivery("interactive", payload, callback_id, user, channel.id)

    def submission(self, user: User, view: View, values: Json) -> Delivery:
        shown = view.body | {"state": {"values": values}, "hash": view.hash}
        payload = self._common("view_submission", user) | {"view": shown, "response_urls": []}
        return self._delivery("interactive", payload, "view_submission", user, "")

    def closed(self, user: User, view: View) -> Delivery:
        payload = self._common("view_closed", user) | {"view": view.body, "is_cleared": False}
        return self._delivery("interactive", payload, "view_closed", user, "")

    def suggestion(self, user: User, action_id: str, text: str) -> Delivery:
        """A person types into a select with options from the app."""
        payload = self._common("block_suggestion", user) | {"action_id": action_id, "block_id": "b", "value": text}
        return self._delivery("interactive", payload, "block_suggestion", user, "")

    def _common(self, kind: str, user: User) -> Json:
        world = self.world
        return {
            "type": kind,
            "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
            "api_app_id": world.app_id,
            "token": "legacy-verification-token",
            "trigger_id": world.new_trigger(user.id),
            "team": {"id": world.team_id, "domain": world.team_domain},
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _response_url(self, kind: str, channel: str, user: str, original: str | None = None) -> str:
        return f"{self.base_url}/hooks/{self.world.new_response_url(kind, channel, user, original)}"

    @staticmethod
    def _delivery(kind: Any, payload: Json, name: str, user: User, channel: str) -> Delivery:
        delivery = Delivery(kind, payload, name, user.id, channel)
        delivery.trigger_id = payload["trigger_id"]
        delivery.response_url = payload.get("response_url", "")
        return delivery
