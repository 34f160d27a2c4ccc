"""The verbs: what people and administrators of the workspace do. All run on the simulator's loop."""

import html
import re
from collections.abc import Callable, Mapping
from typing import Any

from platforms.slack.simulator.answers import Answers
from platforms.slack.simulator.catalog import SHORTCUTS, SLASH_COMMANDS
from platforms.slack.simulator.chat import Chat
from platforms.slack.simulator.delivery import Courier, Delivery
from platforms.slack.simulator.events import Events, Interactions, message_json
from platforms.slack.simulator.state import Channel, StoredMessage, User, View, Whisper, World
from platforms.slack.simulator.surfaces import Surfaces

Json = dict[str, Any]
_TOKENS = re.compile(r"(<(?:[@#!][^<>]*|https?://[^<>]*)>)")
_NAME = re.compile(r"(?<![\w@])@([\w.-]*\w)")
_URL = re.compile(r"https?://[^\s<>]+")


class People:
    """Everyone who is not the app."""

    def __init__(self, world: World, courier: Courier, events: Events, chat: Chat, surfaces: Surfaces) -> None:
        self.world = world
        self.courier = courier
        self.events = events
        self.chat = chat
        self.surfaces = surfaces
        self.interactions: Interactions
        self.answers: Answers

    # --- Talking ------------------------------------------------------------------------------------------------------

    def says(self, who: str | User, text: str, where: str | Channel, thread_ts: str | None) -> StoredMessage:
        user, channel = self.world.find_user(who), self.world.find_channel(where)
        if user.id not in channel.members or channel.is_archived:
            raise LookupError(f"{user.name} cannot write in {channel.name or channel.id}")
        root = self.chat.thread(channel, thread_ts)
        message = StoredMessage(channel.id, self.world.ids.ts(), user.id, "", self.world.clock.now(), root)
        self._write(message, text)
        if user.is_bot:
            message.bot_id = user.bot_id
        else:
            message.client_msg_id = self.world.ids.uuid()
        self.world.store(message)
        self.events.posted(message)
        return message

    def edits(self, message: StoredMessage, text: str) -> None:
        previous = message_json(self.world, message)
        before = message.text
        self._write(message, text)
        message.edited = {"user": message.user, "ts": self.world.ids.ts()}
        message.remember(self.world.clock.now())
        self.world.tell("edited", message.channel, message.user, message.text, message)
        self.events.changed(message, previous)
        mention = f"<@{self.world.bot.id}"
        if mention in message.text and mention not in before:
            self.events.mentioned(message)

    def unfurl(self, message: StoredMessage, url: str, title: str) -> None:
        """Slack adds a preview to a message: a `message_changed` without a change of text or an `edited` mark."""
        previous = message_json(self.world, message)
        message.attachments = [*message.attachments, {"from_url": url, "id": 1, "title": title, "fallback": title}]
        self.world.changed()
        self.events.changed(message, previous)

    def reacts(self, who: str | User, message: StoredMessage, name: str, on: bool) -> None:
        user = self.world.find_user(who)
        if on != (user.id in message.reactions.get(name, [])):
            self.surfaces.mark(message, user.id, name.strip(":"), on)

    def opens_home(self, who: str | User) -> None:
        user = self.world.find_user(who)
        channel = self.world.direct_channel(user.id)
        event = {"type": "app_home_opened", "user": user.id, "channel": channel.id, "tab": "home"}
        self.events.emit("app_home_opened", event | {"event_ts": self.world.ids.ts()})

    # --- Commands, buttons, forms -------------------------------------------------------------------------------------

    def runs_command(self, who: str | User, line: str, where: str | Channel, thread: str | None) -> Delivery:
        user, channel = self.world.find_user(who), self.world.find_channel(where)
        command, _, text = line.partition(" ")
        if thread is not None:
            return self._refuse(
                user, channel, command, "not_supported_in_threads", f"{command} is not supported in threads. Sorry!"
            )
        if command not in SLASH_COMMANDS:
            return self._refuse(user, channel, command, "invalid_command", f"{command} is not a valid command.")
        delivery = self.interactions.slash(user, channel, command, self._escape(text.strip(), labels=True))
        self.world.tell("command", channel.id, user.id, line)
        return self._go(delivery)

    def uses_shortcut(self, who: str | User, message: StoredMessage, callback_id: str) -> Delivery:
        if callback_id not in SHORTCUTS:
            raise LookupError(f"no shortcut {callback_id!r}; known: {', '.join(SHORTCUTS)}")
        user = self.world.find_user(who)
        self.world.tell("clicked", message.channel, user.id, callback_id, message)
        return self._go(self.interactions.shortcut(user, message, callback_id))

    def clicks(self, who: str | User, shown: StoredMessage | Whisper, button: str) -> Delivery:
        user = self.world.find_user(who)
        block, element = _find_button(shown, button)
        action: Json = {"action_id": element["action_id"], "block_id": block["block_id"], "text": element["text"]}
        action |= {name: element[name] for name in ("value", "style", "url") if name in element}
        action |= {"type": "button", "action_ts": self.world.ids.ts()}
        container: Json = {"type": "message", "message_ts": shown.ts, "channel_id": shown.channel}
        container["is_ephemeral"] = isinstance(shown, Whisper)
        if shown.thread_ts:
            container["thread_ts"] = shown.thread_ts
        message = None if isinstance(shown, Whisper) else message_json(self.world, shown)
        self.world.tell("clicked", shown.channel, user.id, element["text"]["text"])
        return self._go(self.interactions.button(user, shown, action, container, message))

    def submits_form(self, who: str | User, view: View, values: Mapping[str, Any]) -> Delivery:
        if not view.open:
            raise LookupError("the form is closed")
        filled = _form_values(view, values)
        view.open = False
        return self._go(self.interactions.submission(self.world.find_user(who), view, filled))

    def closes_form(self, who: str | User, view: View) -> Delivery | None:
        if not view.open:
            raise LookupError("the form is closed")
        view.open = False
        if not view.body.get("notify_on_close"):
            return None
        return self._go(self.interactions.closed(self.world.find_user(who), view))

    def types_choice(self, who: str | User, action_id: str, text: str) -> Delivery:
        return self._go(self.interactions.suggestion(self.world.find_user(who), action_id, text))

    def _go(self, delivery: Delivery) -> Delivery:
        delivery.answered = self.answers.acked
        return self.courier.dispatch(delivery)

    def _refuse(self, user: User, channel: Channel, command: str, code: str, say: str) -> Delivery:
        """The person's own client refuses; the app never hears of it."""
        delivery = Delivery("slash_commands", {}, command, user.id, channel.id, state="refused", error=code)
        self.chat.whisper(channel.id, user.id, say, [], None, "slackbot")
        return delivery

    # --- Administration -----------------------------------------------------------------------------------------------

    def adds_bot(self, where: str | Channel, by: str | User) -> None:
        channel, bot = self.world.find_channel(where), self.world.bot
        if bot.id in channel.members:
            return
        channel.members.add(bot.id)
        event = {"type": "member_joined_channel", "user": bot.id, "channel": channel.id, "team": self.world.team_id}
        event |= {"channel_type": "C" if channel.kind == "public" else "G", "inviter": self.world.find_user(by).id}
        self.events.emit("member_joined_channel", event | {"event_ts": self.world.ids.ts()}, channel)

    def removes_bot(self, where: str | Channel) -> None:
        self.world.find_channel(where).members.discard(self.world.bot.id)
        self.world.changed()

    def archives(self, where: str | Channel, by: str | User) -> None:
        channel = self.world.find_channel(where)
        event = {"type": "channel_archive", "channel": channel.id, "user": self.world.find_user(by).id}
        channel.is_archived = True
        self.events.emit("channel_archive", event | {"is_moved": 0, "event_ts": self.world.ids.ts()}, channel)

    # --- Words --------------------------------------------------------------------------------------------------------

    def _write(self, message: StoredMessage, text: str) -> None:
        message.text = self._escape(text, labels=False)
        message.blocks = [
            {"type": "rich_text", "block_id": self.world.ids.secret(5), "elements": [_rich(message.text)]}
        ]

    def _escape(self, text: str, *, labels: bool) -> str:
        """What Slack makes of typed text: `& < >` escaped, `@name` and addresses turned into tokens."""
        parts = _TOKENS.split(text)
        return "".join(part if index % 2 else self._escape_part(part, labels) for index, part in enumerate(parts))

    def _escape_part(self, text: str, labels: bool) -> str:
        names = {user.name: user.id for user in self.world.users.values()}
        escaped = _URL.sub(lambda m: f"\0{m[0]}\1", text)
        escaped = html.escape(escaped, quote=False).replace("\0", "<").replace("\1", ">")

        def mention(match: re.Match[str]) -> str:
            user = names.get(match[1])
            return match[0] if user is None else f"<@{user}|{match[1]}>" if labels else f"<@{user}>"

        return _NAME.sub(mention, escaped)


def _rich(text: str) -> Json:
    elements: list[Json] = []
    for index, part in enumerate(_TOKENS.split(text)):
        if index % 2 and part.startswith("<@"):
            elements.append({"type": "user", "user_id": part[2:-1].partition("|")[0]})
        elif index % 2 and part.startswith("<http"):
            elements.append({"type": "link", "url": html.unescape(part[1:-1].partition("|")[0])})
        elif part:
            elements.append({"type": "text", "text": html.unescape(part)})
    return {"type": "rich_text_section", "elements": elements}


def _find_button(shown: StoredMessage | Whisper, wanted: str) -> tuple[Json, Json]:
    """The block and the button with this label, action id, value or accessible name. Raises LookupError."""
    seen: list[str] = []
    for block in shown.blocks:
        for element in [*block.get("elements", []), block.get("accessory") or {}]:
            if isinstance(element, dict) and element.get("type") == "button":
                names = {
                    element["text"]["text"],
                    *(element.get(n) for n in ("action_id", "value", "accessibility_label")),
                }
                if wanted in names:
                    return block, element
                seen.append(element["text"]["text"])
    raise LookupError(f"no button {wanted!r}; there are: {', '.join(seen) or 'none'}")


def _form_values(view: View, given: Mapping[str, Any]) -> Json:
    """`view.state.values`: every input with its answer, named by block id, action id or label."""
    values: Json = {}
    checks: list[tuple[Json, Json]] = []
    left = dict(given)
    pick: Callable[[str], Any] = lambda name: left.pop(name, None)  # noqa: E731
    for block in view.body["blocks"]:
        if block["type"] != "input":
            continue
        element = block["element"]
        action_id = element.setdefault("action_id", "value")
        answer = next(
            (a for n in (block["block_id"], action_id, block["label"]["text"]) if (a := pick(n)) is not None), None
        )
        state = _filled(element, answer)
        checks.append((block, state))
        values.setdefault(block["block_id"], {})[action_id] = state
    if left:
        raise LookupError(f"the form has no field {', '.join(sorted(left))}")
    for block, state in checks:
        _fits(block, state)
    return values


def _filled(element: Json, answer: Any) -> Json:
    """The state of one input; an empty text is null, as Slack sends it."""
    state: Json = {"type": element["type"]}
    match element["type"]:
        case "static_select":
            chosen = [o for o in element.get("options", []) if o["value"] == answer]
            state["selected_option"] = chosen[0] if chosen else element.get("initial_option")
        case "datetimepicker":
            state["selected_date_time"] = _picked(answer) if answer else element.get("initial_date_time")
        case _:
            state["value"] = (answer if answer is not None else element.get("initial_value")) or None
    return state


def _fits(block: Json, state: Json) -> None:
    """The person's client does not send a form that lacks a required field, or with too long a text."""
    value = next(value for name, value in state.items() if name != "type")
    if value is None and not block.get("optional", False):
        raise LookupError(f"please complete the field {block['label']['text']!r}")
    if isinstance(value, str) and len(value) > block["element"].get("max_length", 3000):
        raise LookupError(f"the form does not take that text for {block['label']['text']!r}")


def _picked(answer: object) -> int:
    """Seconds since 1970 of what a person picked. Raises LookupError for what no picker offers."""
    try:
        return int(str(answer))
    except ValueError:
        raise LookupError(f"no picker offers {answer!r}") from None
