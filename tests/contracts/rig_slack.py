"""The suite's rig for Slack, over Socket Mode or HTTP."""

import copy
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from aiohttp import web

from bot.core.cards import Content
from bot.core.inbound import Door, Event, Person, ThreadRef
from bot.ports import Clock, Platform
from bot.settings import Settings
from platforms.slack.adapter import SlackPlatform, Timings
from platforms.slack.cards import MAX_SECTION, render
from platforms.slack.inbound import Me, read
from platforms.slack.simulator import (
    Attempt,
    Delivery,
    SlackSimulator,
    StoredMessage,
    Whisper,
    buttons,
    render_text,
    signed_headers,
)
from platforms.slack.simulator.kit import MAX_TEXT, block_problems
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
from tests.platforms.slack import payloads

T = TypeVar("T")
PATH = "/webhooks/slack"
QUICK = Timings(
    ping=timedelta(seconds=2),  # no pong in half of it is a loss: a busy machine is none
    first_backoff=timedelta(seconds=0.05),
    longest_backoff=timedelta(seconds=0.2),
    tick=timedelta(seconds=0.1),
    drain=timedelta(seconds=1),
)
METHODS: Mapping[Call, str] = {
    "post": "chat.postMessage",
    "edit": "chat.update",
    "react": "reactions.add",
    "whisper": "chat.postEphemeral",
    "private_answer": "response_url",
    "history": "conversations.history",
    "read": "conversations.history",
    "check": "auth.test",
    "any": "*",
}
FAULTS: Mapping[FaultKind, Mapping[str, Any]] = {
    "busy": {"status": 429},
    "down": {"status": 503},
    "lost_answer": {"drop_after_commit": True},
    "gone": {"error": "message_not_found"},
    "thread_gone": {"error": "thread_not_found"},
    "channel_gone": {"error": "is_archived"},
    "not_allowed": {"error": "restricted_action"},
    "auth": {"error": "invalid_auth"},
}
ACKED = ("acked", "late")
MASS = re.compile(r"<!(?!date\^)[^<>]*>")
USER = re.compile(r"<@(\w+)(?:\|[^<>]*)?>")
LINK = re.compile(r"<(https?://[^<>|]+)")


class SlackSent(Sent):
    def __init__(self, native: Delivery) -> None:
        self.native = native

    @property
    def acked(self) -> bool:
        return self.native.acked

    def _answered(self) -> list[Attempt]:
        return [one for one in list(self.native.attempts) if one.answered is not None and one.outcome in ACKED]

    @property
    def acked_at(self) -> float | None:
        return next((one.answered for one in reversed(self._answered())), None)

    @property
    def latencies(self) -> Sequence[float]:
        return [(one.answered or 0.0) - one.sent for one in self._answered()]

    @property
    def attempts(self) -> int:
        return len(self.native.attempts)


class Unheard(Sent):
    """Slack tells the bot nothing of it."""

    acked, acked_at, latencies, attempts = True, None, (), 0  # type: ignore[assignment]


class SlackRig(Rig):
    """`SlackSimulator`, the real adapter and the application."""

    platform_name: ClassVar[str] = "slack"
    doors: ClassVar[frozenset[Door]] = frozenset({"slash", "mention", "bang", "shortcut"})
    sdk_modules: ClassVar[tuple[str, ...]] = ("slack_bolt", "slack_sdk")
    extra: ClassVar[str] = "codetask[slack]"
    auth_code: ClassVar[str] = "invalid_auth"

    def __init__(self, data: Path, transport: Literal["socket", "http"]) -> None:
        super().__init__(data)
        self.transport: Literal["socket", "http"] = transport
        self.webhook = transport == "http"
        self.simulator = SlackSimulator(seed=11, max_connections=16)
        self.simulator.start()
        self._runner: web.AppRunner | None = None
        self._turn = 0
        self._port: int | str = 0

    # --- The application ----------------------------------------------------------------------------------------------

    def credentials(self) -> dict[str, Any]:
        return {
            "slack_bot_token": self.simulator.bot_token,
            "slack_app_token": self.simulator.app_token,
            "slack_signing_secret": self.simulator.signing_secret,
            "codetask_slack_api_url": self.simulator.api_url,
            "codetask_slack_transport": self.transport,
        }

    def make_platform(self, settings: Settings) -> Platform:
        return SlackPlatform(settings.chat["slack"], self.simulator.clock, QUICK)

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
        return Person(platform="slack", workspace_id=self.simulator.team_id, id=user.id, name=user.name)

    def place(self, where: str, root: str | None = None) -> ThreadRef:
        channel = self.simulator.channel(where).id
        return ThreadRef(platform="slack", workspace_id=self.simulator.team_id, channel_id=channel, root=root)

    def stranger(self, kind: Literal["bot", "webhook", "guest", "external"]) -> str:
        traits: dict[str, Any] = {
            "bot": {"is_bot": True},
            "webhook": {"is_bot": True},
            "guest": {"is_restricted": True},
            "external": {"is_stranger": True, "team_id": "T0ELSEWHERE"},
        }[kind]
        return self.simulator.add_user(f"some-{kind}", channels=("general",), **traits).name

    def _said(self, message: StoredMessage) -> Said:
        return Said(message.ts, self.simulator.names[message.channel], message.root, message)

    def say(self, who: str, text: str, where: str = "general", thread: str | None = None) -> Said:
        return self._said(self.simulator.user_says(who, text, where, thread_ts=thread))

    def mention(self, who: str, text: str, where: str = "general", thread: str | None = None) -> Said:
        return self._said(self.simulator.user_mentions(who, text, where, thread_ts=thread))

    def direct(self, who: str, text: str) -> Said:
        return self._said(self.simulator.user_says(who, text, self.simulator.direct(who)))

    def command(self, who: str, text: str, where: str = "general") -> SlackSent:
        return SlackSent(self.simulator.runs_command(who, f"/codetask {text}", where))

    def shortcut(self, who: str, said: Said) -> SlackSent:
        return SlackSent(self.simulator.uses_shortcut(who, said.native))

    def follow_up(self, who: str, when: str, text: str, where: str = "general") -> SlackSent:
        return SlackSent(self.simulator.runs_command(who, f"/followup {when} {text}", where))

    def later(self, who: str, said: Said) -> SlackSent:
        return SlackSent(self.simulator.uses_shortcut(who, said.native, "codetask_later"))

    def press(self, who: str, what: Post | Whispered, label: str) -> SlackSent:
        return SlackSent(self.simulator.clicks(who, what.native, label))

    def react(self, who: str, said: Said, emoji: str) -> None:
        self.simulator.reacts(who, said.native, emoji)

    def edit(self, said: Said, text: str) -> None:
        self.simulator.user_edits(said.native, text)

    def delete(self, said: Said) -> None:
        self.simulator.user_deletes(said.native)

    def delete_post(self, post: Post) -> None:
        self.simulator.user_deletes(next(one for one in self.simulator.sent if one.ts == post.id))

    def unfurl(self, said: Said) -> None:
        self.simulator.unfurl(said.native)

    def add_bot(self, where: str) -> None:
        self.simulator.adds_bot(where)

    async def open_form(self, who: str, what: Post | Whispered, label: str) -> Any:
        known = len(self.simulator.views)
        await self.acked(self.press(who, what, label))
        (view,) = self.simulator.views[known:]
        return view

    def form_opens_with(self, form: Any) -> list[str]:
        return [str(block["element"].get("initial_value", "")) for block in form.body["blocks"]]

    def submit_form(self, who: str, form: Any, values: Mapping[str, str]) -> SlackSent:
        return SlackSent(self.simulator.submits_form(who, form, values))

    def close_form(self, who: str, form: Any) -> Sent:
        told = self.simulator.user_closes_form(who, form)
        return Unheard() if told is None else SlackSent(told)

    def types_choice(self, who: str, name: str, text: str) -> SlackSent:
        return SlackSent(self.simulator.user_types_choice(who, name, text))

    def choices_of(self, sent: Sent) -> list[str] | None:
        assert isinstance(sent, SlackSent)
        if not sent.acked:
            return None
        return [option["value"] for option in (sent.native.ack_body or {}).get("options", [])]

    # --- The platform -------------------------------------------------------------------------------------------------

    def deliveries(self, said: Said) -> list[Sent]:
        return [SlackSent(one) for one in self.simulator.deliveries_of(said.native)]

    def redeliver(self, what: Said | Sent, times: int = 1) -> list[Sent]:
        native = what.native
        return [SlackSent(one) for one in self.simulator.redeliver(native, times=times)]  # type: ignore[attr-defined]

    def raw(self, payload: Mapping[str, Any]) -> SlackSent:
        return SlackSent(self.simulator.delivers("events_api", payload))

    def unknown_event(self) -> Mapping[str, Any]:
        self.serial += 1
        event = {"type": "sparkle_added", "channel": self.place("general").channel_id, "event_ts": "1772805780.000200"}
        return self._mine(payloads.envelope(event, event_id=f"Ev1{self.serial:07}"))

    def unreadable_event(self) -> Mapping[str, Any]:
        self.serial += 1
        event = {"type": "message", "channel": self.place("general").channel_id, "text": "!codetask no sender, no time"}
        return self._mine(payloads.envelope(event, event_id=f"Ev2{self.serial:07}"))

    def samples(self) -> Sequence[Mapping[str, Any]]:
        return [self._mine(payload) for payload in payloads.EVERY_KIND]

    def _mine(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        text = (
            json.dumps(payload).replace("A0CODETASK", self.simulator.app_id).replace("T0ACME", self.simulator.team_id)
        )
        text = text.replace("U0ANA", self.simulator.user("ana").id).replace("U0BOT", self.simulator.bot_user_id)
        hook = self.simulator.api_url.removesuffix("api/") + "hooks/none"
        found: dict[str, Any] = json.loads(text.replace("C0DEV", self.place("dev").channel_id))
        return found | ({"response_url": hook} if "response_url" in found else {})

    async def inject(self, replica: Replica, payload: Any) -> bool:
        platform = replica.platform
        assert isinstance(platform, SlackPlatform)
        if not self.webhook:
            return (await platform.intake.dispatch(payload)).status == 200
        body = json.dumps(payload).encode()
        stamp = int(self.clock.now().timestamp())
        headers = {"content-type": "application/json", **signed_headers(self.simulator.signing_secret, body, stamp)}
        answer = await platform.receive(PATH, headers, body)
        assert answer.status in (200, 400, 503), answer
        return answer.status == 200

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
        self.simulator.fail_next(METHODS[call], times=times, **fault)

    def heal(self) -> None:
        self.simulator.heal()

    def revoke(self) -> None:
        self.simulator.revoke_token("bot")

    def limit_edits(self, window: timedelta) -> None:
        self.simulator.edit_window = window

    def bad_setups(self) -> Sequence[BadSetup]:
        def nothing() -> None:
            return

        def scope(name: str) -> BadSetup:
            revoke, grant = self.simulator.revoke_scope, self.simulator.grant_scope
            return BadSetup(f"no {name}", {}, lambda: revoke(name), lambda: grant(name), name)

        def setting(name: str, change: Mapping[str, Any], says: str) -> BadSetup:
            return BadSetup(name, change, nothing, nothing, says)

        nowhere = {"codetask_slack_api_url": "http://127.0.0.1:9/api/"}
        setups = [
            setting("wrong token", {"slack_bot_token": "xoxb-wrong"}, "SLACK_BOT_TOKEN"),
            scope("chat:write"),
            scope("channels:history"),
            setting("plain http", {"codetask_slack_api_url": "http://slack.com/api/"}, "https://"),
            setting("wrong domain", nowhere, "could not be reached"),
        ]
        if not self.webhook:
            wrong = {"slack_app_token": "xapp-1-A1-2-3"}
            setups.append(setting("wrong app token", wrong, "SLACK_APP_TOKEN"))
        return setups

    def requests(self) -> Sequence[Request]:
        told = self._mine(payloads.EVERY_KIND[0])
        cases = slack_requests(self.simulator.signing_secret, self.clock.now(), told)
        return cases if self.webhook else [replace(case, status=404) for case in cases]

    # --- What is there to see -----------------------------------------------------------------------------------------

    async def until(self, found: Callable[[], T], timeout: float = DEADLINE) -> T:
        return await self.simulator.wait_for(found, timeout)

    @property
    def all_posts(self) -> list[Post]:
        return [self._post(message) for message in self.simulator.sent if not message.deleted]

    def _post(self, message: StoredMessage) -> Post:
        shown = self.simulator.render_text(message)
        labels = tuple(button.label for button in buttons(message))
        root = message.thread_ts if message.is_reply else None
        return Post(
            message.ts, self.simulator.names[message.channel], root, shown, labels, message.at, copy.copy(message)
        )

    @property
    def edits(self) -> list[Edited]:
        return [Edited(edit.message.ts, edit.at, edit.text) for edit in self.simulator.edits]

    @property
    def whispers(self) -> list[Whispered]:
        return [self._whisper(one) for one in self.simulator.whispers if one.shown and one.via != "slackbot"]

    def _whisper(self, one: Whisper) -> Whispered:
        names = self.simulator.names
        return Whispered(names[one.user], names[one.channel], self.simulator.render_text(one), one, one.thread_ts)

    @property
    def marks(self) -> list[tuple[str, str]]:
        mine = self.simulator.bot_user_id
        return standing((one.ts, one.name, one.added) for one in self.simulator.reactions if one.user == mine)

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

    def pings(self, post: Post) -> set[str]:
        message: StoredMessage = post.native
        raw = message.text + json.dumps(message.blocks, ensure_ascii=False)
        named = {self.simulator.names.get(who, who) for who in USER.findall(raw)}
        return named | ({"everyone"} if MASS.search(raw) else set())

    def links(self, post: Post) -> set[str]:
        message: StoredMessage = post.native
        return set(LINK.findall(message.text + json.dumps(message.blocks, ensure_ascii=False)))

    def problems(self, content: Content) -> list[str]:
        found: list[str] = []
        for native in (True, False):
            shown = render(content, "k" * 24, native)
            found += block_problems(shown.blocks)
            found += ["text too long"] if len(shown.text) > MAX_TEXT else []
            found += [] if shown.text.strip() else ["no text"]
        return found

    def shown(self, content: Content) -> str:
        return render_text(render(content, "k" * 24), self.simulator.names)

    def pieces(self, content: Content) -> list[tuple[str, int]]:
        blocks = render(content, "k" * 24).blocks
        return [(block["text"]["text"], MAX_SECTION) for block in blocks if block["type"] == "section"]

    def fixtures(self) -> Sequence[tuple[Mapping[str, Any], str | None]]:
        kinds = ("message", "command", "command", "message_edited", "message_deleted", "reaction", "bot_added")
        more = ("bot_removed", "command", "button_press", "command", "form_sent")
        return list(zip(self.samples(), kinds + more, strict=True))

    def read(self, payload: Mapping[str, Any]) -> Event | None:
        sim = self.simulator
        return read(payload, Me(sim.app_id, sim.team_id, sim.bot_user_id, "B0BOT"), self.clock.now())


def slack_requests(secret: str, now: datetime, event: dict[str, Any]) -> list[Request]:
    """Webhook requests as Slack signs them, and everything that is almost that."""
    stamp = int(now.timestamp())
    body = json.dumps({"type": "something_new"}).encode()
    kind = {"content-type": "application/json"}

    def signed(body: bytes = body, at: int = stamp, key: str = secret, **more: str) -> dict[str, str]:
        return {**kind, **signed_headers(key, body, at), **{k.replace("_", "-"): v for k, v in more.items()}}

    good = signed()
    signature = good["X-Slack-Signature"]
    told = json.dumps(event).encode()
    cases = [
        Request("valid", good, body, 200),
        Request("valid event", signed(told), told, 200),
        Request("the same again", signed(told), told, 200),
        Request("lower-case headers", {k.lower(): v for k, v in good.items()}, body, 200),
        Request("upper-case headers", {k.upper(): v for k, v in good.items()}, body, 200),
        Request("no headers", {}, body, 401),
        Request("no signature", {**kind, "X-Slack-Request-Timestamp": str(stamp)}, body, 401),
        Request("no timestamp", {**kind, "X-Slack-Signature": signature}, body, 401),
        Request("other app's secret", signed(key="another-secret"), body, 401),
        Request("empty secret", signed(key=""), body, 401),
        Request("changed body", good, body + b" ", 401),
        Request("empty body, old signature", good, b"", 401),
        Request("event under another's signature", good, told, 401),
        Request("not UTF-8, unsigned", good, b"\xff\xfe\x00", 401),
        Request("not UTF-8, signed", signed(b"\xff\xfe\x00"), b"\xff\xfe\x00", 400),
        Request("no JSON, signed", signed(b"{"), b"{", 400),
        Request("a list, signed", signed(b"[]"), b"[]", 400),
        Request("deep, signed", signed(b"[" * 100_000), b"[" * 100_000, 400),
        Request("too large", signed(b"x" * (1024 * 1024 + 1)), b"x" * (1024 * 1024 + 1), 413),
    ]
    for seconds, status in ((-290, 200), (290, 200), (-310, 401), (310, 401), (-3600, 401), (-31_536_000, 401)):
        cases.append(Request(f"{seconds} s old", signed(at=stamp + seconds), body, status))
    odds = ("", "abc", "-1", "1e9", f"{stamp}.0", f" {stamp}", f"{stamp}\n", "٣", "0x10", "9" * 30, "nan")
    cases += [Request(f"timestamp {odd!r}", {**good, "X-Slack-Request-Timestamp": odd}, body, 401) for odd in odds]
    wrong = ["", "v0=", signature[3:], "v1=" + signature[3:], signature[:-1], signature + "0", signature.upper()]
    wrong += ["v0=" + "0" * 64, "v0=é" + "0" * 62, "v0=" + "\udcff" * 64]
    cases += [Request(f"signature {one!r}", {**good, "X-Slack-Signature": one}, body, 401) for one in wrong]
    return cases


def monotonic() -> float:
    """The clock that `Sent` tells times by."""
    return time.monotonic()
