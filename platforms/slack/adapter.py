"""The Slack platform on the real SDK: preflight, connection with supervision, and everything sent."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.cards import Card, Content, Doc
from bot.core.inbound import MessageRef, Person, ReplyToken, ThreadRef
from bot.core.texts import SOURCE_LANGUAGE
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
from platforms.addresses import LOOPBACK, is_safe
from platforms.slack import buttons, commands
from platforms.slack.cards import Rendered, render
from platforms.slack.commands import Connection, Intake, log, respond, sdk_log
from platforms.slack.errors import Closed, is_already_so, refuses_blocks, trouble_of
from platforms.slack.inbound import DELIVERY_EVENT, Me, parse_body, verify_signature
from platforms.slack.reading import TROUBLE, Reading
from platforms.slack.settings import SlackSettings
from platforms.slack.setup import missing_scopes
from platforms.slack.supervision import Checked, SlackLine, Timings
from platforms.supervision import Supervision, in_time, noted, preflight_answer

T = TypeVar("T")
Sending = Callable[[Rendered], Awaitable[T]]

MARKS: Final = {"seen": "eyes", "done": "white_check_mark", "idea": "bulb"}


def create(settings: SlackSettings, clock: Clock) -> "SlackPlatform":
    """The Slack platform, not yet connected. Call within the event loop that will run it."""
    return SlackPlatform(settings, clock)


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value().strip() if value else ""


class SlackPlatform:
    """`bot.ports.Platform` for one Slack workspace app."""

    name = "slack"
    capabilities = Capabilities(
        slash=True,
        slash_in_thread=False,
        forms=True,
        whisper=True,
        activity=False,
        sees_all_messages=True,
        max_text=12_000,
        max_buttons=25,
        edit_window=None,
        idempotent_post=False,
        exclusive_ingress=False,
        every_language=False,
        post_interval=timedelta(seconds=1),
    )

    def __init__(self, settings: SlackSettings, clock: Clock, timings: Timings | None = None) -> None:
        self._settings, self._clock, self._timings = settings, clock, timings or Timings()
        self._url = settings.codetask_slack_api_url
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._writer = self._client(_secret(settings.slack_bot_token) or None, [])
        self._reader = self._client(self._writer.token, [AsyncRateLimitErrorRetryHandler(max_retry_count=1)])
        parts = (commands.register, buttons.register)
        self.intake = Intake(clock, self._client(None, []), self._answer, self._show, self._language, parts)
        self._health = Health("starting")
        self._plain_plans: set[str] = set()
        self._reading = Reading(self._reader, self._attempt, lambda: self.intake.me, clock)

    def _client(self, token: str | None, retry_handlers: list[Any]) -> AsyncWebClient:
        client = AsyncWebClient(token=token, base_url=self._url, logger=sdk_log, retry_handlers=retry_handlers)
        if urlsplit(self._url).hostname in LOOPBACK:
            client.proxy = None  # the SDK takes HTTPS_PROXY for every host
        return client

    def _open_session(self) -> None:
        if self._closed:
            raise Closed  # else who comes late would open one that nobody closes
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))
            self._writer.session = self._reader.session = self._session

    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None

    def health(self) -> Health:
        known = self._health
        return Health(known.state, self.intake.last_inbound_at, known.last_error, known.reconnects)

    def _note(self, *told: Any, **more: Any) -> None:
        self._health = noted(self._health, *told, **more)

    # --- Preflight ----------------------------------------------------------------------------------------------------

    async def preflight(self) -> Identity | AuthFailed | NotAllowed:
        return preflight_answer(await self._check(), "Slack", self._url)

    async def _check(self) -> Checked | Trouble:
        """Token, scopes and transport, in 10 s. In Socket Mode this also yields the address to connect to."""
        return self._check_settings() or await in_time(self._timings, self._look())

    async def _look(self) -> Checked | Trouble:
        told = await self._who_am_i()
        if isinstance(told, TROUBLE):
            return told
        identity = await self._identify(told)
        missing = missing_scopes(identity.granted) if identity.granted else ()
        if missing:
            fix = f"Add the scopes {', '.join(missing)} to the Slack app and reinstall it to the workspace."
            return NotAllowed(fix, "missing_scope")
        url = await self._open_url() if self._settings.codetask_slack_transport == "socket" else ""
        return url if isinstance(url, TROUBLE) else Checked(identity, url)

    async def _who_am_i(self) -> Any:
        return await self._attempt(lambda: self._writer.auth_test())

    def _check_settings(self) -> AuthFailed | NotAllowed | None:
        if not is_safe(self._url, "https"):
            return NotAllowed("CODETASK_SLACK_API_URL must start with https:// (http:// only on this machine).", "url")
        if not self._writer.token:
            return AuthFailed("Set SLACK_BOT_TOKEN to the bot token (xoxb-…) of your Slack app.", "no_token")
        socket = self._settings.codetask_slack_transport == "socket"
        if socket and not _secret(self._settings.slack_app_token):
            return AuthFailed("Set SLACK_APP_TOKEN (xapp-…, connections:write); Socket Mode needs it.", "no_token")
        if not socket and not _secret(self._settings.slack_signing_secret):
            return AuthFailed("Set SLACK_SIGNING_SECRET; the HTTP transport needs it to verify requests.", "no_secret")
        return None

    async def _identify(self, told: Any) -> Identity:
        scopes = next((value for name, value in told.headers.items() if name.lower() == "x-oauth-scopes"), "")
        bot_id = str(told.get("bot_id") or "")
        me = Me(await self._app_id(told, bot_id), str(told["team_id"]), str(told["user_id"]), bot_id)
        self.intake.me = me
        granted = frozenset(scope.strip() for scope in scopes.split(",") if scope.strip())
        return Identity("slack", me.app_id, me.workspace_id, me.bot_user_id, str(told.get("user") or ""), granted)

    async def _app_id(self, told: Any, bot_id: str) -> str:
        """Every event key starts with it. `auth.test` does not tell it; an app token carries it: `xapp-1-<app>-…`."""
        if told.get("app_id"):
            return str(told["app_id"])
        parts = _secret(self._settings.slack_app_token).split("-")
        if len(parts) > 2 and parts[0] == "xapp" and parts[2].startswith("A"):
            return parts[2]
        found = await self._attempt(lambda: self._writer.bots_info(bot=bot_id))
        bot = None if isinstance(found, TROUBLE) else found.get("bot")
        return str(bot.get("app_id") or "") if isinstance(bot, Mapping) else ""

    async def _open_url(self) -> str | Trouble:
        token = _secret(self._settings.slack_app_token)
        opened = await self._attempt(lambda: self._writer.apps_connections_open(app_token=token))
        if isinstance(opened, TROUBLE):
            return opened
        url = str(opened["url"])
        return url if is_safe(url, "wss") else Unsendable("Slack named an unsafe address for Socket Mode")

    # --- Running ------------------------------------------------------------------------------------------------------

    async def run(self, inbox: Inbox, stop: asyncio.Event) -> Fatal | None:
        line = SlackLine(self.intake, self._reading, self._check, self._who_am_i, self._connection, self._timings)
        return await Supervision(line, self._clock, self._timings, self._note).run(inbox, stop)

    def _connection(self) -> Connection:
        return Connection(_secret(self._settings.slack_app_token), self._writer, self._timings.ping, self.intake)

    async def receive(self, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        if self._settings.codetask_slack_transport != "http":
            return HttpAnswer(404)
        refused = verify_signature(_secret(self._settings.slack_signing_secret), headers, body, self._clock.now())
        if refused is not None:
            return HttpAnswer(refused)
        payload = parse_body(headers, body)
        if payload is None:
            return HttpAnswer(400)
        if payload.get("type") == "url_verification":
            challenge = str(payload.get("challenge", ""))[:1000].encode("utf-8", "replace")
            return HttpAnswer(200, challenge, {"content-type": "text/plain; charset=utf-8"})
        if "ssl_check" in payload:
            return HttpAnswer(200)
        answer = await self.intake.dispatch(payload)
        flat = {name: values[0] for name, values in answer.headers.items() if values}
        return HttpAnswer(answer.status, (answer.body or "").encode(), flat)

    # --- Sending ------------------------------------------------------------------------------------------------------

    async def _attempt(self, call: Callable[[], Awaitable[T]]) -> T | Trouble:
        """The answer of one call, or what its failure means. A bug of ours is raised."""
        try:
            self._open_session()
            return await call()
        except Exception as error:  # sorted right here; what is not Slack's or the network's goes on up
            trouble = trouble_of(error)
            if trouble is None:
                raise
            if isinstance(trouble, AuthFailed):
                self._note(error=f"Slack refused: {trouble.why}")
                self.intake.revoked.set()  # the supervision asks once more, and gives up if it is so
            return trouble

    async def _say(
        self, content: Content, team: str, key: str, send: Callable[[Rendered], Awaitable[T]]
    ) -> T | Trouble:
        """Renders and sends; once more with plain step lines where the workspace does not take the plan block."""
        native = isinstance(content, Card) and team not in self._plain_plans
        sent = await self._attempt(lambda: send(render(content, key, native)))
        if not (native and refuses_blocks(sent)):
            return sent
        again = await self._attempt(lambda: send(render(content, key, False)))
        if not isinstance(again, TROUBLE):
            self._plain_plans.add(team)
        return again

    async def post(self, to: ThreadRef, content: Content, key: str) -> MessageRef | Trouble:
        metadata = {"event_type": DELIVERY_EVENT, "event_payload": {"key": key}}
        sent = await self._say(
            content,
            to.workspace_id,
            key,
            lambda shown: self._writer.chat_postMessage(
                channel=to.channel_id,
                thread_ts=to.root,
                text=shown.text,
                blocks=shown.blocks,
                metadata=metadata,
                unfurl_links=False,
                unfurl_media=False,
                link_names=False,
                parse="none",
            ),
        )
        if isinstance(sent, TROUBLE):
            return sent
        ts = str(sent["ts"])
        return MessageRef(thread=to.model_copy(update={"root": to.root or ts}), message_id=ts)

    async def edit(self, message: MessageRef, content: Content, key: str) -> MessageRef | Trouble:
        channel = message.thread.channel_id
        sent = await self._say(
            content,
            message.thread.workspace_id,
            key,
            lambda shown: self._writer.chat_update(
                channel=channel,
                ts=message.message_id,
                text=shown.text,
                blocks=shown.blocks,
                link_names=False,
                parse="none",
            ),
        )
        return sent if isinstance(sent, TROUBLE) else message

    async def react(self, message: MessageRef, mark: str, on: bool, key: str) -> MessageRef | Trouble:
        call = self._writer.reactions_add if on else self._writer.reactions_remove
        try:
            self._open_session()
            await call(channel=message.thread.channel_id, timestamp=message.message_id, name=MARKS.get(mark, mark))
        except Exception as error:  # sorted as in _attempt
            if is_already_so(error):
                return message
            trouble = trouble_of(error)
            if trouble is None:
                raise
            return trouble
        return message

    async def whisper(
        self, person: Person, to: ThreadRef, doc: Doc, reply_token: ReplyToken | None, key: str
    ) -> MessageRef | Trouble:
        if reply_token and reply_token.uses_left > 0 and reply_token.expires_at > self._clock.now():
            shown = render(doc, key)
            answer = {"text": shown.text, "blocks": shown.blocks, "response_type": "ephemeral"}
            url = reply_token.value
            sent = await self._attempt(lambda: self._answer(url, {**answer, "replace_original": False}))
            if sent is None:
                return MessageRef(thread=to, message_id=f"ephemeral:{key}")
            log.info("reply_token_refused", trouble=sent)
        thread_ts = to.root if to.root and await self._reading.has_replies(to.channel_id, to.root) else None
        told = await self._say(
            doc,
            to.workspace_id,
            key,
            lambda shown: self._writer.chat_postEphemeral(
                channel=to.channel_id,
                user=person.id,
                thread_ts=thread_ts,
                text=shown.text,
                blocks=shown.blocks,
                link_names=False,
                parse="none",
            ),
        )
        if isinstance(told, Gone):
            return await self._write_to(person, doc, key)
        return told if isinstance(told, TROUBLE) else MessageRef(thread=to, message_id=str(told["message_ts"]))

    async def _write_to(self, person: Person, doc: Doc, key: str) -> MessageRef | Trouble:
        """A direct message: the last way to reach someone whose channel or thread is gone."""
        opened = await self._attempt(lambda: self._writer.conversations_open(users=person.id))
        if isinstance(opened, TROUBLE):
            return opened
        channel = str((opened.get("channel") or {}).get("id"))
        return await self.post(
            ThreadRef(platform="slack", workspace_id=person.workspace_id, channel_id=channel), doc, key
        )

    async def _answer(self, url: str, answer: dict[str, Any]) -> None:
        self._open_session()
        await respond(self._writer, url, answer)

    async def _show(self, trigger_id: str, view: dict[str, Any]) -> bool:
        opened = await self._attempt(lambda: self._writer.views_open(trigger_id=trigger_id, view=view))
        if isinstance(opened, TROUBLE):
            log.info("form_not_opened", trouble=type(opened).__name__, why=getattr(opened, "why", ""))
        return not isinstance(opened, TROUBLE)

    async def _language(self, person: Person) -> str:
        told = await self.resolve(person)
        return (told.locale if isinstance(told, Person) else None) or SOURCE_LANGUAGE

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> list[Posted] | Trouble:
        return await self._reading.history(scope, after, limit)

    async def read(self, message: MessageRef) -> Posted | Trouble:
        return await self._reading.read(message)

    async def channels(self) -> list[ThreadRef] | Trouble:
        return await self._reading.channels()

    async def permalink(self, message: MessageRef) -> str | None:
        return await self._reading.permalink(message)

    async def channel_name(self, thread: ThreadRef) -> str:
        return await self._reading.names.name(thread.channel_id)

    async def resolve(self, person: Person) -> Person | Retry:
        return await self._reading.resolve(person)
