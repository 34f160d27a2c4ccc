"""The Discord platform on the real SDK: preflight, connection with supervision, and everything sent."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import SecretStr

from bot.core.cards import Card, Content, Doc
from bot.core.inbound import MessageRef, Person, ReplyToken, ThreadRef
from bot.core.texts import Texts
from bot.ports import (
    AuthFailed,
    Capabilities,
    Clock,
    Fatal,
    Gone,
    Health,
    HttpAnswer,
    Identity,
    Inbox,
    NotAllowed,
    Posted,
    Retry,
    Trouble,
    Unsendable,
)
from platforms.addresses import is_safe
from platforms.discord.api import TROUBLE, Api
from platforms.discord.buttons import interact
from platforms.discord.cards import EPHEMERAL, MAX_BUTTONS, MAX_TEXT, render, render_doc, render_one, thread_name
from platforms.discord.commands import Intake, log
from platforms.discord.custom_ids import at_home
from platforms.discord.errors import FIXES, LOCKED
from platforms.discord.inbound import DIRECT, TOKEN_LIFE, Me
from platforms.discord.places import FORUMS
from platforms.discord.reading import UNIDENTIFIED, Reading
from platforms.discord.settings import DiscordSettings
from platforms.discord.setup import (
    CONTENT_FIX,
    ENDPOINT_FIX,
    MESSAGE_CONTENT,
    build_manifest,
    fingerprint,
    granted_by,
    intents_for,
)
from platforms.discord.supervision import Checked, DiscordLine, Timings
from platforms.supervision import Supervision, in_time, noted, preflight_answer

MARKS: Final = {"seen": "👀", "done": "✅", "idea": "💡"}
ARCHIVE_MINUTES: Final = 4320
"""After how long without messages Discord puts a thread away: three days (ours)."""
NUMBERS: Final = "abcdefghijklmnopqrstuvwxyz234567"
"""What the nonce of a document's further messages ends in: a key has 24 characters, a nonce at most 25."""
MAX_THREADS: Final = 2000
SOON_AGAIN: Final = timedelta(seconds=10)
"""How long a private answer waits for a rate limit before it goes by direct message instead (ours)."""
ANSWER_WINDOW: Final = timedelta(seconds=4)
"""How long after an interaction its first answer may still come: 3 s, and one for clocks that differ (ours)."""


def create(settings: DiscordSettings, clock: Clock) -> "DiscordPlatform":
    """The Discord platform, not yet connected. Call within the event loop that will run it."""
    return DiscordPlatform(settings, clock)


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value().strip() if value else ""


class DiscordPlatform:
    """`bot.ports.Platform` for one Discord application, in all servers it is in."""

    name = "discord"
    capabilities = Capabilities(
        slash=True,
        slash_in_thread=True,
        forms=True,
        whisper=True,
        activity=False,
        sees_all_messages=True,
        max_text=MAX_TEXT,
        max_buttons=MAX_BUTTONS,
        edit_window=None,
        idempotent_post=True,
        exclusive_ingress=True,
        every_language=False,
        post_interval=timedelta(0),
    )

    def __init__(self, settings: DiscordSettings, clock: Clock, timings: Timings | None = None) -> None:
        self._settings, self._clock, self._timings = settings, clock, timings or Timings()
        self._token = _secret(settings.discord_token)
        self._api = Api(
            settings.codetask_discord_api_url, settings.codetask_discord_gateway_url, self._token, self._refused
        )
        self.intake = Intake(clock, self._api, interact)
        self._reading = Reading(self._api, self.intake, clock)
        self._health = Health("starting")
        self._opened: dict[str, None] = {}
        self._answered: dict[str, None] = {}

    async def aclose(self) -> None:
        await self._api.close()

    def health(self) -> Health:
        known = self._health
        return Health(known.state, self.intake.last_inbound_at, known.last_error, known.reconnects)

    def _note(self, *told: Any, **more: Any) -> None:
        self._health = noted(self._health, *told, **more)

    def _refused(self, why: str) -> None:
        self._note(error=f"Discord refused: {why}")
        self.intake.revoked.set()  # the supervision asks once more, and gives up if it is so

    # --- Preflight ----------------------------------------------------------------------------------------------------

    async def preflight(self) -> Identity | AuthFailed | NotAllowed:
        return preflight_answer(await self._check(), "Discord", self._settings.codetask_discord_api_url)

    async def _check(self) -> Checked | Trouble:
        """Token, application and gateway, in 10 s."""
        return self._check_settings() or await in_time(self._timings, self._identify())

    def _check_settings(self) -> AuthFailed | NotAllowed | None:
        if not is_safe(self._settings.codetask_discord_api_url, "https"):
            return NotAllowed(
                "CODETASK_DISCORD_API_URL must start with https:// (http:// only on this machine).", "url"
            )
        if not is_safe(self._settings.codetask_discord_gateway_url, "wss"):
            return NotAllowed(
                "CODETASK_DISCORD_GATEWAY_URL must start with wss:// (ws:// only on this machine).", "url"
            )
        if not self._token:
            return AuthFailed("Set DISCORD_TOKEN to the token on the application's page Bot.", "no_token")
        return None

    async def _identify(self) -> Checked | Trouble:
        user = await self._api.open()
        if isinstance(user, TROUBLE):
            return user
        application = await self._api.call("GET", "/oauth2/applications/@me")
        if isinstance(application, TROUBLE):
            return application
        if application.get("interactions_endpoint_url"):
            return NotAllowed(ENDPOINT_FIX, "interactions_endpoint_url")
        gateway = await self._api.call("GET", "/gateway/bot")
        if isinstance(gateway, TROUBLE):
            return gateway
        intents = intents_for(application.get("flags"))
        sees = bool(intents & MESSAGE_CONTENT)
        if sees != self.capabilities.sees_all_messages:
            self.capabilities = replace(self.capabilities, sees_all_messages=sees)
        if not sees:
            log.warning("message_content_missing", fix=CONTENT_FIX)
        self.intake.me = Me(str(application["id"]), str(user["id"]))
        guilds = await self._api.call("GET", "/users/@me/guilds", query={"limit": 1})
        if isinstance(guilds, TROUBLE):
            return guilds
        identity = Identity(
            platform="discord",
            app_id=str(application["id"]),
            workspace_id=str(guilds[0]["id"]) if guilds else "",
            bot_user_id=str(user["id"]),
            name=str(user.get("global_name") or user.get("username") or ""),
            granted=granted_by(intents),
            degraded="" if sees else CONTENT_FIX,
        )
        return Checked(identity, intents, gateway.get("session_start_limit"))

    async def _sync_commands(self) -> None:
        """One bulk PUT, only where Discord's commands are not ours. A refusal leaves the other doors open."""
        assert self.intake.me is not None, "identified before"
        path, application_id = "/applications/{application_id}/commands", self.intake.me.app_id
        shown = {"with_localizations": "true"}
        known = await self._api.call("GET", path, application_id=application_id, query=shown)
        ours = build_manifest()
        if isinstance(known, list) and fingerprint(known) == fingerprint(ours):
            return
        if not isinstance(known, TROUBLE):
            known = await self._api.call("PUT", path, application_id=application_id, body=ours)
        if isinstance(known, TROUBLE):
            log.warning("commands_not_registered", trouble=type(known).__name__, why=getattr(known, "why", ""))

    # --- Running ------------------------------------------------------------------------------------------------------

    async def run(self, inbox: Inbox, stop: asyncio.Event) -> Fatal | None:
        line = DiscordLine(
            self.intake,
            self._reading,
            self._api,
            self._check,
            self._sync_commands,
            self._note,
            self._clock,
            self._timings,
        )
        return await Supervision(line, self._clock, self._timings, self._note).run(inbox, stop)

    async def receive(self, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        return HttpAnswer(404)  # Discord has no webhook transport here

    # --- Sending ------------------------------------------------------------------------------------------------------

    async def post(self, to: ThreadRef, content: Content, key: str) -> MessageRef | Trouble:
        where = await self._where(to, content)
        if isinstance(where, TROUBLE):
            return where
        ids: list[str] = []
        for page, nonce in zip(render(content), ["", *NUMBERS], strict=False):
            sent = await self._send(where, page.payload(nonce=key + nonce, enforce_nonce=True))
            if isinstance(sent, TROUBLE):
                return _in_thread(sent) if where != to.channel_id else sent
            ids.append(str(sent["id"]))
        if isinstance(content, Card):
            self.intake.settle(to)
        native = where if where != to.channel_id else None
        if to.root is None and isinstance(content, Card) and to.workspace_id != DIRECT:
            opened = await self._open_thread(to.channel_id, ids[0], content)
            native = None if isinstance(opened, TROUBLE) else opened
        thread = to.model_copy(update={"root": to.root or ids[0], "native": to.native or native})
        return MessageRef(thread=thread, message_id=ids[0])

    async def _where(self, to: ThreadRef, content: Content) -> str | Trouble:
        """The channel or thread to post in; the thread of the root is opened where nobody has."""
        if to.root is None or to.workspace_id == DIRECT:
            return to.channel_id
        if to.native is not None or to.root in self._opened:
            return to.native or to.root
        return await self._open_thread(to.channel_id, to.root, content)

    async def _open_thread(self, channel: str, root: str, content: Content) -> str | Trouble:
        """The thread that hangs on a message. Its id is the message's; one that is there already is as good."""
        texts = Texts.load(content.language)
        body = {"name": thread_name(content, texts.say("discord.thread")), "auto_archive_duration": ARCHIVE_MINUTES}
        path = "/channels/{channel_id}/messages/{message_id}/threads"
        made = await self._api.call("POST", path, channel_id=channel, message_id=root, body=body)
        if isinstance(made, TROUBLE) and not (isinstance(made, Unsendable) and made.why == "160004"):
            return Gone("thread", made.why) if isinstance(made, Gone) and made.what == "message" else made
        self._opened = {**dict(list(self._opened.items())[-MAX_THREADS:]), root: None}
        return root

    async def _send(self, channel: str, payload: dict[str, Any]) -> Any:
        async def send() -> Any:
            return await self._api.call("POST", "/channels/{channel_id}/messages", channel_id=channel, body=payload)

        return await self._unarchived(channel, send, locked=True)  # a message opens any other thread by itself

    async def _unarchived(self, channel: str, call: Any, locked: bool = False) -> Any:
        """The answer of a call; once more after an archived thread was opened again. `locked`: if archived, it is."""
        told = await call()
        if not (isinstance(told, Unsendable) and told.why == "50083"):
            return told
        opened = await self._api.call("PATCH", "/channels/{channel_id}", channel_id=channel, body={"archived": False})
        if isinstance(opened, NotAllowed) and locked:
            return NotAllowed(FIXES[LOCKED], str(LOCKED))
        return opened if isinstance(opened, TROUBLE) else await call()

    async def edit(self, message: MessageRef, content: Content, key: str) -> MessageRef | Trouble:
        where, payload = await self._home(message), render_one(content).payload()
        if isinstance(where, TROUBLE):
            return where

        async def change() -> Any:
            path = "/channels/{channel_id}/messages/{message_id}"
            return await self._api.call("PATCH", path, channel_id=where, message_id=message.message_id, body=payload)

        sent = await self._unarchived(where, change)
        if isinstance(sent, TROUBLE):
            return _in_thread(sent) if where != message.thread.channel_id else sent
        if isinstance(content, Card):
            self.intake.settle(message.thread, edited=True)
        return message

    async def react(self, message: MessageRef, mark: str, on: bool, key: str) -> MessageRef | Trouble:
        where = await self._home(message)
        if isinstance(where, TROUBLE):
            return where
        path = "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}/@me"
        told = await self._unarchived(
            where,
            lambda: self._api.call(
                "PUT" if on else "DELETE",
                path,
                channel_id=where,
                message_id=message.message_id,
                emoji=MARKS.get(mark, mark),
            ),
        )
        gone = isinstance(told, Unsendable) and told.why == "10014"  # taking away what is not there
        return told if isinstance(told, TROUBLE) and (on or not gone) else message

    async def whisper(
        self, person: Person, to: ThreadRef, doc: Doc, reply_token: ReplyToken | None, key: str
    ) -> MessageRef | Trouble:
        if reply_token and reply_token.uses_left > 0 and reply_token.expires_at > self._clock.now():
            if self.intake.me is None:
                return UNIDENTIFIED  # the answer's address holds the application's id
            told = await self._answer(reply_token, doc)
            if told is None:
                return MessageRef(thread=to, message_id=f"ephemeral:{key}")
            if isinstance(told, Retry) and told.why == "ratelimited" and told.after <= SOON_AGAIN:
                return told
            if isinstance(told, Gone) and self._may_be_answered_yet(reply_token):
                return Retry(timedelta(0), why="not answered yet")  # by the process that listens
            log.info("reply_token_refused", trouble=type(told).__name__, why=getattr(told, "why", ""))
        sent = await self._write_to(person, _speaking_of(to.workspace_id, doc), key)
        if isinstance(sent, NotAllowed) and to.workspace_id != DIRECT and person.kind in ("human", "guest"):
            said = Texts.load(doc.language).say("discord.no_direct_message", command="`/codetask`")
            note = Doc(text=said, mention=person, topic=doc.topic, language=doc.language)
            return await self.post(to, note, key)
        return sent

    def _may_be_answered_yet(self, token: ReplyToken) -> bool:
        secret = token.value.rpartition(":")[2]
        return secret not in self.intake.heard and token.expires_at - self._clock.now() > TOKEN_LIFE - ANSWER_WINDOW

    async def _answer(self, token: ReplyToken, doc: Doc) -> Trouble | None:
        """By the interaction's token: the first answer takes the place of "On it.", the others follow."""
        use, _, secret = token.value.split(":", 2)
        if secret in self.intake.unanswered:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.intake.unanswered[secret].wait(), ANSWER_WINDOW.total_seconds())
        self.intake.taken.pop(secret, None)
        app_id = self.intake.me.app_id if self.intake.me else ""
        first = use == "first" and secret not in self._answered
        for page in render_doc(doc):
            body = page.payload(flags=0 if first else EPHEMERAL)
            call = self._api.edit_answer if first else self._api.follow_up
            told = await call(app_id, secret, body)
            if first and told == Gone("message", "10008"):  # taken away, by the person or by `settle`
                told = await self._api.follow_up(app_id, secret, page.payload(flags=EPHEMERAL))
            if isinstance(told, TROUBLE):
                return told
            first = False
            self._answered = {**dict(list(self._answered.items())[-MAX_THREADS:]), secret: None}
        return None

    async def _write_to(self, person: Person, doc: Doc, key: str) -> MessageRef | Trouble:
        """A direct message: the last way to reach someone privately."""
        opened = await self._api.call("POST", "/users/@me/channels", body={"recipient_id": person.id})
        if isinstance(opened, TROUBLE):
            return opened
        where = ThreadRef(platform="discord", workspace_id=DIRECT, channel_id=str(opened["id"]))
        return await self.post(where, doc, key)

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> Sequence[Posted] | Trouble:
        return await self._reading.history(scope, after, limit)

    async def read(self, message: MessageRef) -> Posted | Trouble:
        where = await self._home(message)
        if isinstance(where, TROUBLE):
            return where
        found = await self._reading.read(message, where)
        return _in_thread(found) if isinstance(found, Gone) and where != message.thread.channel_id else found

    async def channels(self) -> Sequence[ThreadRef] | Trouble:
        return await self._reading.channels()

    async def permalink(self, message: MessageRef) -> str | None:
        guild = "@me" if message.thread.workspace_id == DIRECT else message.thread.workspace_id
        where = await self._home(message)
        return (
            None if isinstance(where, TROUBLE) else f"https://discord.com/channels/{guild}/{where}/{message.message_id}"
        )

    async def _home(self, message: MessageRef) -> str | Trouble:
        """The channel or thread that a message is in. A root is outside its thread, but a forum's in it."""
        thread = message.thread
        if thread.root is None or thread.workspace_id == DIRECT:
            return thread.channel_id
        inside = thread.native or thread.root
        if message.message_id != thread.root:
            return inside
        if thread.native is None:
            return thread.channel_id
        place = await self.intake.place_of(thread.channel_id, thread.workspace_id)
        if isinstance(place, Retry):
            return place
        return inside if place.get("type") in FORUMS else thread.channel_id

    async def channel_name(self, thread: ThreadRef) -> str:
        return await self._reading.names.name(thread.channel_id)

    async def resolve(self, person: Person) -> Person | Retry:
        return await self._reading.resolve(person)


def _speaking_of(server: str, doc: Doc) -> Doc:
    """The document for a direct message, with buttons that know which server they act in."""
    buttons = tuple(
        button.model_copy(update={"value": at_home(button.value, server)}) if button.value else button
        for button in doc.buttons
    )
    return doc.model_copy(update={"buttons": buttons})


def _in_thread(trouble: Trouble) -> Trouble:
    """A channel that is gone, where the channel is a thread."""
    return Gone("thread", trouble.why) if isinstance(trouble, Gone) and trouble.what == "channel" else trouble
