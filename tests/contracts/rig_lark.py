"""The suite's rig for Lark, over the long connection or webhooks."""

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from aiohttp import web

from bot.core.cards import Content
from bot.core.inbound import Door, Event, Person, ThreadRef
from bot.ports import Clock, Platform
from bot.settings import Settings
from platforms.lark.adapter import LarkPlatform
from platforms.lark.buttons import say as fixed_toast
from platforms.lark.cards import MAX_ELEMENT, render
from platforms.lark.inbound import Me, read
from platforms.lark.simulator import (
    BOTS_SCOPE,
    SENSITIVE_SCOPE,
    Attempt,
    Delivery,
    LarkSimulator,
    StoredMessage,
    Whisper,
    buttons,
    card_problem,
    encrypted_body,
    render_text,
    signed_headers,
    summary,
)
from platforms.lark.simulator.catalog import MAX_CARD_BYTES
from tests.contracts.replica import Replica
from tests.contracts.rig import (
    DEADLINE,
    BadSetup,
    Call,
    Edited,
    FaultKind,
    Post,
    Request,
    Rig,
    Said,
    Sent,
    Whispered,
    standing,
)
from tests.platforms.lark import payloads
from tests.platforms.lark.rig import PATH, QUICK
from tests.platforms.lark.signing import lark_requests

T = TypeVar("T")
METHODS: Mapping[Call, str] = {
    "post": "message.reply",
    "edit": "message.patch",
    "react": "reaction.create",
    "whisper": "message.create",
    "private_answer": "",
    "history": "message.list",
    "read": "message.get",
    "check": "bot.info",
    "any": "*",
}
"""Every post of the suite answers a message, so it is a reply. A toast is no call: it goes back with the ack."""
FAULTS: Mapping[FaultKind, Mapping[str, Any]] = {
    "busy": {"status": 429},
    "down": {"status": 503},
    "lost_answer": {"drop_after_commit": True},
    "gone": {"error": 230011},
    "thread_gone": {"error": 230019},
    "channel_gone": {"error": 232009},
    "not_allowed": {"error": 230018},
    "auth": {"error": 99991663},
}
EMOJIS = {"memo": "Pin", "eyes": "GLANCE", "bulb": "StatusFlashOfInspiration"}
FIXED = {fixed_toast(key)["content"] for key in ("received", "sent_privately")}
AT = re.compile(r"<\s*at\s+(?:user_id|id)\s*=\s*[\"']?([^\s\"'>]+)", re.IGNORECASE)
LINK = re.compile(r"\]\((https?://[^)\s]+)\)|(?<![\w(])(https?://[^\s<>\"\\)]+)")


class LarkSent(Sent):
    def __init__(self, native: Delivery) -> None:
        self.native = native

    @property
    def acked(self) -> bool:
        return self.native.acked

    def _answered(self) -> list[Attempt]:
        return [one for one in list(self.native.attempts) if one.answered is not None and one.status == 200]

    @property
    def acked_at(self) -> float | None:
        return next((one.answered for one in reversed(self._answered())), None)

    @property
    def latencies(self) -> Sequence[float]:
        return [(one.answered or 0.0) - one.sent for one in self._answered()]

    @property
    def attempts(self) -> int:
        return len(self.native.attempts)


class Nothing(Sent):
    """Lark tells the bot nothing of it."""

    acked, acked_at, latencies, attempts = True, None, (), 0  # type: ignore[assignment]


class LarkRig(Rig):
    """`LarkSimulator`, the real adapter and the application."""

    platform_name: ClassVar[str] = "lark"
    doors: ClassVar[frozenset[Door]] = frozenset({"mention", "bang"})
    sdk_modules: ClassVar[tuple[str, ...]] = ("lark_oapi",)
    extra: ClassVar[str] = "codetask[lark]"
    auth_code: ClassVar[str] = "99991663"
    completes: ClassVar[bool] = False

    def __init__(self, data: Path, transport: Literal["long", "webhook"]) -> None:
        super().__init__(data)
        self.transport: Literal["long", "webhook"] = transport
        self.webhook = transport == "webhook"
        self.simulator = LarkSimulator(seed=11)
        self.simulator.start()
        self.simulator.grant_scope(SENSITIVE_SCOPE)
        self.simulator.grant_scope(BOTS_SCOPE)
        self._runner: web.AppRunner | None = None
        self._turn = 0
        self._port: int | str = 0

    # --- The application ----------------------------------------------------------------------------------------------

    def credentials(self) -> dict[str, Any]:
        hooks = {
            "lark_encrypt_key": self.simulator.encrypt_key,
            "lark_verification_token": self.simulator.verification_token,
        }
        # Lark does not tell a bot who administers the tenant: who is an admin stands in the settings.
        admins = (f"lark:{self.simulator.user('ana').id}",)
        return {**self.simulator.settings, **hooks, "codetask_lark_transport": self.transport, "admins": admins}

    def make_platform(self, settings: Settings) -> Platform:
        return LarkPlatform(settings.chat["lark"], self.simulator.clock, QUICK)  # type: ignore[arg-type]

    @property
    def clock(self) -> Clock:
        return self.simulator.clock

    async def attach(self, replica: Replica) -> None:
        """One front door for all replicas, each request to the next of them."""
        if not self.webhook:
            return
        if self._runner is not None:
            self.use_webhook(self._runner.addresses[0][1])
            return
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_post(PATH, self._receive)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.use_webhook(self._runner.addresses[0][1])

    def use_webhook(self, port: int | str) -> None:
        if port != self._port:
            self._port = port
            self.simulator.use_http(f"http://127.0.0.1:{port}{PATH}")

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self.replicas:
            return web.Response(status=502)
        self._turn += 1
        chosen = self.replicas[self._turn % len(self.replicas)].platform
        answer = await chosen.receive(request.path, dict(request.headers), body)
        return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))

    async def close(self) -> None:
        await super().close()
        if self._runner is not None:
            await self._runner.cleanup()
        self.simulator.stop()

    # --- People -------------------------------------------------------------------------------------------------------

    def person(self, who: str) -> Person:
        user = self.simulator.user(who)
        return Person(platform="lark", workspace_id=self.simulator.tenant_key, id=user.id, name=user.name)

    def place(self, where: str, root: str | None = None) -> ThreadRef:
        channel = self.simulator.channel(where).id
        return ThreadRef(platform="lark", workspace_id=self.simulator.tenant_key, channel_id=channel, root=root)

    def stranger(self, kind: Literal["bot", "webhook", "guest", "external"]) -> str:
        """Lark has no guests and tells no webhooks from other bots: guests are people of other companies."""
        if kind in ("bot", "webhook"):
            return self.simulator.add_user(f"some-{kind}", is_bot=True).name
        tenant = f"7{len(kind):014x}"
        return self.simulator.add_user(f"some-{kind}", is_external=True, tenant_key=tenant).name

    def _said(self, message: StoredMessage) -> Said:
        return Said(message.id, self.simulator.names[message.chat], message.root, message)

    def _root(self, thread: str | None) -> StoredMessage | None:
        return next((one for one in self.simulator.messages if one.id == thread), None) if thread else None

    def say(self, who: str, text: str, where: str = "general", thread: str | None = None) -> Said:
        return self._said(self.simulator.user_says(who, text, where, thread=self._root(thread)))

    def mention(self, who: str, text: str, where: str = "general", thread: str | None = None) -> Said:
        return self._said(self.simulator.user_mentions(who, text, where, thread=self._root(thread)))

    def direct(self, who: str, text: str) -> Said:
        return self._said(self.simulator.user_says(who, text, self.simulator.direct(who)))

    def command(self, who: str, text: str, where: str = "general") -> Sent:
        (heard,) = self.deliveries(self.mention(who, text, where))
        return heard

    def shortcut(self, who: str, said: Said) -> Sent:
        raise AssertionError("Lark has no message shortcuts for bots")

    def follow_up(self, who: str, when: str, text: str, where: str = "general") -> Sent:
        return self.command(who, f"later {when} {text}", where)

    def later(self, who: str, said: Said) -> Sent:
        raise AssertionError("Lark has no message shortcuts for bots")

    def press(self, who: str, what: Post | Whispered, label: str) -> Sent:
        native = what.native.message if isinstance(what.native, Whisper) else what.native
        sent = self.simulator.clicks(who, native, label)
        assert sent is not None
        return LarkSent(sent)

    def react(self, who: str, said: Said, emoji: str) -> None:
        self.simulator.reacts(who, said.native, EMOJIS.get(emoji, emoji))

    def edit(self, said: Said, text: str) -> None:
        """Lark tells the bot of no edits."""
        self.simulator.user_edits(said.native, text)

    def delete(self, said: Said) -> None:
        self.simulator.user_deletes(said.native)

    def delete_post(self, post: Post) -> None:
        self.simulator.user_deletes(next(one for one in self.simulator.sent if one.id == post.id))

    def unfurl(self, said: Said) -> None:
        """Lark's previews are no events."""

    def add_bot(self, where: str) -> None:
        self.simulator.adds_bot(where)

    async def open_form(self, who: str, what: Post | Whispered, label: str) -> Any:
        await self.acked(self.press(who, what, label))

    def form_opens_with(self, form: Any) -> list[str]:
        raise AssertionError("a bot of Lark opens no forms")

    def submit_form(self, who: str, form: Any, values: Mapping[str, str]) -> Sent:
        raise AssertionError("a bot of Lark opens no forms")

    def close_form(self, who: str, form: Any) -> Sent:
        raise AssertionError("a bot of Lark opens no forms")

    def types_choice(self, who: str, name: str, text: str) -> Sent:
        raise AssertionError("Lark's fields have no completions by a bot")

    def choices_of(self, sent: Sent) -> list[str] | None:
        return None

    # --- The platform -------------------------------------------------------------------------------------------------

    def deliveries(self, said: Said) -> list[Sent]:
        return [LarkSent(one) for one in self.simulator.deliveries_of(said.native)]

    def redeliver(self, what: Said | Sent, times: int = 1) -> list[Sent]:
        native = what.native
        return [LarkSent(one) for one in self.simulator.redeliver(native, times=times)]  # type: ignore[union-attr]

    def raw(self, payload: Mapping[str, Any]) -> Sent:
        return LarkSent(self.simulator.delivers(payload))

    def unknown_event(self) -> Mapping[str, Any]:
        self.serial += 1
        body = {"chat_id": payloads.CHAT, "sparkles": 3}
        return self._mine(payloads.envelope("im.message.sparkle_v1", body, event_id=f"a{self.serial:031}"))

    def unreadable_event(self) -> Mapping[str, Any]:
        self.serial += 1
        said = payloads.message("!codetask no sender, no time")["message"]
        del said["create_time"]
        body = {"message": said}
        return self._mine(payloads.envelope("im.message.receive_v1", body, event_id=f"b{self.serial:031}"))

    def samples(self) -> Sequence[Mapping[str, Any]]:
        return [self._mine(payload) for payload in payloads.EVERY_KIND]

    def _mine(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        mine = {
            payloads.APP: self.simulator.app_id,
            payloads.TENANT: self.simulator.tenant_key,
            payloads.ANA: self.simulator.user("ana").id,
            payloads.BOT: self.simulator.bot_open_id,
            payloads.CHAT: self.place("dev").channel_id,
            "verification-token": self.simulator.verification_token,
        }
        text = json.dumps(payload)
        for known, own in mine.items():
            text = text.replace(known, own)
        found: dict[str, Any] = json.loads(text)
        return found

    async def inject(self, replica: Replica, payload: Any) -> bool:
        platform = replica.platform
        assert isinstance(platform, LarkPlatform)
        if not self.webhook:
            answer = await platform.intake.take(json.dumps(payload).encode())
            platform.intake.done(answer)
            return answer.stored
        body = encrypted_body(self.simulator.encrypt_key, payload)
        headers = signed_headers(self.simulator.encrypt_key, body, int(self.clock.now().timestamp()))
        got = await platform.receive(PATH, headers, body)
        assert got.status in (200, 400, 401, 503), got
        return got.status == 200

    def drop(self, how: Literal["clean", "abort", "blackhole", "server", "session"]) -> None:
        if how in ("server", "session"):
            self.simulator.server_says_reconnect()
        else:
            self.simulator.drop_connection(how)

    def go_deaf(self, *, forever: bool = False) -> None:
        self.simulator.go_deaf(new_connections_too=forever)

    def move_clock(self, by: timedelta) -> None:
        self.simulator.advance(by)

    def fail(self, call: Call, kind: FaultKind, *, after: float = 1, times: int | None = 1) -> None:
        fault = dict(FAULTS[kind])
        if kind == "busy":
            fault["retry_after"] = after
        if METHODS[call]:
            self.simulator.fail_next(METHODS[call], times=times, **fault)

    def heal(self) -> None:
        self.simulator.heal()

    def revoke(self) -> None:
        self.simulator.revoke_token("secret")

    def limit_edits(self, window: timedelta) -> None:
        self.simulator.limit_edits(window)

    def bad_setups(self) -> Sequence[BadSetup]:
        def nothing() -> None:
            return

        def scope(name: str) -> BadSetup:
            revoke, grant = self.simulator.revoke_scope, self.simulator.grant_scope
            return BadSetup(f"no {name}", {}, lambda: revoke(name), lambda: grant(name), name)

        def setting(name: str, change: Mapping[str, Any], says: str) -> BadSetup:
            return BadSetup(name, change, nothing, nothing, says)

        nowhere = {"codetask_lark_api_url": "http://127.0.0.1:9"}
        setups = [
            setting("wrong secret", {"lark_app_secret": "wrong"}, "LARK_APP_SECRET"),
            setting("other app", {"lark_app_id": "cli_other"}, "LARK_APP_ID"),
            scope("im:message:send_as_bot"),
            scope("im:chat:readonly"),
            setting("plain http", {"codetask_lark_api_url": "http://open.larksuite.com"}, "https://"),
            setting("nobody there", nowhere, "could not be reached"),
        ]
        if not self.webhook:
            wrong = self.simulator.wrong_domain
            setups.append(BadSetup("wrong domain", {}, lambda: wrong(True), lambda: wrong(False), "open.feishu.cn"))
        return setups

    def requests(self) -> Sequence[Request]:
        if not self.webhook:
            return [Request(f"closed {n}", {}, b"{}", 404) for n in range(40)]
        sim = self.simulator
        told = self._mine(payloads.EVERY_KIND[0])
        return list(lark_requests(sim.encrypt_key, sim.verification_token, self.clock.now(), told))

    # --- What is there to see -----------------------------------------------------------------------------------------

    async def until(self, found: Callable[[], T], timeout: float = DEADLINE) -> T:
        return await self.simulator.wait_for(found, timeout)

    def _is_direct(self, message: StoredMessage) -> bool:
        return self.simulator.channel(message.chat).kind == "p2p" and not message.is_reply

    @property
    def all_posts(self) -> list[Post]:
        shown = [one for one in self.simulator.sent if not one.deleted and not self._is_direct(one)]
        return [self._post(message) for message in shown]

    def _post(self, message: StoredMessage) -> Post:
        text = self.simulator.render_text(message)
        labels = tuple(button.label for button in buttons(message))
        channel = self.simulator.names[message.chat]
        return Post(message.id, channel, message.root_id, text, labels, message.at, copy.copy(message))

    @property
    def edits(self) -> list[Edited]:
        return [Edited(one.message.id, one.at, self._glance(one.content)) for one in self.simulator.edits]

    @staticmethod
    def _glance(content: str) -> str:
        card = StoredMessage("", "", "", "interactive", content, datetime.min)
        return summary(card)

    @property
    def whispers(self) -> list[Whispered]:
        seen = [one for one in self.simulator.whispers if one.text not in FIXED]
        return [self._whisper(one) for one in seen if one.message is None or not one.message.is_reply]

    def _whisper(self, one: Whisper) -> Whispered:
        return Whispered(self.simulator.names[one.user], "", one.text, one)

    @property
    def marks(self) -> list[tuple[str, str]]:
        mine = self.simulator.bot_open_id
        return standing((one.message_id, one.emoji, one.added) for one in self.simulator.reactions if one.user == mine)

    def calls(self, call: Call) -> list[datetime]:
        method = None if call == "any" else METHODS[call]
        return [one.at for one in self.simulator.calls(method)]

    @property
    def surprises(self) -> list[Any]:
        return list(self.simulator.surprises)

    @property
    def connections(self) -> int:
        return len(self.simulator.connections)

    @property
    def connections_opened(self) -> int:
        return self.simulator.connections_opened

    @property
    def in_flight(self) -> bool:
        return any(one.state == "pending" for one in self.simulator.deliveries)

    @staticmethod
    def _raw(native: Any) -> str:
        message = native.message if isinstance(native, Whisper) else native
        return message.content if message is not None else native.text

    def pings(self, post: Post) -> set[str]:
        named = AT.findall(self._raw(post.native).replace('\\"', '"'))
        return {"everyone" if who == "all" else self.simulator.names.get(who, who) for who in named}

    def links(self, post: Post) -> set[str]:
        return {found[0] or found[1] for found in LINK.findall(self._raw(post.native))}

    def problems(self, content: Content) -> list[str]:
        card = render(content, "om_" + "0" * 32)
        problem = card_problem(json.loads(card))
        return ([problem] if problem else []) + (["card too large"] if len(card.encode()) > MAX_CARD_BYTES else [])

    def shown(self, content: Content) -> str:
        message = StoredMessage("", "", "", "interactive", render(content), datetime.min)
        return render_text(message, content.language, self.simulator.names)

    def pieces(self, content: Content) -> list[tuple[str, int]]:
        elements = json.loads(render(content))["body"]["elements"]
        return [(one["content"], MAX_ELEMENT) for one in elements if one["tag"] == "markdown"]

    def fixtures(self) -> Sequence[tuple[Mapping[str, Any], str | None]]:
        return list(zip(self.samples(), payloads.KINDS, strict=True))

    def read(self, payload: Mapping[str, Any]) -> Event | None:
        sim = self.simulator
        return read(payload, Me(sim.app_id, sim.tenant_key, sim.bot_open_id), self.clock.now())
