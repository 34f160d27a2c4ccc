"""The Lark (Feishu) platform: preflight, connection with supervision, webhooks, and everything sent.

The SDK serves the long connection alone (connection.py); REST goes through our own client (rest.py).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import SecretStr

from bot.core.cards import Content, Doc
from bot.core.inbound import MessageRef, Person, ReplyToken, ThreadRef
from bot.ports import (
    AuthFailed,
    Capabilities,
    Clock,
    Fatal,
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
from platforms.lark.commands import Answer, Intake, log
from platforms.lark.connection import Connection
from platforms.lark.errors import trouble_of
from platforms.lark.inbound import Me, decrypt, is_callback, is_genuine, is_unsigned, verify_signature
from platforms.lark.reading import TROUBLE, Reader
from platforms.lark.rest import Json, LarkApi
from platforms.lark.sending import Writer
from platforms.lark.settings import LarkSettings
from platforms.lark.setup import SENSITIVE_FIX, SENSITIVE_SCOPE, missing_scopes
from platforms.lark.supervision import Checked, LarkLine, Timings
from platforms.supervision import Supervision, in_time, noted, preflight_answer


def create(settings: LarkSettings, clock: Clock) -> "LarkPlatform":
    """The Lark platform, not yet connected. Call within the event loop that will run it."""
    return LarkPlatform(settings, clock)


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value().strip() if value else ""


class LarkPlatform:
    """`bot.ports.Platform` for one app of one tenant."""

    name = "lark"
    capabilities = Capabilities(
        slash=False,
        slash_in_thread=False,
        forms=False,
        whisper=True,
        activity=False,
        sees_all_messages=False,  # in groups only with the sensitive scope: `_identify` asks
        max_text=26_000,
        max_buttons=10,
        edit_window=timedelta(days=13),
        tells_edits=False,
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

    def _note(self, *told: Any, **more: Any) -> None:
        self._health = noted(self._health, *told, **more)

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
                self.intake.revoked.set()  # the supervision asks once more, and gives up if it is so
            if isinstance(trouble, Unsendable):
                log.error("lark_refused_request", code=trouble.why, message=str(getattr(error, "message", ""))[:300])
            return trouble

    # --- Preflight ----------------------------------------------------------------------------------------------------

    async def preflight(self) -> Identity | AuthFailed | NotAllowed:
        return preflight_answer(await self._check(), "Lark", self._url)

    async def _check(self) -> Checked | Trouble:
        """Credentials, the bot, scopes and transport, in 10 s. For the long connection also where to connect."""
        return self._check_settings() or await in_time(self._timings, self._look())

    async def _look(self) -> Checked | Trouble:
        identity = await self._identify()
        if isinstance(identity, TROUBLE):
            return identity
        missing = missing_scopes(identity.granted) if identity.granted else ()
        if missing:
            fix = f"Grant the app {', '.join(missing)} (Permissions & Scopes) and publish a version."
            return NotAllowed(fix, "99991672")
        if self._settings.codetask_lark_transport == "webhook":
            return Checked(identity, {})
        endpoint = await self._attempt(self.api.endpoint)
        if not isinstance(endpoint, TROUBLE) and not is_safe(str(endpoint["URL"]), "wss"):
            return Unsendable("Lark named an unsafe address for the long connection")
        return endpoint if isinstance(endpoint, TROUBLE) else Checked(identity, endpoint)

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
        sees = SENSITIVE_SCOPE in self._granted
        self.capabilities = replace(self.capabilities, sees_all_messages=sees)
        less = SENSITIVE_FIX if self._granted and not sees else ""
        name = str(bot.get("app_name") or "")
        return Identity("lark", me.app_id, me.workspace_id, open_id, name, self._granted, less)

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
        line = LarkLine(self.intake, self._reader, self._check, self._connection, lambda: self._granted, self._timings)
        return await Supervision(line, self._clock, self._timings, self._note).run(inbox, stop)

    def _connection(self, endpoint: Json) -> Connection:
        return Connection(self.intake, self._app_id, endpoint, self._timings.ping)

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

    async def read(self, message: MessageRef) -> Posted | Trouble:
        return await self._reader.read(message)

    async def channels(self) -> list[ThreadRef] | Trouble:
        return await self._reader.channels()

    async def permalink(self, message: MessageRef) -> str | None:
        return self._reader.permalink(message)

    async def channel_name(self, thread: ThreadRef) -> str:
        return await self._reader.names.name(thread.channel_id)

    async def resolve(self, person: Person) -> Person | Retry:
        return await self._reader.resolve(person)


def _said(body: dict[str, Any]) -> HttpAnswer:
    return HttpAnswer(200, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), JSON_HEADERS)


JSON_HEADERS: Final = {"content-type": "application/json; charset=utf-8"}
