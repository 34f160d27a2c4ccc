"""Slash commands, mentions, shortcuts and all other events: registered with Bolt, stored, then acked.

`Intake.dispatch` is the one way in, for Socket Mode and for HTTP. Nothing is done here but read, persist, ack; whatever
goes wrong, no exception reaches the SDK.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from slack_bolt.adapter.socket_mode.async_internals import send_async_response
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.async_context import AsyncBoltContext
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.core.inbound import Event, Person, Unreadable
from bot.core.texts import Texts
from bot.failpoints import failpoint
from bot.ports import Clock
from platforms.intake import Keeper
from platforms.slack.errors import WebhookRefused
from platforms.slack.inbound import Me, read

log: Final = structlog.get_logger(__name__)
sdk_log: Final = logging.getLogger("platforms.slack.sdk")
"""What the SDK says goes here; ours is structured."""

EVENT: Final = "codetask_event"
"""Where the middleware leaves the event that it read for the listener."""
INTERACTIONS: Final = frozenset(
    {"block_actions", "message_action", "shortcut", "view_submission", "view_closed", "block_suggestion"}
)

Respond = Callable[[str, dict[str, Any]], Awaitable[None]]
Show = Callable[[str, dict[str, Any]], Awaitable[bool]]
"""Opens a modal by a trigger id; False when Slack did not take it."""
Language = Callable[[Person], Awaitable[str]]
"""The locale of a person."""
Part = Callable[[AsyncApp, "Intake"], None]
"""Registers listeners: `register` here and in `buttons.py`."""


def not_saved(ref: str) -> str:
    """What a person reads whose command could not be stored. Slack never redelivers it, so they must know."""
    return Texts.load().say("error.infrastructure", ref=f"`{ref}`")


def not_read(ref: str) -> str:
    """What a person reads whose command made no sense on the wire."""
    return Texts.load().say("error.unreadable", ref=f"`{ref}`")


class Intake(Keeper[Me]):
    """Stores what Slack delivers, through Bolt. `revoked` is also set when Slack says that the app was removed."""

    def __init__(
        self,
        clock: Clock,
        client: AsyncWebClient,
        respond: Respond,
        show: Show,
        language: Language,
        parts: Sequence[Part],
    ) -> None:
        super().__init__(clock)
        self.show, self.language = show, language
        self._respond = respond
        self.app = self._build(client)
        for part in parts:
            part(self.app, self)

    def _build(self, client: AsyncWebClient) -> AsyncApp:
        # `authorize` is given so that neither SLACK_CLIENT_ID in the environment turns on OAuth, nor an `auth.test`
        # delays the first ack. The listeners only persist, so they run before the response.
        return AsyncApp(
            name="codetask",
            logger=sdk_log,
            client=client,
            signing_secret="",
            authorize=self._authorizer(),
            process_before_response=True,
            request_verification_enabled=False,
            ignoring_self_events_enabled=False,
            ssl_check_enabled=False,
            url_verification_enabled=False,
            attaching_function_token_enabled=False,
            attaching_conversation_kwargs_enabled=False,
        )

    def _authorizer(self) -> Callable[..., Awaitable[AuthorizeResult]]:
        # Bolt passes arguments by the names it finds in the signature, `self` included: hence a plain function.
        async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
            me = self._me()
            return AuthorizeResult(
                enterprise_id=enterprise_id, team_id=team_id, bot_id=me.bot_id, bot_user_id=me.bot_user_id
            )

        return authorize

    # --- The way in ---------------------------------------------------------------------------------------------------

    async def dispatch(self, payload: Mapping[str, Any]) -> BoltResponse:
        """Runs one payload through Bolt. 200: stored or not ours, ack it. 503: not stored, do not ack. Never raises.

        What people say to each other comes by the hundred, and Bolt has nothing to route of it: it is stored at once,
        for a quarter of the time."""
        if self.me is None or self.inbox is None:
            return BoltResponse(status=503)
        self.last_inbound_at = self._clock.now()
        if _is_said(payload):
            return await self._keep(payload)
        try:
            request = AsyncBoltRequest(mode="socket_mode", body=dict(payload))
            response = await self.app.async_dispatch(request)
        except Exception as error:  # Bolt's own reading breaks on payloads that Slack never sends
            log.warning("bolt_refused_payload", error=type(error).__name__)
            return await self._keep(payload)
        return response if response.status in (200, 503) else await self._keep(payload)

    async def _keep(self, payload: Mapping[str, Any]) -> BoltResponse:
        """What Bolt could not handle is stored all the same, as far as we can read it."""
        event = self.read(payload)
        return BoltResponse(status=503 if event is not None and await self.accept(event) else 200)

    def read(self, payload: Mapping[str, Any]) -> Event | None:
        """The event of a payload, noting where it came from and, if nothing told it before, which app it is for."""
        app_id = payload.get("api_app_id")
        if self.me and not self.me.app_id and isinstance(app_id, str):
            self.me = replace(self.me, app_id=app_id)
        event = read(payload, self._me(), self._clock.now())
        body = payload.get("event")
        if isinstance(body, Mapping):
            if body.get("type") in ("tokens_revoked", "app_uninstalled"):
                self.revoked.set()
            channel = body.get("channel")
            if isinstance(channel, str):
                self.note_channel(channel)
        return event

    def _me(self) -> Me:
        return self.me or Me("", "", "", "")

    # --- Private answers ----------------------------------------------------------------------------------------------

    def tell(self, event: Event | None, text: str) -> None:
        """Answers an interaction privately, beside the ack. Not repeated: it is a courtesy, the log has the loss."""
        token = getattr(event, "reply_token", None)
        if token is None:
            return
        answer = {"text": text, "response_type": "ephemeral", "replace_original": False}
        self.spawn(self._tell(token.value, answer))

    async def _tell(self, url: str, answer: dict[str, Any]) -> None:
        try:
            await self._respond(url, answer)
        except Exception as error:  # a courtesy: see tell
            log.warning("private_answer_lost", error=type(error).__name__)


def _is_said(payload: Mapping[str, Any]) -> bool:
    """Whether it is a message event, which needs no listener."""
    event = payload.get("event") if payload.get("type") == "event_callback" else None
    return isinstance(event, Mapping) and event.get("type") == "message"


class Connection(SocketModeClient):
    """One Socket Mode connection. Where the SDK would reconnect by itself, without end, it only reports the loss."""

    def __init__(self, app_token: str, web_client: AsyncWebClient, ping: timedelta, intake: Intake) -> None:
        super().__init__(app_token, logger=sdk_log, web_client=web_client, ping_interval=ping.total_seconds())
        self.proxy = web_client.proxy
        self._intake = intake
        self._lost = asyncio.Event()
        self._greeted = asyncio.Event()
        self.message_listeners.append(self._greet)
        self.socket_mode_request_listeners.append(self._receive)

    async def open(self, url: str, limit: timedelta) -> bool:
        """Connects and waits for Slack's greeting. False when there was none within `limit`."""
        self.wss_uri = url
        try:
            async with asyncio.timeout(limit.total_seconds()):
                await self.connect()
                await self._greeted.wait()
        except TimeoutError:
            return False
        return True

    async def lost_within(self, limit: timedelta) -> bool:
        """Waits at most `limit`; True as soon as the connection is lost, closed, or its pings go unanswered."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit.total_seconds()):
                await self._lost.wait()
        return self._lost.is_set() or not await self.is_connected()

    async def connect_to_new_endpoint(self, force: bool = False) -> None:
        self._lost.set()

    async def _greet(self, _client: Any, message: dict[str, Any], _raw: str | None) -> None:
        if message.get("type") == "hello":
            self._greeted.set()

    async def _receive(self, _client: Any, request: SocketModeRequest) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._intake.track(task)
        answer = await self._intake.dispatch(request.payload)
        try:
            await send_async_response(self, request, answer, 0.0)
        except Exception as error:  # stored, but not acked: Slack delivers it again and the inbox knows its key
            log.info("ack_lost", error=type(error).__name__)
        failpoint("inbox.acked")

    async def shut(self, limit: timedelta) -> None:
        """Closes everything, whatever state it is in; no task and no socket is left."""
        self.closed, self.auto_reconnect_enabled = True, False
        try:
            await self._hang_up(limit)
        finally:
            await self.aiohttp_client_session.close()

    async def _hang_up(self, limit: timedelta) -> None:
        try:
            async with asyncio.timeout(limit.total_seconds()):
                await self.disconnect()
        except Exception as error:  # a connection that cannot be closed politely is dropped
            log.debug("connection_dropped", error=type(error).__name__)
        tasks = [self.message_processor, self.current_session_monitor, self.message_receiver]
        running = [task for task in tasks if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def register(app: AsyncApp, intake: Intake) -> None:
    """The global middleware that stores and acks events, and the slash and shortcut doors."""

    async def keep(
        body: dict[str, Any],
        ack: AsyncAck,
        context: AsyncBoltContext,
        next: Callable[[], Awaitable[Any]],  # Bolt hands it over by this name
    ) -> BoltResponse | None:
        event = intake.read(body)
        slash = "command" in body and "type" not in body
        if isinstance(event, Unreadable):
            lost = await intake.accept(event)
            if slash:
                return await ack(text=not_saved(lost) if lost else not_read(event.ref), response_type="ephemeral")
            return BoltResponse(status=503) if lost else await ack()
        if slash or body.get("type") in INTERACTIONS:
            context[EVENT] = event
            return await next()
        if event is not None and await intake.accept(event):
            return BoltResponse(status=503)
        return await ack()

    async def slash(ack: AsyncAck, context: AsyncBoltContext) -> None:
        lost = await intake.accept(context[EVENT])
        if lost:
            await ack(text=not_saved(lost), response_type="ephemeral")
        else:
            await ack()

    async def shortcut(ack: AsyncAck, context: AsyncBoltContext) -> None:
        await forward(intake, ack, context[EVENT])

    anything = re.compile(".*", re.DOTALL)
    app.middleware(keep)
    app.command(anything)(slash)
    app.shortcut(anything)(shortcut)


async def forward(intake: Intake, ack: AsyncAck, event: Event | None) -> None:
    """Stores an interaction, then acks it; the person is told privately when it could not be stored."""
    lost = await intake.accept(event) if event is not None else None
    if lost:
        intake.tell(event, not_saved(lost))
    await ack()


async def respond(client: AsyncWebClient, url: str, answer: dict[str, Any]) -> None:
    """Posts to a `response_url`. Raises `WebhookRefused` when Slack does not take it, ValueError for a foreign host."""
    if not is_ours(url, client.base_url):
        raise ValueError("a response_url that is not Slack's")
    hook = AsyncWebhookClient(url, session=client.session, retry_handlers=[], logger=sdk_log, ssl=client.ssl)
    hook.proxy = client.proxy
    answered = await hook.send_dict(answer)
    if answered.status_code != 200 or answered.body.startswith('{"ok":false'):
        raise WebhookRefused(answered.status_code)


def is_ours(url: str, base_url: str) -> bool:
    """Whether an address that a payload named belongs to Slack, or to the server we were told to use."""
    found, base = urlsplit(url), urlsplit(base_url)
    host = found.hostname or ""
    if (found.scheme, found.netloc) == (base.scheme, base.netloc):
        return True
    return found.scheme == "https" and host.endswith((".slack.com", ".slack-gov.com"))
