"""`chat.*`: posting, editing, deleting, whispering, links."""

import copy
import re
from typing import Any, Literal

from platforms.slack.simulator.events import Events, message_json
from platforms.slack.simulator.kit import MAX_MARKDOWN, MAX_TEXT, block_problems, metadata_problem
from platforms.slack.simulator.state import Channel, Edit, StoredMessage, Whisper, World
from platforms.slack.simulator.webapi import ApiError, Credentials

Json = dict[str, Any]
Via = Literal["chat.postEphemeral", "response_url", "ack", "slackbot"]
_TS = re.compile(r"\d{10}\.\d{6}")


def check_content(arguments: Json) -> tuple[str, list[Json]]:
    """The text and blocks of a message to be, with block ids filled in. Raises `ApiError` as Slack refuses."""
    text, blocks = arguments.get("text") or "", arguments.get("blocks")
    markdown = arguments.get("markdown_text")
    if markdown:
        if text or blocks:
            raise ApiError("markdown_text_conflict")
        if len(str(markdown)) > MAX_MARKDOWN:
            raise ApiError("msg_too_long")
        text, blocks = str(markdown), [{"type": "markdown", "text": markdown}]
    if isinstance(blocks, str):
        raise ApiError("invalid_blocks_format")
    if not isinstance(text, str) or not (text.strip() or blocks or arguments.get("attachments")):
        raise ApiError("no_text")
    if len(text) > MAX_TEXT:
        raise ApiError("msg_too_long")
    problems = block_problems(blocks) if blocks else []
    if problems:
        raise ApiError("invalid_blocks", errors=problems, response_metadata={"messages": problems})
    return text, copy.deepcopy(blocks or [])


def name_blocks(world: World, blocks: list[Json]) -> list[Json]:
    """The blocks with the ids that Slack makes up where the app gave none."""
    for block in blocks:
        block.setdefault("block_id", world.ids.secret(5))
        for element in [*block.get("elements", []), block.get("accessory") or {}]:
            if element.get("type") in ("button", "static_select", "overflow"):
                element.setdefault("action_id", world.ids.secret(5))
    return blocks


class Chat:
    """The `chat.*` methods over one world."""

    def __init__(self, world: World, events: Events, credentials: Credentials) -> None:
        self.world = world
        self.events = events
        self.credentials = credentials

    def post_message(self, arguments: Json) -> Json:
        channel = self.writable(str(arguments["channel"]))
        text, blocks = check_content(arguments)
        metadata = self._metadata(arguments)
        thread_ts = self.thread(channel, arguments.get("thread_ts"))
        message = self.own_message(channel, text, blocks, thread_ts, arguments)
        message.metadata = metadata or None
        message.attachments = arguments.get("attachments") or []
        self.publish(message)
        return {"channel": channel.id, "ts": message.ts, "message": message_json(self.world, message, metadata=True)}

    def own_message(
        self, channel: Channel, text: str, blocks: list[Json], thread_ts: str | None, request: Json
    ) -> StoredMessage:
        """A message of the bot, not yet stored."""
        world = self.world
        message = StoredMessage(channel.id, world.ids.ts(), world.bot.id, text, world.clock.now(), thread_ts)
        message.blocks = name_blocks(world, blocks)
        message.bot_id = world.bot.bot_id
        message.broadcast = bool(thread_ts and request.get("reply_broadcast"))
        message.subtype = "thread_broadcast" if message.broadcast else None
        message.request = dict(request)
        return message

    def publish(self, message: StoredMessage) -> None:
        self.world.store(message)
        self.events.posted(message)

    def update(self, arguments: Json) -> Json:
        channel = self.writable(str(arguments["channel"]))
        message = self._own(channel, str(arguments["ts"]), "cant_update_message")
        window = self.world.edit_window
        if window is not None and self.world.clock.now() - message.at > window:
            raise ApiError("edit_window_closed")
        text, blocks = check_content(arguments)
        metadata = self._metadata(arguments)
        if "text" not in arguments and "markdown_text" not in arguments and "blocks" not in arguments:
            text, blocks = message.text, copy.deepcopy(message.blocks)
        previous = message_json(self.world, message)
        if "metadata" in arguments:
            message.metadata = metadata or None
        if "attachments" in arguments:
            message.attachments = arguments["attachments"] or []
        self.revise(message, text, blocks, previous)
        shown = {"text": text, "message": message_json(self.world, message, metadata=True)}
        return {"channel": channel.id, "ts": message.ts, **shown}

    def revise(self, message: StoredMessage, text: str, blocks: list[Json], previous: Json) -> None:
        """Gives an own message a new content. Without blocks it loses the old ones and is marked as edited."""
        message.text, message.blocks = text, name_blocks(self.world, blocks)
        message.edited = None if blocks else {"user": message.user, "ts": self.world.ids.ts()}
        now = self.world.clock.now()
        message.remember(now)
        self.world.edits.append(Edit(now, message, text, message.blocks))
        self.world.tell("edited", message.channel, message.user, text, message)
        self.events.changed(message, previous)

    def delete(self, arguments: Json) -> Json:
        channel = self.known(str(arguments["channel"]))
        message = self._own(channel, str(arguments["ts"]), "cant_delete_message")
        self.remove(message)
        return {"channel": channel.id, "ts": message.ts}

    def remove(self, message: StoredMessage) -> None:
        previous = message_json(self.world, message)
        message.deleted = True
        self.world.tell("deleted", message.channel, message.user, message.text, message)
        self.events.deleted(message, previous)

    def post_ephemeral(self, arguments: Json) -> Json:
        channel = self.writable(str(arguments["channel"]))
        user = str(arguments["user"])
        if user not in self.world.users:
            raise ApiError("user_not_found")
        if user not in channel.members:
            raise ApiError("user_not_in_channel")
        text, blocks = check_content(arguments)
        thread_ts = arguments.get("thread_ts")
        return {"message_ts": self.whisper(channel.id, user, text, blocks, thread_ts, "chat.postEphemeral").ts}

    def whisper(
        self, channel: str, user: str, text: str, blocks: list[Json], thread_ts: str | None, via: Via
    ) -> Whisper:
        """Shows something to one person. With a `thread_ts` it is seen only where the thread has replies."""
        world = self.world
        shown = thread_ts is None or bool(world.replies(channel, thread_ts))
        blocks = name_blocks(world, blocks)
        whisper = Whisper(world.clock.now(), channel, user, world.ids.ts(), text, blocks, thread_ts, shown, via)
        world.whispers.append(whisper)
        world.tell("whispered", channel, user, text)
        return whisper

    def get_permalink(self, arguments: Json) -> Json:
        channel = self.known(str(arguments["channel"]))
        message = self.world.message(channel.id, str(arguments["message_ts"]))
        if message is None:
            raise ApiError("message_not_found")
        link = f"https://{self.world.team_domain}.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
        if message.is_reply:
            link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
        return {"channel": channel.id, "permalink": link}

    def known(self, where: str) -> Channel:
        """A channel the bot can name: any public one, else only those it is in."""
        channel = self.world.channels.get(where)
        if channel is None and where.startswith("#"):
            channel = next((c for c in self.world.channels.values() if c.name == where[1:]), None)
        if channel is None and where in self.world.users and where != self.world.bot.id:
            return self.world.direct_channel(where)
        if channel is None or (channel.kind != "public" and self.world.bot.id not in channel.members):
            raise ApiError("channel_not_found")
        return channel

    def writable(self, where: str) -> Channel:
        """A channel the bot may write to."""
        channel = self.known(where)
        if channel.is_archived:
            raise ApiError("is_archived")
        if self.world.bot.id not in channel.members:
            raise ApiError("not_in_channel")
        return channel

    def thread(self, channel: Channel, thread_ts: Any) -> str | None:
        """The root of the thread a message goes to. A reply's `ts` leads to its root."""
        if not thread_ts:
            return None
        if not isinstance(thread_ts, str) or not _TS.fullmatch(thread_ts):
            raise ApiError("invalid_thread_ts")
        found = self.world.messages.get((channel.id, thread_ts))
        if found is None:
            raise ApiError("thread_not_found")
        if found.deleted:
            raise ApiError("invalid_thread_ts")
        return found.root

    def _own(self, channel: Channel, ts: str, refusal: str) -> StoredMessage:
        message = self.world.message(channel.id, ts)
        if message is None:
            raise ApiError("message_not_found")
        if message.user != self.world.bot.id:
            raise ApiError(refusal)
        return message

    def _metadata(self, arguments: Json) -> Json | None:
        if "metadata" not in arguments:
            return None
        problem = metadata_problem(arguments["metadata"])
        if problem:
            raise ApiError(problem)
        return arguments["metadata"]
