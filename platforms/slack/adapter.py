"""The Slack platform on the real SDK: preflight, connection with supervision, and everything sent."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.cards import Card, Content, Doc
from bot.core.inbound import Gap, MessageRef, Person, ReplyToken, ThreadRef
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
from platforms.slack import buttons, commands
from platforms.slack.cards import Rendered, render
from platforms.slack.commands import Connection, Intake, log, respond, sdk_log
from platforms.slack.errors import AUTH_FIX, is_already_so, refuses_blocks, trouble_of
from platforms.slack.inbound import DELIVERY_EVENT, Me, parse_body, read_past, verify_signature
from platforms.slack.settings import SlackSettings
from platforms.slack.setup import missing_scopes

T = TypeVar("T")
Sending = Callable[[Rendered], Awaitable[T]]

_TROUBLE: Final = (Retry, Gone, NotAllowed, AuthFailed, Unsendable)
MARKS: Final = {"seen": "eyes", "done": "white_check_mark", "idea": "bulb"}
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
PERSON_LIFE: Final = timedelta(minutes=10)
"""How long a person's name and roles are remembered (ours)."""
PAGE: Final = 200
MAX_PAGES: Final = 50
UNIDENTIFIED: Final = Retry(timedelta(seconds=1), why="not identified yet")
"""Until `auth.test` has told who the bot is, its own messages cannot be told from other people's."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Intervals of the supervision (platforms.md 1.7; `tick`, `drain` ours). Tests shorten them."""

    connect: timedelta = timedelta(seconds=10)
    ping: timedelta = timedelta(seconds=5)
    first_backoff: timedelta = timedelta(seconds=1)
    longest_backoff: timedelta = timedelta(minutes=5)
    steady: timedelta = timedelta(seconds=60)
    deaf_after: timedelta = timedelta(minutes=10)
    deaf_age: timedelta = timedelta(seconds=60)
    tick: timedelta = timedelta(seconds=1)
    drain: timedelta = timedelta(seconds=2)
    rebuilds: int = 3


def create(settings: SlackSettings, clock: Clock) -> "SlackPlatform":
    """The Slack platform, not yet connected. Call within the event loop that will run it."""
    return SlackPlatform(settings, clock)


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value().strip() if value else ""


@dataclass(frozen=True, slots=True)
class _Checked:
    identity: Identity
    url: str


@dataclass(frozen=True, slots=True)
class _Ended:
    """Why a connection ended. `since`: from when on events may have been missed."""

    why: str
    since: datetime
    steady: bool = False
    heard: bool = False
    deaf: bool = False


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
        self._writer = self._client(_secret(settings.slack_bot_token) or None, [])
        self._reader = self._client(self._writer.token, [AsyncRateLimitErrorRetryHandler(max_retry_count=1)])
        parts = (commands.register, buttons.register)
        self.intake = Intake(clock, self._client(None, []), self._answer, self._show, self._language, parts)
        self._health = Health("starting")
        self._plain_plans: set[str] = set()
        self._people: dict[str, tuple[datetime, Person]] = {}
        self._threads_with_replies: set[tuple[str, str]] = set()

    def _client(self, token: str | None, retry_handlers: list[Any]) -> AsyncWebClient:
        client = AsyncWebClient(token=token, base_url=self._url, logger=sdk_log, retry_handlers=retry_handlers)
        if urlsplit(self._url).hostname in LOOPBACK:
            client.proxy = None  # the SDK takes HTTPS_PROXY for every host
        return client

    def _open_session(self) -> None:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))
            self._writer.session = self._reader.session = self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def health(self) -> Health:
        known = self._health
        return Health(known.state, self.intake.last_inbound_at, known.last_error, known.reconnects)

    def _note(self, state: Any = None, error: str | None = None, reconnects: int = 0) -> None:
        known = self._health
        said = known.last_error if error is None else error
        self._health = Health(state or known.state, None, said, known.reconnects + reconnects)

    # --- Preflight ----------------------------------------------------------------------------------------------------

    async def preflight(self) -> Identity | AuthFailed | NotAllowed:
        match await self._check():
            case _Checked(identity=identity):
                return identity
            case Retry(why=why):
                return NotAllowed(f"Slack could not be reached at {self._url}; check the network and the address.", why)
            case Gone(why=why) | Unsendable(why=why):
                return NotAllowed(f"Slack refused the check ({why}).", why)
            case trouble:
                return trouble

    async def _check(self) -> _Checked | Trouble:
        """Token, scopes and transport, in 10 s. In Socket Mode this also yields the address to connect to."""
        refusal = self._check_settings()
        if refusal is not None:
            return refusal
        try:
            async with asyncio.timeout(self._timings.connect.total_seconds()):
                told = await self._attempt(lambda: self._writer.auth_test())
                if isinstance(told, _TROUBLE):
                    return told
                identity = await self._identify(told)
                missing = missing_scopes(identity.granted) if identity.granted else ()
                if missing:
                    fix = f"Add the scopes {', '.join(missing)} to the Slack app and reinstall it to the workspace."
                    return NotAllowed(fix, "missing_scope")
                url = await self._open_url() if self._settings.codetask_slack_transport == "socket" else ""
                return url if isinstance(url, _TROUBLE) else _Checked(identity, url)
        except TimeoutError:
            return Retry(self._timings.first_backoff, why="no answer in time")

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
        bot = None if isinstance(found, _TROUBLE) else found.get("bot")
        return str(bot.get("app_id") or "") if isinstance(bot, Mapping) else ""

    async def _open_url(self) -> str | Trouble:
        token = _secret(self._settings.slack_app_token)
        opened = await self._attempt(lambda: self._writer.apps_connections_open(app_token=token))
        if isinstance(opened, _TROUBLE):
            return opened
        url = str(opened["url"])
        return url if is_safe(url, "wss") else Unsendable("Slack named an unsafe address for Socket Mode")

    # --- Running ------------------------------------------------------------------------------------------------------

    async def run(self, inbox: Inbox, stop: asyncio.Event) -> Fatal | None:
        self.intake.inbox = inbox
        try:
            fatal = await self._supervise(stop)
        finally:
            await self.intake.drain(self._timings.drain)
            self.intake.inbox = None
        if fatal is not None:
            log.error("platform_failed", platform="slack", why=fatal.why, fix=fatal.fix)
            self._note("failed", fatal.why)
        return fatal

    async def _supervise(self, stop: asyncio.Event) -> Fatal | None:
        """Connects again and again, with growing pauses, until told to stop or refused for good."""
        since, failures, deaf = self._clock.now(), 0, 0
        checked = await _until(stop, self._check())
        while checked is not None:
            match checked:
                case _Checked(url=url):
                    ended = await (self._connected(url, since, stop) if url else self._watch(None, since, stop))
                    if isinstance(ended, Fatal) or stop.is_set():
                        return ended if isinstance(ended, Fatal) else None
                    failures = 0 if ended.steady else failures + 1
                    deaf = deaf + 1 if ended.deaf else (0 if ended.heard else deaf)
                    since = ended.since
                    if deaf >= self._timings.rebuilds:
                        return Fatal("connected, but Slack delivers no events", "Look for another process of this app.")
                    self._note("deaf" if ended.deaf else "reconnecting", ended.why, reconnects=1)
                case Retry(why=why):
                    failures += 1
                    self._note("reconnecting", why)
                case AuthFailed(fix=fix, why=why) | NotAllowed(fix=fix, why=why):
                    return Fatal(f"Slack refused: {why}", fix)
                case Gone(why=why) | Unsendable(why=why):
                    return Fatal(f"Slack refused: {why}", AUTH_FIX)
            await _until(stop, asyncio.sleep(self._pause(failures, checked)))
            checked = await _until(stop, self._check())
        return None

    def _pause(self, failures: int, checked: object) -> float:
        """Seconds before the next attempt: none after a steady time, then doubling, ±20 %, never before Retry-After."""
        first, longest = self._timings.first_backoff.total_seconds(), self._timings.longest_backoff.total_seconds()
        if failures == 0:
            return 0.0
        wait = min(first * 2 ** min(failures - 1, 30), longest) * random.uniform(0.8, 1.2)
        return max(wait, checked.after.total_seconds()) if isinstance(checked, Retry) else wait

    async def _connected(self, url: str, since: datetime, stop: asyncio.Event) -> _Ended | Fatal:
        """One Socket Mode connection from its opening to its end. A new client and session each time, closed here."""
        socket = Connection(_secret(self._settings.slack_app_token), self._writer, self._timings.ping, self.intake)
        try:
            opened = await _until(stop, socket.open(url, self._timings.connect))
            if not opened:
                return _Ended("Slack did not greet in time", since)
            return await self._watch(socket, since, stop)
        finally:
            await self.intake.drain(self._timings.drain)
            await socket.shut(self._timings.tick)

    async def _watch(self, socket: Connection | None, since: datetime, stop: asyncio.Event) -> _Ended | Fatal:
        """Stays until the connection is lost, Slack falls silent although there were messages, or `stop`."""
        began, connected_at, asked_at = asyncio.get_running_loop().time(), self._clock.now(), self._clock.now()
        gap: datetime | None = since
        why, deaf = "", False
        self._note("ready", "")
        while not (stop.is_set() or why):
            if gap is not None and await self._report_gap(gap):
                gap = None
            last = self.intake.last_inbound_at or connected_at
            if self.intake.revoked.is_set() or self._clock.now() - max(last, asked_at) >= self._timings.deaf_after:
                asked_at = self._clock.now()
                probed = await _until(stop, self._probe(max(last, connected_at)))
                if isinstance(probed, Fatal):
                    return probed
                deaf = bool(probed) and socket is not None
                why = "connected, but no events arrive" if deaf else ""
                if probed and socket is None:  # a webhook that nobody reaches: nothing to rebuild, but much to read
                    gap = max(last, connected_at)
            elif await _until(stop, self._lost(socket)):
                why = "the connection was lost"
        heard = self.intake.last_inbound_at
        heard = heard if heard and heard >= connected_at else None
        steady = asyncio.get_running_loop().time() - began >= self._timings.steady.total_seconds()
        return _Ended(why, gap or heard or connected_at, steady and not deaf, heard is not None, deaf)

    async def _lost(self, socket: Connection | None) -> bool:
        if socket is not None:
            return await socket.lost_within(self._timings.tick)
        await asyncio.sleep(self._timings.tick.total_seconds())
        return False

    async def _report_gap(self, since: datetime) -> bool:
        """Tells the backfill to read again from `since`. False when it could not be stored: ask again later."""
        me, now = self.intake.me, self._clock.now()
        if me is None:
            return False
        key = f"{me.app_id}:o:gap:{now.isoformat()}"
        gap = Gap(
            platform="slack",
            app_id=me.app_id,
            workspace_id=me.workspace_id,
            key=key,
            sent_at=now,
            received_at=now,
            since=since,
        )
        return await self.intake.accept(gap) is None

    async def _probe(self, since: datetime) -> bool | Fatal:
        """Whether messages were posted that never arrived here. Fatal when the token is no longer good."""
        self.intake.revoked.clear()
        told = await self._attempt(lambda: self._writer.auth_test())
        if isinstance(told, AuthFailed):
            return Fatal(f"Slack refused: {told.why}", told.fix)
        if isinstance(told, _TROUBLE):
            return False
        latest = self._clock.now() - self._timings.deaf_age
        for channel in list(self.intake.channels)[-10:] or await self._some_channels():
            scope = ThreadRef(platform="slack", workspace_id=str(told["team_id"]), channel_id=channel)
            found = await self.history(scope, since, PAGE)
            if isinstance(found, _TROUBLE):
                continue
            if any(
                past.event and past.message.person.kind == "human" and since < past.message.sent_at <= latest
                for past in found
            ):
                return True
        return False

    async def _some_channels(self) -> list[str]:
        joined = await self.channels()
        return [] if isinstance(joined, _TROUBLE) else [scope.channel_id for scope in joined[:10]]

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
        self._open_session()
        try:
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
        if not isinstance(again, _TROUBLE):
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
        if isinstance(sent, _TROUBLE):
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
        return sent if isinstance(sent, _TROUBLE) else message

    async def react(self, message: MessageRef, mark: str, on: bool, key: str) -> MessageRef | Trouble:
        call = self._writer.reactions_add if on else self._writer.reactions_remove
        self._open_session()
        try:
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
        thread_ts = to.root if to.root and await self._has_replies(to.channel_id, to.root) else None
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
        return told if isinstance(told, _TROUBLE) else MessageRef(thread=to, message_id=str(told["message_ts"]))

    async def _write_to(self, person: Person, doc: Doc, key: str) -> MessageRef | Trouble:
        """A direct message: the last way to reach someone whose channel or thread is gone."""
        opened = await self._attempt(lambda: self._writer.conversations_open(users=person.id))
        if isinstance(opened, _TROUBLE):
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
        if isinstance(opened, _TROUBLE):
            log.info("form_not_opened", trouble=type(opened).__name__, why=getattr(opened, "why", ""))
        return not isinstance(opened, _TROUBLE)

    async def _language(self, person: Person) -> str:
        told = await self.resolve(person)
        return (told.locale if isinstance(told, Person) else None) or SOURCE_LANGUAGE

    async def _has_replies(self, channel: str, root: str) -> bool:
        """An ephemeral message in a thread without replies is accepted by Slack, but never shown."""
        if (channel, root) in self._threads_with_replies:
            return True
        found = await self._attempt(lambda: self._reader.conversations_replies(channel=channel, ts=root, limit=2))
        has = not isinstance(found, _TROUBLE) and len(found.get("messages") or []) > 1
        if has:
            self._threads_with_replies = {*list(self._threads_with_replies)[-999:], (channel, root)}
        return has

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> list[Posted] | Trouble:
        me, now = self.intake.me, self._clock.now()
        if me is None:
            return UNIDENTIFIED
        raw: list[Mapping[str, Any]] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._page(scope, after, cursor)
            if isinstance(page, _TROUBLE):
                return page
            raw += page.get("messages") or []
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor or (after is None and scope.root is None and len(raw) >= limit):
                break
        found = [past for message in raw if (past := read_past(message, scope.channel_id, me, now))]
        found.sort(key=lambda past: (past.message.sent_at, past.message.message_id))
        return found[-limit:] if after is None else found[:limit]

    async def channels(self) -> list[ThreadRef] | Trouble:
        me, cursor = self.intake.me, ""
        if me is None:
            return UNIDENTIFIED
        joined: list[ThreadRef] = []
        for _ in range(MAX_PAGES):
            asked = {"types": "public_channel,private_channel", "exclude_archived": True, "limit": PAGE}
            more = {"cursor": cursor} if cursor else {}
            page = await self._attempt(lambda: self._reader.conversations_list(**asked, **more))  # noqa: B023
            if isinstance(page, _TROUBLE):
                return page
            ids = [str(channel["id"]) for channel in page.get("channels") or [] if channel.get("is_member")]
            joined += [ThreadRef(platform="slack", workspace_id=me.workspace_id, channel_id=id) for id in ids]
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break
        return joined

    async def _page(self, scope: ThreadRef, after: datetime | None, cursor: str | None) -> Any:
        asked: dict[str, Any] = {"channel": scope.channel_id, "limit": PAGE, "include_all_metadata": True}
        if after is not None:
            asked["oldest"] = f"{int(after.timestamp())}.{after.microsecond:06d}"
        if cursor:
            asked["cursor"] = cursor
        if scope.root is None:
            return await self._attempt(lambda: self._reader.conversations_history(**asked))
        root = scope.root
        return await self._attempt(lambda: self._reader.conversations_replies(ts=root, **asked))

    async def permalink(self, message: MessageRef) -> str | None:
        channel, ts = message.thread.channel_id, message.message_id
        found = await self._attempt(lambda: self._reader.chat_getPermalink(channel=channel, message_ts=ts))
        return None if isinstance(found, _TROUBLE) else str(found["permalink"])

    async def resolve(self, person: Person) -> Person | Retry:
        if person.kind in ("bot", "webhook"):
            return person
        now = self._clock.now()
        known = self._people.get(person.id)
        if known is None or known[0] <= now:
            found = await self._attempt(lambda: self._reader.users_info(user=person.id, include_locale=True))
            user = None if isinstance(found, _TROUBLE) else found.get("user")
            if not isinstance(user, Mapping):
                passing = found if isinstance(found, Retry) else _until_trusted(found)
                return known[1] if known else passing or person
            known = (now + PERSON_LIFE, describe(person, user))
            self._people = {**dict(list(self._people.items())[-4999:]), person.id: known}
        kind = person.kind if person.kind == "external" else known[1].kind
        return known[1].model_copy(update={"workspace_id": person.workspace_id, "kind": kind})


def _until_trusted(trouble: object) -> Retry | None:
    """Refused credentials say nothing about a person: ask again with better ones."""
    return Retry(timedelta(seconds=1), why=trouble.why) if isinstance(trouble, AuthFailed) else None


def describe(person: Person, user: Mapping[str, Any]) -> Person:
    """A person as `users.info` describes them."""
    given = user.get("profile")
    profile: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    roles = {"member"} if not (user.get("is_restricted") or user.get("is_ultra_restricted")) else set[str]()
    roles |= {"owner"} if user.get("is_owner") or user.get("is_primary_owner") else set[str]()
    roles |= {"admin"} if user.get("is_admin") else set[str]()
    team = user.get("team_id")
    kind = person.kind
    if user.get("is_bot") or user.get("id") == "USLACKBOT":
        kind, roles = "bot", set[str]()
    elif user.get("is_stranger") or (isinstance(team, str) and team.startswith("T") and team != person.workspace_id):
        kind, roles = "external", set[str]()
    elif "member" not in roles:
        kind = "guest"
    name = profile.get("display_name") or user.get("real_name") or user.get("name") or person.name
    told = {
        "name": str(name),
        "kind": kind,
        "roles": frozenset(roles),
        "locale": user.get("locale"),
        "timezone": user.get("tz"),
    }
    return Person.model_validate({**person.model_dump(), **told})


def is_safe(url: str, scheme: str) -> bool:
    """Whether an address is encrypted (`https`, `wss`), or at least stays on this machine."""
    parts = urlsplit(url)
    return parts.scheme == scheme or (parts.scheme == scheme[:-1] and parts.hostname in LOOPBACK)


async def _until(stop: asyncio.Event, work: "Coroutine[Any, Any, T]") -> T | None:
    """The result of `work`; None as soon as `stop` is set: `work` is then cancelled and gone."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for left in (task, stopped):
            left.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)
