"""The simulator itself: wires the parts, serves them, and offers verbs and readers."""

import copy
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, Self, TypeVar

from aiohttp import web

from platforms.lark.simulator import catalog
from platforms.lark.simulator.answers import Answers
from platforms.lark.simulator.api import Access, Api, Credentials, Rates
from platforms.lark.simulator.delivery import Courier, Delivery, Kind
from platforms.lark.simulator.directory import Directory
from platforms.lark.simulator.events import Events
from platforms.lark.simulator.messages import Messages
from platforms.lark.simulator.people import People
from platforms.lark.simulator.readers import Readers
from platforms.lark.simulator.registration import PATH as REGISTRATION
from platforms.lark.simulator.registration import Registration
from platforms.lark.simulator.sender import Sender
from platforms.lark.simulator.sockets import Sockets
from platforms.lark.simulator.state import Chat, ChatKind, StoredMessage, User, World
from platforms.simulation import Changes, Fault, FaultPlan, LoopThread, SimulatedClock, Timers

T = TypeVar("T")
Who = str | User
Where = str | Chat


class LarkSimulator(Readers):
    """Lark's server side on 127.0.0.1, driven by the real SDK with only the domain changed.

    People: `ana`, `bo` (English clients), `cy` (Chinese client), `eve` (another company, out of the app's reach).
    Chats: `general` (everybody), `dev` (without eve), `topics` (a topic group), in all of which the bot is, and
    `lounge` where it is not.

    The verbs are plain methods, safe from any thread; they return at once. Use as a context manager or `start`/`stop`.
    """

    def __init__(
        self,
        *,
        clock: SimulatedClock | None = None,
        seed: int | None = None,
        rate_limits: bool = False,
        max_connections: int = catalog.MAX_CONNECTIONS,
        frame_bytes: int = 64 * 1024,
        scopes: frozenset[str] = catalog.MANIFEST_SCOPES,
        events: frozenset[str] = catalog.MANIFEST_EVENTS,
        client_config: Mapping[str, int] | None = None,
    ) -> None:
        """`frame_bytes`: larger payloads are split. `client_config`: changes to what clients are told about waits."""
        self.clock = clock or SimulatedClock()
        self._changes = Changes()
        self._thread = LoopThread("lark-simulator")
        self._faults = FaultPlan()
        self._world = world = World(self.clock, seed, self._changes.notify)
        self._credentials = keys = self._new_credentials(set(scopes))
        self._timers = Timers(self.clock)
        self._courier = Courier(world, self._timers)
        self._events = Events(world, self._courier, keys.scopes, set(events), keys.verification_token)
        access = Access(world, keys)
        self._rates = Rates(world, rate_limits)
        self._api = Api(world, access, self._faults, self._rates)
        self._sockets = Sockets(world, self._courier, keys, self._faults, max_connections, frame_bytes)
        self._sockets.client_config = {**catalog.CLIENT_CONFIG, **(client_config or {})}
        self._messages = Messages(world, self._events, access)
        directory = Directory(world, self._messages, self._events, access)
        answers = Answers(world, self._messages)
        self._people = People(world, self._courier, self._events, self._messages, directory, answers)
        self._sender: Sender | None = None
        self._runner: web.AppRunner | None = None
        self._base = ""
        self._furnish()
        self.registration = Registration(keys)
        self._register(access, directory)

    # --- Lifecycle ----------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, str]:
        """What reaches it by the long connection, as settings."""
        return {
            "lark_app_id": self.app_id,
            "lark_app_secret": self.app_secret,
            "codetask_lark_api_url": self.api_url,
        }

    def start(self) -> None:
        self._thread.start(self._open)

    def stop(self) -> None:
        self._thread.stop(self._close)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def api_url(self) -> str:
        """The domain, for `ws.Client(domain=...)` and `CODETASK_LARK_API_URL`; without a slash at the end."""
        return self._base

    @property
    def app_id(self) -> str:
        return self._credentials.app_id

    @property
    def app_secret(self) -> str:
        return self._credentials.app_secret

    @property
    def encrypt_key(self) -> str:
        return self._credentials.encrypt_key

    @property
    def verification_token(self) -> str:
        return self._credentials.verification_token

    @property
    def tenant_key(self) -> str:
        return self._world.tenant_key

    @property
    def bot_open_id(self) -> str:
        return self._world.bot.id

    # --- The tenant ---------------------------------------------------------------------------------------------------

    def add_user(self, name: str, *, channels: tuple[str, ...] = ("general",), **fields: Any) -> User:
        """A new person who is in the named chats. `fields` are those of `User`."""

        def add() -> User:
            user = self._world.add_user(name, **fields)
            for chat in channels:
                joined = self._world.find_chat(chat)
                joined.members.add(user.id)
                joined.is_external = joined.is_external or user.is_external
            return user

        return self._do(add)

    def add_channel(
        self,
        name: str,
        *,
        kind: ChatKind = "group",
        members: tuple[Who, ...] = ("ana", "bo", "cy"),
        bot: bool = True,
    ) -> Chat:
        """A new chat."""

        def add() -> Chat:
            ids = {self._world.find_user(who).id for who in members} | ({self.bot_open_id} if bot else set())
            return self._world.add_chat(name, kind, ids, self._world.find_user("ana").id)

        return self._do(add)

    def user(self, who: Who) -> User:
        """By name, open id or union id."""
        return self._world.find_user(who)

    def channel(self, where: Where) -> Chat:
        """By name or id."""
        return self._world.find_chat(where)

    def direct(self, who: Who) -> Chat:
        """The chat of a person with the bot."""
        return self._do(lambda: self._world.direct_chat(self._world.find_user(who).id))

    # --- What people do -----------------------------------------------------------------------------------------------

    def user_says(
        self,
        user: Who,
        text: str,
        channel: Where = "general",
        *,
        thread: StoredMessage | None = None,
        reply_to: StoredMessage | None = None,
        post: bool = False,
    ) -> StoredMessage:
        """A message as typed; `@name` (also `@codetask`, `@all`) becomes a mention.

        `thread`: in the thread of that message, opened when there is none; `reply_to`: a plain answer to it. `post`:
        as rich text, as the editor makes it of formatted or long messages. In groups the app hears only of messages
        that mention it, unless it has the sensitive scope.
        """
        return self._do(self._people.says, user, text, channel, thread, reply_to, post)

    def user_mentions(
        self,
        user: Who,
        text: str,
        channel: Where = "general",
        *,
        thread: StoredMessage | None = None,
        reply_to: StoredMessage | None = None,
        post: bool = False,
    ) -> StoredMessage:
        """A message that begins with a mention of the bot."""
        return self._do(self._people.says, user, f"@codetask {text}", channel, thread, reply_to, post)

    def user_edits(self, message: StoredMessage, text: str) -> None:
        """Lark tells no app of it; the new text is only there to be read."""
        self._do(self._people.edits, message, text)

    def user_deletes(self, message: StoredMessage) -> None:
        """Recalls it."""
        self._do(self._people.deletes, message)

    def clicks(self, user: Who, message: StoredMessage, button: str) -> Delivery | None:
        """Presses a button, found by label or tip (either language) or a value of its callback. None: it is a link.

        LookupError when it is not there or disabled.
        """
        return self._do(self._people.clicks, user, message, button)

    def uses_menu(self, user: Who, event_key: str) -> Delivery | None:
        """Chooses an entry of the bot's menu in the direct chat; None when the app did not subscribe."""
        return self._do(self._people.uses_menu, user, event_key)

    def reacts(self, user: Who, message: StoredMessage, name: str, *, on: bool = True) -> None:
        """`name`: an emoji type, such as `THUMBSUP`."""
        self._do(self._people.reacts, user, message, name, on)

    def adds_bot(self, channel: Where, *, by: Who = "ana") -> None:
        self._do(self._people.adds_bot, channel, by)

    def removes_bot(self, channel: Where, *, by: Who = "ana") -> None:
        self._do(self._people.removes_bot, channel, by)

    def archives_channel(self, channel: Where, *, by: Who = "ana") -> None:
        """Dissolves the group, which is what Lark has."""
        self._do(self._people.archives, channel, by)

    def hides_bot_from(self, user: Who, hidden: bool = True) -> None:
        """Takes a person out of the app's availability: messages to them get 230013."""

        def hide() -> None:
            self._world.find_user(user).available = not hidden

        self._do(hide)

    def switches_bot(self, on: bool) -> None:
        """The app's bot ability; off: 230006 and no events."""

        def switch() -> None:
            self._world.bot_is_on = on

        self._do(switch)

    def makes_noise(self, name: str = catalog.NOISE[0], channel: Where = "general", *, by: Who = "ana") -> Delivery:
        """Sends one of `catalog.NOISE`: events that an app gets without having a use for them."""
        return self._do(self._people.noise, name, channel, by)

    # --- What the platform does ---------------------------------------------------------------------------------------

    def redeliver(self, what: Delivery | StoredMessage, *, times: int = 1, fresh_ids: bool = False) -> list[Delivery]:
        """Sends the events of a message (or one delivery) again. `fresh_ids`: with a new event id and message id."""

        def again() -> list[Delivery]:
            chosen = [what] if isinstance(what, Delivery) else self.deliveries_of(what)
            return [self._once_more(delivery, fresh_ids) for _ in range(times) for delivery in chosen]

        return self._do(again)

    def delivers(
        self, payload: Mapping[str, Any], kind: Kind = "event", *, frame_type: Literal["event", "card"] = "event"
    ) -> Delivery:
        """Sends any payload to the app, also one that Lark would never send."""
        header = payload.get("header")
        name = str(header.get("event_type", kind)) if isinstance(header, dict) else kind
        return self._do(self._courier.dispatch, Delivery(kind, dict(payload), name, frame_type=frame_type))

    def shows_card(self, channel: Where, element: dict[str, Any], value: Any = None) -> StoredMessage:
        """A card of the bot with one element, as its API call would post it, for tests of what follows.

        With `value` the element is a button that sends it back.
        """
        behaviors = {"behaviors": [{"type": "callback", "value": value}]} if value is not None else {}
        card = {"schema": "2.0", "body": {"elements": [element | behaviors]}}

        def show() -> StoredMessage:
            chat = self._world.find_chat(channel).id
            content = {"receive_id": chat, "msg_type": "interactive", "content": json.dumps(card)}
            answer = self._messages.create({"receive_id_type": "chat_id", **content})
            return self._world.messages[answer["message_id"]]

        return self._do(show)

    def drop_connection(self, how: Literal["clean", "abort", "blackhole"] = "abort") -> None:
        """Ends the open sockets: a close frame, a TCP reset, or silence on an open connection."""
        self._do(self._sockets.drop, how)

    def server_says_reconnect(self) -> None:
        """Closes the open sockets as going away; Lark has no other word for it."""
        self._do(self._sockets.ask_to_reconnect)

    def go_deaf(self, on: bool = True, *, new_connections_too: bool = False) -> None:
        """Connected, pings answered, but nothing arrives; Lark believes it delivered. A new connection hears again."""
        self._do(self._sockets.hear, on, new_connections_too)

    def revoke_token(self, which: Literal["token", "secret"] = "token") -> None:
        """`token`: those given out get 99991663, new ones work. `secret`: also no new token and no new connection."""

        def revoke() -> None:
            self._credentials.tokens.clear()
            self._credentials.secret_is_wrong = which == "secret"

        self._do(revoke)

    def restore_token(self) -> None:
        def restore() -> None:
            self._credentials.secret_is_wrong = False

        self._do(restore)

    def wrong_domain(self, on: bool = True) -> None:
        """The app belongs to the other domain (Lark or Feishu): the endpoint says 1000040351, tokens are given."""

        def change() -> None:
            self._credentials.wrong_domain = on

        self._do(change)

    def revoke_scope(self, scope: str) -> None:
        self._do(self._credentials.scopes.discard, scope)

    def grant_scope(self, scope: str = catalog.SENSITIVE_SCOPE) -> None:
        """Grants a scope; without an argument the sensitive one."""
        self._do(self._credentials.scopes.add, scope)

    def limit_edits(self, window: timedelta) -> None:
        """How long cards may be changed from now on; Lark says 14 days."""
        self._messages.edit_window = window

    def limit_tenant(self, posts_per_minute: int | None) -> None:
        """With `rate_limits`: posts of the tenant above this get 11232."""
        self._rates.tenant_per_minute = posts_per_minute

    def advance(self, duration: timedelta) -> None:
        """Moves the clock; redeliveries, expiries and time-outs that fall due happen now."""

        def move() -> None:
            self.clock.advance(duration)
            if self._thread.running:
                self._timers.run_due()
            self._changes.notify()

        self._do(move)

    def fail_next(
        self,
        method: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        error: int | str | None = None,
        drop_before_commit: bool = False,
        drop_after_commit: bool = False,
        times: int | None = 1,
    ) -> None:
        """Faults for the next calls of a method of `catalog.ENDPOINTS`, of `connect` (the handshake) or of `*`.

        `error`: a code, or `"code: message"`, in an HTTP 400 unless `status` says otherwise. `status` 429 or
        `retry_after`: 99991400 with `x-ogw-ratelimit-reset`. `times` None: until `heal`.
        """
        words = None if error is None else str(error)
        fault = Fault(status, retry_after, words, drop_before_commit, drop_after_commit)
        self._do(self._faults.add, method, fault, times)

    def heal(self) -> None:
        """Drops all planned faults."""
        self._do(self._faults.clear)

    def use_http(self, request_url: str) -> None:
        """From now on payloads are posted, encrypted and signed, to this URL instead of going over sockets."""

        def switch() -> None:
            if self._sender is not None:
                self._sender.url = request_url
                return
            self._sender = Sender(self._world, self._courier, self._credentials, request_url)
            self._courier.send = self._sender.send

        self._do(switch)

    async def verify_request_url(self, *, signed: bool = True) -> bool:
        """The `url_verification` handshake with the URL of `use_http`: whether the app passed.

        `signed=False`: without signature headers, which is how the SDKs expect that it may come.
        """
        if self._sender is None:
            raise RuntimeError("no request URL; call use_http first")
        sender = self._sender
        return await self._thread.ask(lambda: sender.verify(signed))

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _do(self, function: Callable[..., T], *arguments: Any) -> T:
        return self._thread.call(function, *arguments)

    def _once_more(self, delivery: Delivery, fresh_ids: bool) -> Delivery:
        if not fresh_ids:
            self._courier.again(delivery)
            return delivery
        payload = copy.deepcopy(delivery.payload)
        payload["header"]["event_id"] = self._world.ids.hexadecimal(32)
        if "message" in payload["event"]:
            payload["event"]["message"]["message_id"] = self._world.ids.new("om_")
        again = Delivery(delivery.kind, payload, delivery.name, delivery.user, delivery.chat, delivery.message_id)
        return self._courier.dispatch(again)

    def _new_credentials(self, scopes: set[str]) -> Credentials:
        ids = self._world.ids
        return Credentials(self._world.app_id, ids.secret(32), ids.secret(32), ids.secret(32), scopes)

    def _furnish(self) -> None:
        world = self._world
        ana = world.add_user("ana", real_name="Ana Pires")
        bo = world.add_user("bo", real_name="Bo Lindqvist")
        cy = world.add_user("cy", real_name="王思", language="zh")
        eve = world.add_user(
            "eve",
            real_name="Eve Extern",
            is_external=True,
            available=False,
            tenant_key=world.ids.hexadecimal(15),
        )
        staff, bot = {ana.id, bo.id, cy.id}, {world.bot.id}
        rooms: tuple[tuple[str, ChatKind, set[str]], ...] = (
            ("general", "group", staff | bot | {eve.id}),
            ("dev", "group", staff | bot),
            ("topics", "topic", staff | bot),
            ("lounge", "group", set(staff)),
        )
        for name, kind, members in rooms:
            world.add_chat(name, kind, members, ana.id)

    def _register(self, access: Access, directory: Directory) -> None:
        messages = self._messages
        self._api.chat_of = messages.chat_of
        self._api.handlers = {
            "token": access.token,
            "endpoint": self._sockets.endpoint,
            "bot.info": directory.bot_info,
            "scope.list": directory.list_scopes,
            "message.create": messages.create,
            "message.reply": messages.reply,
            "message.patch": messages.patch,
            "message.delete": messages.delete,
            "message.get": messages.get,
            "message.list": messages.search,
            "reaction.create": directory.add_reaction,
            "reaction.list": directory.list_reactions,
            "reaction.delete": directory.remove_reaction,
            "chat.list": directory.list_chats,
            "chat.get": directory.get_chat,
            "chat.members": directory.chat_members,
            "chat.is_in": directory.is_in_chat,
            "user.get": directory.get_user,
        }

    async def _open(self) -> None:
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_get("/ws/v2", self._sockets.link)
        app.router.add_post(REGISTRATION, self.registration.answer)
        self._api.add_routes(app)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self._base = f"http://{host}:{port}"
        self._sockets.address = lambda: f"ws://{host}:{port}"
        self._timers.open()
        if self._sender is None:
            self._courier.send = self._sockets.send

    async def _close(self) -> None:
        self._timers.close()
        self._courier.send = None
        await self._sockets.close()
        if self._sender is not None:
            await self._sender.close()
        if self._runner is not None:
            await self._runner.cleanup()


def create(**options: Any) -> LarkSimulator:
    """The simulator for `platforms.registry`, not yet started."""
    return LarkSimulator(**options)
