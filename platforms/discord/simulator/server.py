"""The simulator itself: wires the parts, serves them, and offers verbs and readers."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, Self, TypeVar

from aiohttp import web
from yarl import URL

from platforms.discord.simulator import catalog
from platforms.discord.simulator.api import Api, Rates
from platforms.discord.simulator.app import Application
from platforms.discord.simulator.catalog import Intent, Permission
from platforms.discord.simulator.channels import Channels
from platforms.discord.simulator.events import Events
from platforms.discord.simulator.gateway import Gateway
from platforms.discord.simulator.interactions import Interaction, Interactions
from platforms.discord.simulator.messages import Messages
from platforms.discord.simulator.people import People, Where
from platforms.discord.simulator.readers import Readers
from platforms.discord.simulator.registered import Registered
from platforms.discord.simulator.routes import handlers
from platforms.discord.simulator.state import Channel, Form, Overwrite, StoredMessage, User, World
from platforms.simulation import ANY, Changes, Fault, FaultPlan, LoopThread, SimulatedClock, Timers

T = TypeVar("T")
Who = str | User
GATEWAY = "gateway"
"""In a fault plan: the opening of a gateway socket."""
HEARTBEAT = timedelta(milliseconds=41_250)


class DiscordSimulator(Readers):
    """Discord's server side on 127.0.0.1, driven by the real SDKs with only the addresses changed.

    One guild. People: `ana` (owner), `bo`, `cy` (members), `gus` (guest, may only talk). Channels: `#general` and
    `#dev` (the bot is in), `#lounge` (the bot does not see it). Threads are channels; where a verb takes a place, a
    message means the thread started from it, or the channel it is in.

    The verbs are plain methods, safe from any thread; they return at once. Use as a context manager or `start`/`stop`.
    """

    def __init__(
        self,
        *,
        clock: SimulatedClock | None = None,
        seed: int | None = None,
        rate_limits: bool = False,
        heartbeat: timedelta = HEARTBEAT,
        intents: int = int(Intent.MESSAGE_CONTENT),
    ) -> None:
        """`intents` are the privileged ones the application has."""
        self.clock = clock or SimulatedClock()
        self._changes = Changes()
        self._thread = LoopThread("discord-simulator")
        self._faults = FaultPlan()
        self._world = world = World(self.clock, seed, self._changes.notify)
        self._furnish()
        self._app = app = Application(world, self._new_token(), intents)
        self._timers = Timers(self.clock)
        self._gateway = Gateway(world, app, heartbeat, self._faults)
        self._events = Events(world, app, self._gateway)
        self._messages = Messages(world, app, self._events)
        self._channels = Channels(world, self._messages)
        self._registered = Registered(world)
        self._interactions = Interactions(world, self._messages, self._timers)
        self._people = People(world, self._messages, self._channels, self._interactions, self._registered)
        self._api = Api(world, app, self._faults, Rates(world, rate_limits))
        self._api.handlers = handlers(
            app, self._messages, self._channels, self._registered, self._interactions, lambda: str(self.gateway_url)
        )
        self._runner: web.AppRunner | None = None
        self._host = ""

    # --- Lifecycle ----------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, str]:
        """What reaches it, as settings."""
        return {
            "discord_token": self.bot_token,
            "codetask_discord_api_url": self.api_url,
            "codetask_discord_gateway_url": str(self.gateway_url),
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
        """For `discord.http.Route.BASE`; no slash at the end."""
        return f"http://{self._host}/api/v10"

    @property
    def gateway_url(self) -> URL:
        """For `DiscordWebSocket.DEFAULT_GATEWAY`; `str()` of it for a setting."""
        return URL(f"ws://{self._host}/")

    @property
    def bot_token(self) -> str:
        return self._app.token

    @property
    def app_id(self) -> str:
        return self._world.app_id

    @property
    def guild_id(self) -> str:
        return self._world.guild_id

    @property
    def bot_user_id(self) -> str:
        return self._world.bot.id

    # --- The guild ----------------------------------------------------------------------------------------------------

    def add_user(self, name: str, **fields: Any) -> User:
        """A new member. `fields` are those of `User`; `stranger=True`: not in the guild; `bot=True`: another bot."""

        def add() -> User:
            user = self._world.add_user(
                name, **{"roles": list(self._world.users[self._world.owner_id].roles), **fields}
            )
            if not user.stranger:
                self._events.member("GUILD_MEMBER_ADD", user)
            return user

        return self._do(add)

    def add_channel(self, name: str, *, bot: bool = True) -> Channel:
        """A new text channel; without `bot` one that the bot does not see."""

        def add() -> Channel:
            channel = self._world.add_channel(name)
            if not bot:
                channel.overwrites[self.bot_user_id] = Overwrite(1, deny=Permission.VIEW_CHANNEL)
            self._events.channel("CHANNEL_CREATE", channel)
            return channel

        return self._do(add)

    def user(self, who: Who) -> User:
        """By name or id."""
        return self._world.find_user(who)

    def channel(self, where: Where) -> Channel:
        """By name or id; for a message its thread or channel."""
        return self._people.place(where)

    def direct(self, who: Who) -> Channel:
        """The direct message of a person and the bot."""
        return self._do(lambda: self._world.direct_channel(self._world.find_user(who).id))

    @property
    def old_edits(self) -> int:
        """How many edits a message over an hour old takes within an hour, before 30046."""
        return self._messages.old_edits

    @old_edits.setter
    def old_edits(self, most: int) -> None:
        self._messages.old_edits = most

    # --- What people do -----------------------------------------------------------------------------------------------

    def user_says(
        self, user: Who, text: str, channel: Where = "general", *, reply_to: StoredMessage | None = None
    ) -> StoredMessage:
        """A message as typed: `@name` becomes a mention."""
        return self._do(self._people.says, user, text, channel, reply_to)

    def user_mentions(
        self, user: Who, text: str, channel: Where = "general", *, reply_to: StoredMessage | None = None
    ) -> StoredMessage:
        """A message that begins with a mention of the bot."""
        return self._do(self._people.says, user, f"<@{self.bot_user_id}> {text}", channel, reply_to)

    def user_edits(self, message: StoredMessage, text: str) -> None:
        self._do(self._people.edits, message, text)

    def user_deletes(self, message: StoredMessage) -> None:
        self._do(self._messages.remove, message)

    def user_accepts_messages(self, user: Who, on: bool) -> None:
        """Whether the person takes direct messages from people of the guild; without: 50007."""

        def switch() -> None:
            self._world.find_user(user).accepts_messages = on

        self._do(switch)

    def starts_thread(self, user: Who, on: Where, name: str = "Thread") -> Channel:
        """Starts a thread from a message, or in a channel without one."""
        return self._do(self._people.starts_thread, user, on, name)

    def runs_command(
        self, user: Who, command: str, options: Mapping[str, Any] | None = None, channel: Where = "general"
    ) -> Interaction:
        """Sends a registered slash command (`/codetask new`). LookupError when the client would not let one send it."""
        return self._do(self._people.runs_command, user, command, options or {}, channel)

    def types_choice(
        self,
        user: Who,
        command: str,
        option: str,
        text: str,
        channel: Where = "general",
        *,
        options: Mapping[str, Any] | None = None,
    ) -> Interaction:
        """Types into an option with autocompletion; the offer is in `choices` of the result once answered."""
        return self._do(self._people.types_choice, user, command, option, text, options or {}, channel)

    user_types_choice = types_choice

    def uses_menu(self, user: Who, message: StoredMessage, name: str) -> Interaction:
        """Picks an entry of a message's Apps menu."""
        return self._do(self._people.uses_menu, user, message, name)

    uses_shortcut = uses_menu

    def clicks(self, user: Who, message: StoredMessage, button: str) -> Interaction:
        """Presses a button, found by label or custom id. LookupError when it is not there."""
        return self._do(self._people.clicks, user, message, button)

    def submits_form(self, user: Who, form: Form, values: Mapping[str, Any]) -> Interaction:
        """Sends a modal; `values` by custom id or label."""
        return self._do(self._people.submits_form, user, form, values)

    def shows_form(self, user: Who, body: Mapping[str, Any], channel: Where = "general") -> Form:
        """Puts a modal before a person, as callback type 9 would (`title`, `custom_id`, `components`), for tests of
        what follows. Raises what Discord refuses.
        """
        return self._do(self._interactions.show, self._world.find_user(user), self._people.place(channel), dict(body))

    def user_closes_form(self, user: Who, form: Form) -> None:
        """Closes a modal without sending it; Discord tells nobody."""

        def close() -> None:
            form.open = False

        self._do(close)

    def reacts(self, user: Who, message: StoredMessage, emoji: str, *, on: bool = True) -> None:
        self._do(self._people.reacts, user, message, emoji, on)

    def adds_bot(self, channel: Where | None = None) -> None:
        """Lets the bot into a channel; without one, into the guild."""
        self._do(self._people.adds_bot, channel)

    def removes_bot(self, channel: Where | None = None) -> None:
        """Hides a channel from the bot; without one, removes it from the guild."""
        self._do(self._people.removes_bot, channel)

    def archives_channel(self, channel: Where) -> None:
        """Discord does not archive channels: this deletes it, with its threads."""
        self._do(lambda: self._channels.delete(self._people.place(channel)))

    def archives_thread(self, thread: Where, *, locked: bool = False) -> None:
        self._do(self._people.archives_thread, thread, locked)

    def reopens_thread(self, thread: Where) -> None:
        self._do(self._people.reopens, thread)

    def deletes_thread(self, thread: Where) -> None:
        self._do(self._people.deletes_thread, thread)

    def unfurl(self, message: StoredMessage, url: str = "https://example.com/", title: str = "Example") -> None:
        self._do(self._people.unfurl, message, url, title)

    # --- What the platform does ---------------------------------------------------------------------------------------

    def redeliver(self, message: StoredMessage, *, times: int = 1) -> None:
        """Sends MESSAGE_CREATE of a message again. Discord does so in a RESUME only; ingress must bear it anyway."""

        def again() -> None:
            for _ in range(times):
                self._events.posted(message)

        self._do(again)

    def delivers(self, event: str, payload: Mapping[str, Any]) -> None:
        """Sends any event to every session, also one that Discord would never send."""
        self._do(self._gateway.dispatch, event, 0, lambda _: dict(payload))

    def drop_connection(self, how: Literal["clean", "abort", "blackhole"] = "abort", *, code: int = 4000) -> None:
        """Ends the open sockets: a close frame with `code`, a TCP reset, or silence on an open connection."""
        self._do(self._gateway.drop, how, code)

    def server_says_reconnect(self) -> None:
        """RECONNECT on every socket; the sessions can be resumed."""
        self._do(self._gateway.ask_to_reconnect)

    def invalidate_session(self, *, resumable: bool = False) -> None:
        """INVALID_SESSION on every socket; unless `resumable` the sessions are gone."""
        self._do(self._gateway.invalidate, resumable)

    def go_deaf(self, on: bool = True, *, new_connections_too: bool = False) -> None:
        """Connected, heartbeats answered, but nothing arrives. A new connection hears again."""
        self._do(self._gateway.hear, on, new_connections_too)

    def revoke_token(self) -> None:
        """From now on the token gets 401, and the gateway closes with 4004."""

        def revoke() -> None:
            self._app.revoked = True
            self._gateway.drop("clean", 4004)

        self._do(revoke)

    def restore_token(self) -> None:
        self._app.revoked = False

    def revoke_permission(self, permission: Permission | str, channel: Where | None = None) -> None:
        """Takes a permission (`SEND_MESSAGES`) from the bot, in one channel or everywhere."""
        self._do(self._people.denies, _bit(permission), channel)

    def grant_permission(self, permission: Permission | str, channel: Where | None = None) -> None:
        self._do(self._people.grants, _bit(permission), channel)

    revoke_scope = revoke_permission
    grant_scope = grant_permission

    def revoke_intent(self, intent: Intent | str = Intent.MESSAGE_CONTENT) -> None:
        """Switches a privileged intent off in the developer portal: content goes blank, IDENTIFY with it gets 4014."""
        self._app.privileged &= ~(Intent[intent.upper()] if isinstance(intent, str) else intent)

    def grant_intent(self, intent: Intent | str = Intent.MESSAGE_CONTENT) -> None:
        self._app.privileged |= Intent[intent.upper()] if isinstance(intent, str) else intent

    def set_interactions_endpoint(self, url: str | None) -> None:
        """What the developer portal says; the simulator itself never posts interactions there."""
        self._app.interactions_endpoint_url = url

    def spend_identifies(self, left: int) -> None:
        """Uses up the IDENTIFY budget of the day down to `left`."""

        def spend() -> None:
            while self._app.identifies_left() > left:
                self._app.count_identify()

        self._do(spend)

    def register_commands(self, commands: list[dict[str, Any]]) -> None:
        """Registers commands as the bulk PUT would; raises what it would refuse."""
        self._do(self._registered.register, commands)

    def advance(self, duration: timedelta) -> None:
        """Moves the clock; expiries that fall due happen now."""

        def move() -> None:
            self.clock.advance(duration)
            if self._thread.running:
                self._timers.run_due()
                self._channels.archive_idle()
            self._changes.notify()

        self._do(move)

    def fail_next(
        self,
        method: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        error: str | int | None = None,
        drop_before_commit: bool = False,
        drop_after_commit: bool = False,
        times: int | None = 1,
    ) -> None:
        """Faults for the next calls of an operation (its OpenAPI id, `create_message`), of `gateway` (a new socket) or
        of `*` (all of these). `create_message@guild` spares direct messages, `@direct` is the other way round.
        `times` None: until `heal`. `error` is one of Discord's codes (`50013`).
        """
        if method not in (ANY, GATEWAY) and method.partition("@")[0] not in self._api.handlers:
            raise LookupError(f"no operation {method!r}; known: {', '.join(sorted(self._api.handlers))}")
        code = None if error is None else str(error)
        self._do(
            self._faults.add, method, Fault(status, retry_after, code, drop_before_commit, drop_after_commit), times
        )

    def heal(self) -> None:
        """Drops all planned faults."""
        self._do(self._faults.clear)

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _do(self, function: Callable[..., T], *arguments: Any) -> T:
        return self._thread.call(function, *arguments)

    def _new_token(self) -> str:
        ids = self._world.ids
        return f"M{ids.secret(25)}.{ids.secret(6)}.{ids.secret(38)}"

    def _furnish(self) -> None:
        world = self._world
        world.add_role("@everyone", catalog.EVERYONE, id=world.guild_id)
        members = world.add_role("Members", catalog.MEMBER)
        guests = world.add_role("Guests", catalog.GUEST)
        own = world.add_role("Codetask", catalog.INVITE_PERMISSIONS, managed=True)
        world.bot.roles = [own.id]
        ana = world.add_user("ana", global_name="Ana Pires", roles=[members.id])
        world.add_user("bo", global_name="Bo Lindqvist", roles=[members.id])
        world.add_user("cy", global_name="Cy Wong", roles=[members.id], locale="zh-CN")
        world.add_user("gus", global_name="Gus Guest", roles=[guests.id], member_flags=catalog.IS_GUEST)
        world.owner_id = ana.id
        for name in ("general", "dev", "lounge"):
            world.add_channel(name)
        lounge = world.find_channel("lounge")
        lounge.overwrites[world.bot.id] = Overwrite(1, deny=Permission.VIEW_CHANNEL)

    async def _open(self) -> None:
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_route("*", "/api/v{version:9|10}/{tail:.*}", self._api.handle)
        app.router.add_get("/", self._gateway.serve)
        app.router.add_get("/resumed/", self._gateway.serve)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self._host = f"{host}:{port}"
        self._gateway.url = str(self.gateway_url)
        self._timers.open()

    async def _close(self) -> None:
        self._timers.close()
        await self._gateway.close()
        if self._runner is not None:
            await self._runner.cleanup()


def _bit(permission: Permission | str) -> Permission:
    return Permission[permission.upper()] if isinstance(permission, str) else permission


def create(**options: Any) -> DiscordSimulator:
    """The simulator for `platforms.registry`, not yet started."""
    return DiscordSimulator(**options)
