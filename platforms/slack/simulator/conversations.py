"""`conversations.*`: what channels there are and what was said in them."""

import base64
from decimal import Decimal, InvalidOperation
from typing import Any

from platforms.slack.simulator.catalog import HISTORY_SCOPES, READ_SCOPES
from platforms.slack.simulator.chat import Chat
from platforms.slack.simulator.events import shown_json
from platforms.slack.simulator.state import Channel, StoredMessage, World
from platforms.slack.simulator.webapi import ApiError, Credentials

Json = dict[str, Any]
_KINDS = {"public_channel": "public", "private_channel": "private", "im": "im", "mpim": "mpim"}


class Conversations:
    """The `conversations.*` methods over one world."""

    def __init__(self, world: World, chat: Chat, credentials: Credentials) -> None:
        self.world = world
        self.chat = chat
        self.credentials = credentials

    def info(self, arguments: Json) -> Json:
        channel = self._named(arguments)
        self.credentials.need(READ_SCOPES[channel.kind])
        shown = self._channel_json(channel)
        if arguments.get("include_num_members"):
            shown["num_members"] = len(channel.members)
        return {"channel": shown}

    def list(self, arguments: Json) -> Json:
        kinds: set[str] = set()
        for name in str(arguments.get("types") or "public_channel").split(","):
            if name.strip() not in _KINDS:
                raise ApiError("invalid_types")
            kinds.add(_KINDS[name.strip()])
        for kind in sorted(kinds):
            self.credentials.need(READ_SCOPES[kind])
        bot = self.world.bot.id
        found = [c for c in self.world.channels.values() if c.kind in kinds]
        found = [c for c in found if c.kind == "public" or bot in c.members]
        if arguments.get("exclude_archived"):
            found = [c for c in found if not c.is_archived]
        page, cursor = _page(found, arguments, default=100, most=1000)
        return {"channels": [self._channel_json(c) for c in page], "response_metadata": {"next_cursor": cursor}}

    def history(self, arguments: Json) -> Json:
        """Roots and broadcast replies, newest first."""
        channel = self._readable(arguments)
        there = [m for m in list(self.world.messages.values()) if m.channel == channel.id]
        found = [m for m in there if not m.deleted or self.world.has_left_answers(m)]
        found = [m for m in found if (not m.is_reply or m.broadcast) and _within(m, arguments)]
        found.sort(key=lambda message: message.ts, reverse=True)
        return self._messages(found, arguments, default=100)

    def replies(self, arguments: Json) -> Json:
        """A thread, oldest first; its root is always the first message of the first page."""
        channel = self._readable(arguments)
        root = self.world.messages.get((channel.id, str(arguments["ts"])))
        if root is None or (root.deleted and not self.world.has_left_answers(root)):
            raise ApiError("thread_not_found")
        found = sorted(self.world.replies(channel.id, root.ts), key=lambda message: message.ts)
        found = [root, *(m for m in found if _within(m, arguments))]
        return self._messages(found, arguments, default=1000)

    def open(self, arguments: Json) -> Json:
        if arguments.get("channel"):
            return {"channel": {"id": self.chat.known(str(arguments["channel"])).id}}
        people = [name for name in str(arguments.get("users") or "").split(",") if name]
        if not people:
            raise ApiError("users_list_not_supplied")
        if any(name not in self.world.users for name in people):
            raise ApiError("user_not_found")
        if len(people) > 1:
            self.credentials.need("mpim:write")
        if people[0] == self.world.bot.id or self.world.users[people[0]].is_bot:
            raise ApiError("cannot_dm_bot")
        before = set(self.world.channels)
        channel = self.world.direct_channel(people[0])
        shown = self._channel_json(channel) if arguments.get("return_im") else {"id": channel.id}
        already = {"no_op": True, "already_open": True} if channel.id in before else {}
        return {"channel": shown, **already}

    def _readable(self, arguments: Json) -> Channel:
        channel = self._named(arguments)
        self.credentials.need(HISTORY_SCOPES[channel.kind])
        if self.world.bot.id not in channel.members:
            raise ApiError("not_in_channel")
        for name in ("oldest", "latest"):
            _bound(arguments, name)
        return channel

    def _named(self, arguments: Json) -> Channel:
        where = str(arguments["channel"])
        if where not in self.world.channels:
            raise ApiError("channel_not_found")
        return self.chat.known(where)

    def _messages(self, found: "list[StoredMessage]", arguments: Json, default: int) -> Json:
        page, cursor = _page(found, arguments, default=default, most=1000)
        metadata = bool(arguments.get("include_all_metadata"))
        answer: Json = {
            "messages": [shown_json(self.world, m, metadata=metadata) for m in page],
            "has_more": bool(cursor),
            "pin_count": 0,
        }
        return answer | ({"response_metadata": {"next_cursor": cursor}} if cursor else {})

    def _channel_json(self, channel: Channel) -> Json:
        world = self.world
        if channel.kind == "im":
            other = next(user for user in channel.members if user != world.bot.id)
            return {"id": channel.id, "created": channel.created, "is_im": True, "is_archived": False, "user": other}
        return {
            "id": channel.id,
            "name": channel.name,
            "name_normalized": channel.name,
            "is_channel": channel.kind == "public",
            "is_group": channel.kind == "private",
            "is_im": False,
            "is_mpim": channel.kind == "mpim",
            "is_private": channel.kind != "public",
            "is_archived": channel.is_archived,
            "is_general": channel.is_general,
            "is_shared": False,
            "is_ext_shared": False,
            "is_member": world.bot.id in channel.members,
            "created": channel.created,
            "creator": channel.creator,
            "context_team_id": world.team_id,
            "topic": {"value": "", "creator": "", "last_set": 0},
            "purpose": {"value": "", "creator": "", "last_set": 0},
        }


def _within(message: StoredMessage, arguments: Json) -> bool:
    inclusive = bool(arguments.get("inclusive"))
    at = Decimal(message.ts)
    oldest, latest = _bound(arguments, "oldest"), _bound(arguments, "latest")
    if oldest is not None and (at < oldest or (at == oldest and not inclusive)):
        return False
    return not (latest is not None and (at > latest or (at == latest and not inclusive)))


def _bound(arguments: Json, name: str) -> Decimal | None:
    given = arguments.get(name)
    if given in (None, "", "0", 0):
        return None
    try:
        return Decimal(str(given))
    except InvalidOperation:
        raise ApiError(f"invalid_ts_{name}") from None


def _page(found: Any, arguments: Json, default: int, most: int) -> tuple[Any, str]:
    try:
        limit = int(arguments.get("limit") or default)
        cursor = str(arguments.get("cursor") or "")
        start = int(base64.b64decode(cursor).decode().partition(":")[2]) if cursor else 0
    except ValueError:
        raise ApiError("invalid_cursor" if arguments.get("cursor") else "invalid_limit") from None
    if not 1 <= limit <= most:
        raise ApiError("invalid_limit")
    end = start + limit
    following = base64.b64encode(f"next:{end}".encode()).decode() if end < len(found) else ""
    return found[start:end], following
