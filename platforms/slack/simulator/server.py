"""The simulator itself: wires the parts, serves them, and offers verbs and readers."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, Self, TypeVar

from aiohttp import web

from platforms.simulation import Changes, Fault, FaultPlan, LoopThread, SimulatedClock, Timers
from platforms.slack.simulator import catalog
from platforms.slack.simulator.answers import Answers
from platforms.slack.simulator.chat import Chat
from platforms.slack.simulator.conversations import Conversations
from platforms.slack.simulator.delivery import Courier, Delivery, Kind
from platforms.slack.simulator.events import Events, Interactions
from platforms.slack.simulator.people import People
from platforms.slack.simulator.readers import Readers
from platforms.slack.simulator.sender import Sender
from platforms.slack.simulator.sockets import Sockets
from platforms.slack.simulator.state import Channel, ChannelKind, StoredMessage, User, View, Whisper, World
from platforms.slack.simulator.surfaces import Surfaces
from platforms.slack.simulator.webapi import Credentials, Rates, WebApi

T = TypeVar("T")
Who = str | User
Where = str | Channel


class SlackSimulator(Readers):
    """Slack's server side on 127.0.0.1, driven by the real SDKs with only the base URL changed.

    People: `ana` (owner), `bo`, `cy` (members), `gus` (guest). Channels: `#general` and `#dev` (public, bot is in),
    `#ops` (private, bot is in), `#lounge` (public) and `#secret` (private) where the bot is not.

    The verbs are plain methods, safe from any thread; they return at once. Use as a context manager or `start`/`stop`.
    """

    def __init__(
        self,
        *,
        clock: SimulatedClock | None = None,
        seed: int | None = None,
        rate_limits: bool = False,
        burst: int = 5,
        max_connections: int = catalog.MAX_CONNECTIONS,
        scopes: frozenset[str] = catalog.MANIFEST_SCOPES,
        events: frozenset[str] = catalog.MANIFEST_EVENTS,
    ) -> None:
        self.clock = clock or SimulatedClock()
        self._changes = Changes()
        self._thread = LoopThread("slack-simulator")
        self._faults = FaultPlan()
        self._world = world = World(self.clock, seed, self._changes.notify)
        self._credentials = self._new_credentials(set(scopes))
        self._timers = Timers(self.clock)
        self._courier = Courier(world, self._timers)
        self._events = Events(world, self._courier, self._credentials.scopes, set(events))
        self._chat = Chat(world, self._events, self._credentials)
        self._surfaces = Surfaces(world, self._chat, self._events, self._credentials)
        self._api = WebApi(world, self._credentials, self._faults, Rates(world, rate_limits, burst))
        self._sockets = Sockets(world, self._courier, self._timers, max_connections)
        self._people = People(world, self._courier, self._events, self._chat, self._surfaces)
        self._people.answers = self._answers = Answers(world, self._chat, self._faults, self._api.calls)
        self._sender: Sender | None = None
        self._runner: web.AppRunner | None = None
        self._base = ""
        self._furnish()
        self._register(Conversations(world, self._chat, self._credentials))

    # --- Lifecycle ----------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, str]:
        """What reaches it by Socket Mode, as settings."""
        return {
            "slack_bot_token": self.bot_token,
            "slack_app_token": self.app_token,
            "codetask_slack_api_url": self.api_url,
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
        """For `AsyncWebClient(base_url=...)`; ends in a slash."""
        return f"{self._base}/api/"

    @property
    def bot_token(self) -> str:
        return self._credentials.bot_token

    @property
    def app_token(self) -> str:
        return self._credentials.app_token

    @property
    def signing_secret(self) -> str:
        return self._credentials.signing_secret

    @property
    def team_id(self) -> str:
        return self._world.team_id

    @property
    def app_id(self) -> str:
        return self._world.app_id

    @property
    def bot_user_id(self) -> str:
        return self._world.bot.id

    # --- The workspace ------------------------------------------------------------------------------------------------

    def add_user(self, name: str, *, channels: tuple[str, ...] = ("general",), **fields: Any) -> User:
        """A new person who is in the named channels. `fields` are those of `User`."""

        def add() -> User:
            user = self._world.add_user(name, **fields)
            for channel in channels:
                self._world.find_channel(channel).members.add(user.id)
            return user

        return self._do(add)

    def add_channel(
        self,
        name: str,
        *,
        kind: ChannelKind = "public",
        members: tuple[Who, ...] = ("ana", "bo", "cy"),
        bot: bool = True,
    ) -> Channel:
        """A new channel."""

        def add() -> Channel:
            ids = {self._world.find_user(who).id for who in members} | ({self.bot_user_id} if bot else set())
            return self._world.add_channel(name, kind, ids)

        return self._do(add)

    def user(self, who: Who) -> User:
        """By name or id."""
        return self._world.find_user(who)

    def channel(self, where: Where) -> Channel:
        """By name or id."""
        return self._world.find_channel(where)

    def usergroup(self, handle: str, *members: Who) -> str:
        """Makes a user group, or gives one other members; its id."""
        return self._do(lambda: self._world.usergroup(handle, [self._world.find_user(who).id for who in members]))

    def direct(self, who: Who) -> Channel:
        """The direct message of a person and the bot."""
        return self._do(lambda: self._world.direct_channel(self._world.find_user(who).id))

    @property
    def edit_window(self) -> timedelta | None:
        """How long messages can be edited; None: for ever."""
        return self._world.edit_window

    @edit_window.setter
    def edit_window(self, window: timedelta | None) -> None:
        self._world.edit_window = window

    # --- What people do -----------------------------------------------------------------------------------------------

    def user_says(
        self, user: Who, text: str, channel: Where = "general", *, thread_ts: str | None = None
    ) -> StoredMessage:
        """A message as typed: `@name` becomes a mention, `& < >` are escaped."""
        return self._do(self._people.says, user, text, channel, thread_ts)

    def user_mentions(
        self, user: Who, text: str, channel: Where = "general", *, thread_ts: str | None = None
    ) -> StoredMessage:
        """A message that begins with a mention of the bot: two events, `app_mention` and `message`."""
        return self._do(self._people.says, user, f"<@{self.bot_user_id}> {text}", channel, thread_ts)

    def user_edits(self, message: StoredMessage, text: str) -> None:
        self._do(self._people.edits, message, text)

    def user_deletes(self, message: StoredMessage) -> None:
        self._do(self._chat.remove, message)

    def runs_command(
        self, user: Who, line: str, channel: Where = "general", *, thread_ts: str | None = None
    ) -> Delivery:
        """Types `/codetask ...`. With `thread_ts` the client refuses: slash commands do not work in threads."""
        return self._do(self._people.runs_command, user, line, channel, thread_ts)

    def uses_shortcut(self, user: Who, message: StoredMessage, callback_id: str = catalog.SHORTCUTS[0]) -> Delivery:
        return self._do(self._people.uses_shortcut, user, message, callback_id)

    def clicks(self, user: Who, message: StoredMessage | Whisper, button: str) -> Delivery:
        """Presses a button, found by label, action id, value or accessible name. LookupError when it is not there."""
        return self._do(self._people.clicks, user, message, button)

    def submits_form(self, user: Who, view: View, values: Mapping[str, Any]) -> Delivery:
        """Sends a modal; `values` by block id, action id or label."""
        return self._do(self._people.submits_form, user, view, values)

    def opens_home(self, user: Who) -> None:
        self._do(self._people.opens_home, user)

    def reacts(self, user: Who, message: StoredMessage, name: str, *, on: bool = True) -> None:
        self._do(self._people.reacts, user, message, name, on)

    def adds_bot(self, channel: Where, *, by: Who = "ana") -> None:
        self._do(self._people.adds_bot, channel, by)

    def removes_bot(self, channel: Where) -> None:
        self._do(self._people.removes_bot, channel)

    def archives_channel(self, channel: Where, *, by: Who = "ana") -> None:
        self._do(self._people.archives, channel, by)

    def unfurl(self, message: StoredMessage, url: str = "https://example.com/", title: str = "Example") -> None:
        self._do(self._people.unfurl, message, url, title)

    # --- What the platform does ---------------------------------------------------------------------------------------

    def redeliver(self, what: Delivery | StoredMessage, *, times: int = 1) -> list[Delivery]:
        """Sends the events of a message (or one delivery) again, with the same event ids."""

        def again() -> list[Delivery]:
            chosen = [what] if isinstance(what, Delivery) else self.deliveries_of(what)
            for _ in range(times):
                for delivery in chosen:
                    self._courier.again(delivery)
            return chosen

        return self._do(again)

    def delivers(self, kind: Kind, payload: Mapping[str, Any]) -> Delivery:
        """Sends any payload to the app, also one that Slack would never send."""
        return self._do(self._courier.dispatch, Delivery(kind, dict(payload), str(payload.get("type", kind))))

    def shows_form(self, user: Who, view: dict[str, Any]) -> View:
        """A modal as `views.open` would show it, for tests of what follows. `view` must be one that Slack takes."""

        def show() -> View:
            who = self._world.find_user(user).id
            self._surfaces.views_open({"trigger_id": self._world.new_trigger(who), "view": view})
            return self.views[-1]

        return self._do(show)

    def user_closes_form(self, user: Who, view: View) -> Delivery | None:
        """Closes a modal without sending it; the app hears of it when the view asked for that, else None."""
        return self._do(self._people.closes_form, user, view)

    def user_types_choice(self, user: Who, action_id: str, text: str) -> Delivery:
        """Types into a select whose options the app supplies."""
        return self._do(self._people.types_choice, user, action_id, text)

    def drop_connection(self, how: Literal["clean", "abort", "blackhole"] = "abort") -> None:
        """Ends the open sockets: a close frame, a TCP reset, or silence on an open connection."""
        self._do(self._sockets.drop, how)

    def server_says_reconnect(self, reason: str = "refresh_requested") -> None:
        self._do(self._sockets.ask_to_reconnect, reason)

    def go_deaf(self, on: bool = True, *, new_connections_too: bool = False) -> None:
        """Connected, pinged, but nothing arrives; Slack believes it delivered. A new connection hears again."""
        self._do(self._sockets.hear, on, new_connections_too)

    def revoke_token(self, which: Literal["bot", "app"] = "bot", *, error: str = "token_revoked") -> None:
        """From now on the token gets `error`; revoking the bot token also sends `tokens_revoked`."""

        def revoke() -> None:
            self._credentials.revoked[self.bot_token if which == "bot" else self.app_token] = error
            if which == "bot":
                tokens = {"oauth": [], "bot": [self.bot_user_id]}
                self._events.emit("tokens_revoked", {"type": "tokens_revoked", "tokens": tokens})

        self._do(revoke)

    def restore_token(self) -> None:
        self._do(self._credentials.revoked.clear)

    def revoke_scope(self, scope: str) -> None:
        self._do(self._credentials.scopes.discard, scope)
        self._do(self._credentials.app_scopes.discard, scope)

    def grant_scope(self, scope: str) -> None:
        self._do(self._credentials.scopes.add, scope)

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
        error: str | None = None,
        drop_before_commit: bool = False,
        drop_after_commit: bool = False,
        times: int | None = 1,
    ) -> None:
        """Faults for the next calls of a web API method, `response_url`, or `*`. `times` None: until `heal`."""
        fault = Fault(status, retry_after, error, drop_before_commit, drop_after_commit)
        self._do(self._faults.add, method, fault, times)

    def heal(self) -> None:
        """Drops all planned faults."""
        self._do(self._faults.clear)

    def use_http(self, request_url: str) -> None:
        """From now on payloads are posted, signed, to this URL instead of going over sockets."""

        def switch() -> None:
            if self._sender is not None:
                self._sender.url = request_url
                return
            self._sender = Sender(self._world, self._courier, self.signing_secret, request_url)
            self._courier.send = self._sender.send

        self._do(switch)

    async def verify_request_url(self) -> bool:
        """The `url_verification` handshake with the URL of `use_http`: whether the app passed."""
        if self._sender is None:
            raise RuntimeError("no request URL; call use_http first")
        return await self._thread.ask(self._sender.verify)

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _do(self, function: Callable[..., T], *arguments: Any) -> T:
        return self._thread.call(function, *arguments)

    def _new_credentials(self, scopes: set[str]) -> Credentials:
        ids = self._world.ids
        bot_token = f"xoxb-{ids.digits(12)}-{ids.digits(13)}-{ids.secret(24)}"
        app_token = f"xapp-1-{self._world.app_id}-{ids.digits(13)}-{ids.hexadecimal(64)}"
        return Credentials(bot_token, app_token, ids.hexadecimal(32), scopes, {"connections:write"})

    def _furnish(self) -> None:
        world = self._world
        ana = world.add_user("ana", real_name="Ana Pires", is_admin=True, is_owner=True)
        bo = world.add_user("bo", real_name="Bo Lindqvist", tz="America/New_York", tz_offset=-18_000)
        cy = world.add_user("cy", real_name="Cy Wong", tz="Asia/Shanghai", tz_offset=28_800, locale="zh-CN")
        gus = world.add_user("gus", real_name="Gus Guest", is_restricted=True)
        staff, bot = {ana.id, bo.id, cy.id}, {world.bot.id}
        rooms: tuple[tuple[str, ChannelKind, set[str]], ...] = (
            ("general", "public", staff | bot | {gus.id}),
            ("dev", "public", staff | bot),
            ("ops", "private", {ana.id, bo.id} | bot),
            ("lounge", "public", set(staff)),
            ("secret", "private", {ana.id}),
        )
        for name, kind, members in rooms:
            world.add_channel(name, kind, members, is_general=name == "general").creator = ana.id

    def _register(self, conversations: Conversations) -> None:
        chat, surfaces = self._chat, self._surfaces
        self._api.handlers = {
            "auth.test": surfaces.auth_test,
            "apps.connections.open": self._open_connection,
            "bots.info": surfaces.bots_info,
            "chat.postMessage": chat.post_message,
            "chat.update": chat.update,
            "chat.delete": chat.delete,
            "chat.postEphemeral": chat.post_ephemeral,
            "chat.getPermalink": chat.get_permalink,
            "conversations.info": conversations.info,
            "conversations.list": conversations.list,
            "conversations.history": conversations.history,
            "conversations.replies": conversations.replies,
            "conversations.open": conversations.open,
            "reactions.add": lambda arguments: surfaces.react(arguments, True),
            "reactions.remove": lambda arguments: surfaces.react(arguments, False),
            "usergroups.list": surfaces.usergroups_list,
            "users.info": surfaces.users_info,
            "views.open": surfaces.views_open,
            "views.update": surfaces.views_update,
            "views.publish": surfaces.views_publish,
            "assistant.threads.setStatus": surfaces.set_status,
        }

    def _open_connection(self, arguments: dict[str, Any]) -> dict[str, Any]:
        host = self._base.removeprefix("http://")
        return {"url": f"ws://{host}/link?ticket={self._sockets.new_ticket()}&app_id={self.app_id}"}

    async def _open(self) -> None:
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_route("*", "/api/{method}", self._api.handle)
        app.router.add_get("/link", self._sockets.link)
        app.router.add_post("/hooks/{token:.+}", self._answers.hook)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self._base = f"http://{host}:{port}"
        self._timers.open()
        self._people.interactions = Interactions(self._world, self._base)
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


def create(**options: Any) -> SlackSimulator:
    """The simulator for `platforms.registry`, not yet started."""
    return SlackSimulator(**options)
