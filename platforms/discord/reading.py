"""What is read from Discord: messages of channels and threads, the channels themselves, people."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from bot.core.inbound import MessageRef, Person, ThreadRef
from bot.ports import AuthFailed, Clock, Gone, Posted, Retry, Trouble
from platforms.channel_names import ChannelNames
from platforms.discord.api import PATIENT, TROUBLE, Api
from platforms.discord.commands import Intake
from platforms.discord.inbound import DIRECT, GUEST, read_past, snowflake_at
from platforms.discord.places import (
    ADMINISTRATOR,
    FORUMS,
    MANAGE_GUILD,
    TEXT_CHANNELS,
    VIEW,
    bits_of,
    permissions_in,
)

READ_HISTORY: Final = 1 << 16
PAGE: Final = 100
"""Messages of one page: Discord's limit."""
MAX_PAGES: Final = 50
PERSON_LIFE: Final = timedelta(minutes=10)
"""How long a person's name and roles are remembered (ours)."""
GUILD_LIFE: Final = timedelta(minutes=10)
UNIDENTIFIED: Final = Retry(timedelta(seconds=1), why="not identified yet")
"""Until Discord has told who the bot is, its own messages cannot be told from other people's."""


class Reading:
    """Reads by the bot's token; works without a gateway, so also on a replica that stands by."""

    def __init__(self, api: Api, intake: Intake, clock: Clock) -> None:
        self._api, self._intake, self._clock = api, intake, clock
        self._people: dict[tuple[str, str], tuple[datetime, Person]] = {}
        self._guilds: dict[str, tuple[datetime, Mapping[str, Any]]] = {}
        self.names = ChannelNames(clock, self._name)

    async def _get(self, path: str, **parameters: Any) -> Any:
        return await self._api.call("GET", path, patience=PATIENT, **parameters)

    # --- Messages -----------------------------------------------------------------------------------------------------

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> list[Posted] | Trouble:
        """Messages oldest first. A thread that nobody opened yet has none; a channel's are those outside threads."""
        me, now = self._intake.me, self._clock.now()
        if me is None:
            return UNIDENTIFIED
        direct = scope.workspace_id == DIRECT
        threaded = scope.root is not None and not direct
        channel = (scope.native or scope.root or "") if threaded else scope.channel_id
        raw = await self._messages(channel, after, limit)
        if isinstance(raw, Gone) and threaded:
            return Gone("thread", raw.why) if scope.native else []
        if isinstance(raw, TROUBLE):
            return raw
        place = {"type": 11, "parent_id": scope.channel_id} if threaded else {}
        guild = "" if direct else scope.workspace_id
        found = [past for message in raw if (past := read_past(message, place, guild, me, now))]
        found.sort(key=lambda past: int(past.message.message_id))  # the order of a page is unreliable
        return found[-limit:] if after is None else found[:limit]

    async def read(self, message: MessageRef, where: str) -> Posted | Trouble:
        """One message of the channel or thread `where`."""
        me, thread = self._intake.me, message.thread
        if me is None:
            return UNIDENTIFIED
        path = "/channels/{channel_id}/messages/{message_id}"
        raw = await self._get(path, channel_id=where, message_id=message.message_id)
        if isinstance(raw, TROUBLE):
            return raw
        place = {"type": 11, "parent_id": thread.channel_id} if where != thread.channel_id else {}
        guild = "" if thread.workspace_id == DIRECT else thread.workspace_id
        past = read_past(raw, place, guild, me, self._clock.now())
        return past or Gone("message", "no message of a person")

    async def _messages(self, channel: str, after: datetime | None, limit: int) -> list[Mapping[str, Any]] | Trouble:
        """Raw messages: the first `limit` after an instant, or the last `limit`."""
        raw: dict[str, Mapping[str, Any]] = {}
        edge = str(snowflake_at(after)) if after is not None else ""
        for _ in range(MAX_PAGES):
            query = {"limit": PAGE, **({("before" if after is None else "after"): edge} if edge else {})}
            page = await self._get("/channels/{channel_id}/messages", channel_id=channel, query=query)
            if isinstance(page, TROUBLE):
                return page
            ids = [int(message["id"]) for message in page]
            raw |= {str(message["id"]): message for message in page}
            if len(page) < PAGE or len(raw) >= limit:
                break
            edge = str(min(ids) if after is None else max(ids))
        return list(raw.values())

    # --- Channels -----------------------------------------------------------------------------------------------------

    async def channels(self) -> list[ThreadRef] | Trouble:
        """The channels and open threads that the bot may read."""
        if self._intake.me is None:
            return UNIDENTIFIED
        guilds = await self._get("/users/@me/guilds", query={"limit": 200})
        if isinstance(guilds, TROUBLE):
            return guilds
        joined: list[ThreadRef] = []
        for guild in guilds:
            found = await self._channels_of(str(guild["id"]))
            if isinstance(found, TROUBLE):
                return found
            joined += found
        return joined

    async def _name(self, channel: str) -> str | None:
        found = await self._get("/channels/{channel_id}", channel_id=channel)
        if isinstance(found, TROUBLE):
            return None if isinstance(found, Retry | AuthFailed) else ""
        return str(found.get("name") or "")

    async def _channels_of(self, guild_id: str) -> list[ThreadRef] | Trouble:
        guild, member = await self.guild(guild_id), await self._member(guild_id, self._me)
        listed = await self._get("/guilds/{guild_id}/channels", guild_id=guild_id)
        active = await self._get("/guilds/{guild_id}/threads/active", guild_id=guild_id)
        for answer in (guild, member, listed, active):
            if isinstance(answer, TROUBLE):
                return answer
        roles = roles_of(guild)
        readable: set[str] = set()
        forums: set[str] = set()
        for channel in listed:
            self._intake.places.remember(channel)
            held = permissions_in(
                roles, member.get("roles") or [], guild_id, channel.get("permission_overwrites"), self._me
            )
            if held & VIEW and held & READ_HISTORY and channel.get("type") in TEXT_CHANNELS | FORUMS:
                (readable if channel["type"] in TEXT_CHANNELS else forums).add(str(channel["id"]))
        here = [_place(guild_id, id) for id in sorted(readable, key=int)]
        for thread in active.get("threads") or []:
            self._intake.places.remember(thread)
            if str(thread.get("parent_id")) in readable | forums:
                here.append(_place(guild_id, str(thread["parent_id"]), str(thread["id"])))
        return here

    @property
    def _me(self) -> str:
        return self._intake.me.bot_user_id if self._intake.me else ""

    async def guild(self, guild_id: str) -> Any:
        """A server with its roles; remembered for ten minutes."""
        known = self._guilds.get(guild_id)
        if known is not None and known[0] > self._clock.now():
            return known[1]
        found = await self._get("/guilds/{guild_id}", guild_id=guild_id)
        if not isinstance(found, TROUBLE):
            self._guilds[guild_id] = (self._clock.now() + GUILD_LIFE, found)
        return found

    async def _member(self, guild_id: str, user_id: str) -> Any:
        return await self._get("/guilds/{guild_id}/members/{member_id}", guild_id=guild_id, member_id=user_id)

    # --- People -------------------------------------------------------------------------------------------------------

    async def resolve(self, person: Person) -> Person | Retry:
        """The person with name and roles. In direct messages nobody has roles: they come from a server."""
        if person.kind in ("bot", "webhook") or person.workspace_id == DIRECT:
            return person
        now, key = self._clock.now(), (person.workspace_id, person.id)
        known = self._people.get(key)
        if known is None or known[0] <= now:
            found = await self._described(person)
            if not isinstance(found, Person):
                passing = found if isinstance(found, Retry) else _until_trusted(found)
                return known[1] if known else passing or person
            known = (now + PERSON_LIFE, found)
            self._people = {**dict(list(self._people.items())[-4999:]), key: known}
        kind = person.kind if person.kind == "external" else known[1].kind
        return known[1].model_copy(update={"kind": kind, "locale": person.locale or known[1].locale})

    async def _described(self, person: Person) -> Person | Trouble:
        member = await self._member(person.workspace_id, person.id)
        if isinstance(member, Gone):  # 10007: not in the server any more, or never was
            return person.model_copy(update={"kind": "external", "roles": frozenset()})
        if isinstance(member, TROUBLE):
            return member
        guild = await self.guild(person.workspace_id)
        if isinstance(guild, TROUBLE):
            return guild
        return describe(person, member, guild)


def _place(guild_id: str, channel: str, thread: str | None = None) -> ThreadRef:
    return ThreadRef(platform="discord", workspace_id=guild_id, channel_id=channel, root=thread, native=thread)


def _until_trusted(trouble: object) -> Retry | None:
    """Refused credentials say nothing about a person: ask again with better ones."""
    return Retry(timedelta(seconds=1), why=trouble.why) if isinstance(trouble, AuthFailed) else None


def roles_of(guild: Mapping[str, Any]) -> dict[str, int]:
    """Role id -> permissions."""
    return {str(role["id"]): bits_of(role.get("permissions")) for role in guild.get("roles") or []}


def describe(person: Person, member: Mapping[str, Any], guild: Mapping[str, Any]) -> Person:
    """A person as their membership and the server's roles describe them."""
    given = member.get("user")
    user: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    held: Sequence[str] = [str(role) for role in member.get("roles") or []]
    permissions = roles_of(guild)
    bits = permissions.get(str(guild.get("id")), 0)
    for role in held:
        bits |= permissions.get(role, 0)
    roles = {"member", *held}
    roles |= {"owner"} if guild.get("owner_id") == person.id else set[str]()
    roles |= {"admin"} if bits & (ADMINISTRATOR | MANAGE_GUILD) else set[str]()
    flags, kind = member.get("flags"), person.kind
    if user.get("bot") is True:
        kind, roles = "bot", set[str]()
    elif isinstance(flags, int) and flags & GUEST:
        kind, roles = "guest", roles - {"member"}
    name = member.get("nick") or user.get("global_name") or user.get("username") or person.name
    told = {"name": str(name), "kind": kind, "roles": frozenset(roles)}
    return Person.model_validate({**person.model_dump(), **told})
