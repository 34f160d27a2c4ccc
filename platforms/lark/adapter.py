"""The Lark (Feishu) platform: preflight, connection with supervision, webhooks, and everything sent.

The SDK serves the long connection alone (connection.py); REST goes through our own client (rest.py).
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from pydantic import SecretStr

from bot.core.cards import Content, Doc
from bot.core.inbound import Gap, MessageRef, Person, ReplyToken, ThreadRef
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
from platforms.lark.commands import Answer, Intake, log
from platforms.lark.connection import Connection
from platforms.lark.errors import AUTH_FIX, trouble_of
from platforms.lark.inbound import Me, decrypt, is_callback, is_genuine, is_unsigned, verify_signature
from platforms.lark.reading import TROUBLE, Reader
from platforms.lark.rest import Json, LarkApi, is_safe
from platforms.lark.sending import Writer
from platforms.lark.settings import LarkSettings
from platforms.lark.setup import SENSITIVE_SCOPE, missing_scopes

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timings:
    """Intervals of the supervision (platforms.md 1.7; `tick`, `drain`, `hold` ours). Tests shorten them.

    `hold`: how long a button press waits for what the core whispers; Lark gives 3 s, storing takes its part."""

    connect: timedelta = timedelta(seconds=10)
    ping: timedelta = timedelta(seconds=20)
    first_backoff: timedelta = timedelta(seconds=1)
    longest_backoff: timedelta = timedelta(minutes=5)
    steady: timedelta = timedelta(seconds=60)
    deaf_after: timedelta = timedelta(minutes=10)
    deaf_age: timedelta = timedelta(seconds=60)
    tick: timedelta = timedelta(seconds=1)
    drain: timedelta = timedelta(seconds=2)
    hold: timedelta = timedelta(milliseconds=400)
    rebuilds: int = 3


def create(settings: LarkSettings, clock: Clock) -> "LarkPlatform":
    """The Lark platform, not yet connected. Call within the event loop that will run it."""
    return LarkPlatform(settings, clock)


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value().strip() if value else ""


@dataclass(frozen=True, slots=True)
class _Checked:
    identity: Identity
    endpoint: Json


@dataclass(frozen=True, slots=True)
class _Ended:
    """Why a connection ended. `since`: from when on events may have been missed."""

    why: str
    since: datetime
    steady: bool = False
    heard: bool = False
    deaf: bool = False


class LarkPlatform:
    """`bot.ports.Platform` for one app of one tenant."""

    name = "lark"
    capabilities = Capabilities(
        slash=False,
        slash_in_thread=False,
        forms=False,
        whisper=True,
        activity=False,
        sees_all_messages=False,  # in groups only with the sensitive scope
        max_text=26_000,
        max_buttons=10,
        edit_window=timedelta(days=13),
        idempotent_post=True,
        exclusive_ingress=False,
        every_language=True,
        post_interval=timedelta(milliseconds=250),
    )

    def __init__(self, settings: LarkSettings, clock: Clock, timings: Timings | None = None) -> None:
        self._settings, self._clock, self._timings = settings, clock, timings or Timings()
        self._url, self._app_id = settings.codetask_lark_api_url.rstrip("/"), settings.lark_app_id.strip()
        self.api = LarkApi(self._url, self._app_id, _secret(settings.lark_app_secret), clock)
        self.intake = Intake(clock, self._timings.hold)
        self._reader = Reader(self.api, self._attempt, lambda: self.intake.me, clock)
        self._writer = Writer(self.api, self._attempt, self._reader, self.intake.presses, clock)
        self._health = Health("starting")
        self._granted: frozenset[str] = frozenset()

    async def aclose(self) -> None:
        await self.api.aclose()

    def health(self) -> Health:
        known = self._health
        return Health(known.state, self.intake.last_inbound_at, known.last_error, known.reconnects)

    def _note(self, state: Any = None, error: str | None = None, reconnects: int = 0) -> None:
        known = self._health
        said = known.last_error if error is None else error
        self._health = Health(state or known.state, None, said, known.reconnects + reconnects)

    async def _attempt(self, call: Callable[[], Awaitable[Json]]) -> Json | Trouble:
        """The answer of one call, or what its failure means. A bug of ours is raised."""
        try:
            return await call()
        except Exception as error:  # sorted right here; what is not Lark's or the network's goes on up
            trouble = trouble_of(error)
            if trouble is None:
                raise
            if isinstance(trouble, AuthFailed):
                self._note(error=f"Lark refused: {trouble.why}")
                self.intake.refused.set()  # the supervision asks once more, and gives up if it is so
            if isinstance(trouble, Unsendable):
                log.error("lark_refused_request", code=trouble.why, message=str(getattr(error, "message", ""))[:300])
            return trouble

    # --- Preflight ----------------------------------------------------------------------------------------------------

    async def preflight(self) -> Identity | AuthFailed | NotAllowed:
        match await self._check():
            case _Checked(identity=identity):
                return identity
            case Retry(why=why):
                return NotAllowed(f"Lark could not be reached at {self._url}; check the network and the address.", why)
            case Gone(why=why) | Unsendable(why=why):
                return NotAllowed(f"Lark refused the check ({why}).", why)
            case trouble:
                return trouble

    async def _check(self) -> _Checked | Trouble:
        """Credentials, the bot, scopes and transport, in 10 s. For the long connection also where to connect."""
        refusal = self._check_settings()
        if refusal is not None:
            return refusal
        try:
            async with asyncio.timeout(self._timings.connect.total_seconds()):
                identity = await self._identify()
                if isinstance(identity, TROUBLE):
                    return identity
                missing = missing_scopes(identity.granted) if identity.granted else ()
                if missing:
                    fix = f"Grant the app {', '.join(missing)} (Permissions & Scopes) and publish a version."
                    return NotAllowed(fix, "99991672")
                if self._settings.codetask_lark_transport == "webhook":
                    return _Checked(identity, {})
                endpoint = await self._attempt(self.api.endpoint)
                if not isinstance(endpoint, TROUBLE) and not is_safe(str(endpoint["URL"]), "wss"):
                    return Unsendable("Lark named an unsafe address for the long connection")
                return endpoint if isinstance(endpoint, TROUBLE) else _Checked(identity, endpoint)
        except TimeoutError:
            return Retry(self._timings.first_backoff, why="no answer in time")

    def _check_settings(self) -> AuthFailed | NotAllowed | None:
        settings = self._settings
        if not is_safe(self._url, "https"):
            return NotAllowed("CODETASK_LARK_API_URL must start with https:// (http:// only on this machine).", "url")
        if not self._app_id or not _secret(settings.lark_app_secret):
            return AuthFailed(
                "Set LARK_APP_ID (cli_…) and LARK_APP_SECRET to the credentials of your app.", "no_secret"
            )
        if settings.codetask_lark_transport == "webhook":
            if not _secret(settings.lark_encrypt_key):
                return AuthFailed("Set LARK_ENCRYPT_KEY; webhooks are neither read nor trusted without it.", "no_key")
            if not _secret(settings.lark_verification_token):
                return AuthFailed("Set LARK_VERIFICATION_TOKEN; the webhook needs it to trust events.", "no_token")
        return None

    async def _identify(self) -> Identity | Trouble:
        told = await self._reader.get("/open-apis/bot/v3/info")
        if isinstance(told, TROUBLE):
            return told
        given = told.get("bot")
        bot: Json = given if isinstance(given, Mapping) else {}
        open_id = str(bot.get("open_id") or "")
        if not open_id:
            return NotAllowed("Turn on the Bot feature of the app (Add Features, Bot) and publish a version.", "no_bot")
        self._granted, tenant = await asyncio.gather(self._scopes(), self._tenant())
        if isinstance(tenant, Retry):
            return tenant
        me = Me(self._app_id, tenant, open_id)
        self.intake.me = me
        return Identity("lark", me.app_id, me.workspace_id, open_id, str(bot.get("app_name") or ""), self._granted)

    async def _scopes(self) -> frozenset[str]:
        """What the app was granted; empty where Lark does not tell."""
        told = await self._reader.get("/open-apis/application/v6/scopes")
        listed = None if isinstance(told, TROUBLE) else told.get("scopes")
        entries = [entry for entry in listed or [] if isinstance(entry, Mapping) and entry.get("grant_status") == 1]
        return frozenset(str(entry.get("scope_name")) for entry in entries)

    async def _tenant(self) -> str | Retry:
        """The tenant's key. Nothing tells it directly: the bot's own groups do, later the first event does.

        Lark has to be asked again when it cannot tell now: what is read back without the tenant is stored twice."""
        if self.intake.me and self.intake.me.workspace_id:
            return self.intake.me.workspace_id
        chats = await self._reader.chats()
        if isinstance(chats, Retry):
            return chats
        own = [] if isinstance(chats, TROUBLE) else [chat for chat in chats if not chat.get("external")] or list(chats)
        return next((str(chat["tenant_key"]) for chat in own if chat.get("tenant_key")), "")

    # --- Running ------------------------------------------------------------------------------------------------------

    async def run(self, inbox: Inbox, stop: asyncio.Event) -> Fatal | None:
        self.intake.inbox = inbox
        try:
            fatal = await self._supervise(stop)
        finally:
            await self.intake.drain(self._timings.drain)
            self.intake.inbox = None
        if fatal is not None:
            log.error("platform_failed", platform="lark", why=fatal.why, fix=fatal.fix)
            self._note("failed", fatal.why)
        return fatal

    async def _supervise(self, stop: asyncio.Event) -> Fatal | None:
        """Connects again and again, with growing pauses, until told to stop or refused for good."""
        since, failures, deaf = self._clock.now(), 0, 0
        checked = await _until(stop, self._check())
        while checked is not None:
            match checked:
                case _Checked(endpoint=endpoint):
                    ended = await (
                        self._connected(endpoint, since, stop) if endpoint else self._watch(None, since, stop)
                    )
                    if isinstance(ended, Fatal) or stop.is_set():
                        return ended if isinstance(ended, Fatal) else None
                    failures = 0 if ended.steady else failures + 1
                    deaf = deaf + 1 if ended.deaf else (0 if ended.heard else deaf)
                    since = ended.since
                    if deaf >= self._timings.rebuilds:
                        return Fatal("connected, but Lark delivers no events", "Look for another process of this app.")
                    self._note("deaf" if ended.deaf else "reconnecting", ended.why, reconnects=1)
                case Retry(why=why):
                    failures += 1
                    self._note("reconnecting", why)
                case AuthFailed(fix=fix, why=why) | NotAllowed(fix=fix, why=why):
                    return Fatal(f"Lark refused: {why}", fix)
                case Gone(why=why) | Unsendable(why=why):
                    return Fatal(f"Lark refused: {why}", AUTH_FIX)
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

    async def _connected(self, endpoint: Json, since: datetime, stop: asyncio.Event) -> _Ended | Fatal:
        """One long connection from its opening to its end. A new client each time, closed here."""
        socket = Connection(self.intake, self._app_id, endpoint, self._timings.ping)
        try:
            refused = await _until(stop, socket.open(self._timings.connect))
            if refused or refused is None:
                return _Ended(refused or "stopped", since)
            return await self._watch(socket, since, stop)
        finally:
            await self.intake.drain(self._timings.drain)
            await socket.shut(self._timings.tick)

    async def _watch(self, socket: Connection | None, since: datetime, stop: asyncio.Event) -> _Ended | Fatal:
        """Stays until the connection is lost, Lark falls silent although there were messages, or `stop`."""
        began, connected_at, asked_at = asyncio.get_running_loop().time(), self._clock.now(), self._clock.now()
        gap: datetime | None = since
        why, deaf = "", False
        self._note("ready", "")
        while not (stop.is_set() or why):
            if gap is not None and await self._report_gap(gap):
                gap = None
            last = self.intake.last_inbound_at or connected_at
            if self.intake.refused.is_set() or self._clock.now() - max(last, asked_at) >= self._timings.deaf_after:
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
        gap = Gap(
            platform="lark",
            app_id=me.app_id,
            workspace_id=me.workspace_id,
            key=f"{me.app_id}:o:gap:{now.isoformat()}",
            sent_at=now,
            received_at=now,
            since=since,
        )
        return await self.intake.accept(gap) is None

    async def _probe(self, since: datetime) -> bool | Fatal:
        """Whether messages were posted that never arrived here. Fatal when the credentials are no longer good."""
        self.intake.refused.clear()
        told = await self._reader.get("/open-apis/bot/v3/info")
        if isinstance(told, AuthFailed):
            return Fatal(f"Lark refused: {told.why}", told.fix)
        me = self.intake.me
        if isinstance(told, TROUBLE) or me is None:
            return False
        since -= timedelta(milliseconds=1)  # Lark cuts its times to milliseconds
        latest = self._clock.now() - self._timings.deaf_age
        for chat in list(self.intake.channels)[-10:] or await self._some_channels():
            scope = ThreadRef(platform="lark", workspace_id=me.workspace_id, channel_id=chat)
            found = await self._reader.history(scope, since, 200)
            if not isinstance(found, TROUBLE) and any(self._unheard(past, since, latest) for past in found):
                return True
        return False

    def _unheard(self, past: Posted, since: datetime, latest: datetime) -> bool:
        """Whether a message should have arrived. Without the sensitive scope a group sends only mentions."""
        sent = past.event is not None and past.message.person.kind == "human" and since < past.message.sent_at <= latest
        mentioned = past.event is not None and past.event.kind == "command" and past.event.door == "mention"
        return sent and (SENSITIVE_SCOPE in self._granted or mentioned)

    async def _some_channels(self) -> list[str]:
        joined = await self._reader.channels()
        return [] if isinstance(joined, TROUBLE) else [scope.channel_id for scope in joined[:10]]

    # --- The webhook --------------------------------------------------------------------------------------------------

    async def receive(self, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        key = _secret(self._settings.lark_encrypt_key)
        if self._settings.codetask_lark_transport != "webhook" or not key:
            return HttpAnswer(404)
        refused = verify_signature(key, headers, body, self._clock.now())
        if refused is not None and not (refused == 401 and is_unsigned(headers)):
            return HttpAnswer(refused)
        payload = decrypt(key, body)
        if payload is None:
            return HttpAnswer(refused or 400)
        if not is_genuine(payload, _secret(self._settings.lark_verification_token)):
            return HttpAnswer(401)
        if payload.get("type") == "url_verification":
            return _said({"challenge": str(payload.get("challenge", ""))[:1000]})
        if refused is not None:
            return HttpAnswer(refused)
        answer = await self.intake.dispatch(payload)
        # Nothing tells when the answer is on the wire: a moment later it is.
        asyncio.get_running_loop().call_later(0.05, self.intake.done, answer)
        return self._http(answer, is_callback(payload))

    @staticmethod
    def _http(answer: Answer, callback: bool) -> HttpAnswer:
        if not answer.stored:
            return HttpAnswer(503)
        return _said({"toast": answer.body} if callback and answer.body else {})

    # --- The port: what is sent and read ------------------------------------------------------------------------------

    async def post(self, to: ThreadRef, content: Content, key: str) -> MessageRef | Trouble:
        return await self._writer.post(to, content, key)

    async def edit(self, message: MessageRef, content: Content, key: str) -> MessageRef | Trouble:
        return await self._writer.edit(message, content)

    async def react(self, message: MessageRef, mark: str, on: bool, key: str) -> MessageRef | Trouble:
        return await self._writer.react(message, mark, on)

    async def whisper(
        self, person: Person, to: ThreadRef, doc: Doc, reply_token: ReplyToken | None, key: str
    ) -> MessageRef | Trouble:
        return await self._writer.whisper(person, to, doc, reply_token, key)

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> list[Posted] | Trouble:
        return await self._reader.history(scope, after, limit)

    async def channels(self) -> list[ThreadRef] | Trouble:
        return await self._reader.channels()

    async def permalink(self, message: MessageRef) -> str | None:
        return self._reader.permalink(message)

    async def resolve(self, person: Person) -> Person | Retry:
        return await self._reader.resolve(person)


def _said(body: dict[str, Any]) -> HttpAnswer:
    return HttpAnswer(200, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), JSON_HEADERS)


JSON_HEADERS: Final = {"content-type": "application/json; charset=utf-8"}


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
