"""What is known of servers, channels and threads: which channel a thread is in, and which ones the bot can see.

Fed with gateway events as they come; `permissions_in` is Discord's own algorithm
(https://docs.discord.com/developers/topics/permissions#permission-overwrites).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from platforms.discord.inbound import THREADS, guild_language

Json = Mapping[str, Any]

ADMINISTRATOR, MANAGE_GUILD, VIEW, SEND = 1 << 3, 1 << 5, 1 << 10, 1 << 11
EVERYTHING: Final = (1 << 53) - 1
TEXT_CHANNELS: Final = frozenset({0, 5})
"""Kinds of channels that messages are read in: text and announcements."""
FORUMS: Final = frozenset({15, 16})
"""Kinds of channels that hold threads only: the message that such a thread hangs on is in the thread itself."""
MAX_KNOWN: Final = 20_000
"""Channels and threads that are remembered (ours); the oldest are forgotten and looked up again."""


def permissions_in(roles: Mapping[str, int], mine: Iterable[str], guild_id: str, overwrites: object, me: str) -> int:
    """The permissions of a member with the roles `mine` in a channel with these overwrites."""
    held = [role for role in mine if role in roles]
    bits = roles.get(guild_id, 0)
    for role in held:
        bits |= roles[role]
    if bits & ADMINISTRATOR:
        return EVERYTHING
    found = {str(one.get("id")): one for one in overwrites if isinstance(one, Mapping)} if _is_list(overwrites) else {}
    bits = _changed(bits, [found[guild_id]] if guild_id in found else [])
    bits = _changed(bits, [found[role] for role in held if role in found])
    return _changed(bits, [found[me]] if me in found else [])


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _changed(bits: int, overwrites: list[Json]) -> int:
    for one in overwrites:
        bits &= ~bits_of(one.get("deny"))
    for one in overwrites:
        bits |= bits_of(one.get("allow"))
    return bits


def bits_of(value: object) -> int:
    """A permission set as Discord writes it: a number in a string."""
    return int(value) if isinstance(value, str | int) and str(value).isdecimal() and len(str(value)) < 25 else 0


@dataclass
class Guild:
    """One server: its roles with their permissions, and the bot's own roles."""

    roles: dict[str, int] = field(default_factory=dict)
    mine: list[str] = field(default_factory=list)
    channels: dict[str, Json] = field(default_factory=dict)
    locale: str | None = None


class Places:
    """Remembers what the gateway tells. `me` is the bot's user id, set once it is known."""

    def __init__(self) -> None:
        self.me = ""
        self._guilds: dict[str, Guild] = {}
        self._known: dict[str, dict[str, Any]] = {}
        self._before: set[str] = set()

    def ready(self, data: Json) -> None:
        """A new session: the servers listed are those the bot was in before."""
        listed = data.get("guilds")
        self._before = {str(one.get("id")) for one in listed if isinstance(one, Mapping)} if _is_list(listed) else set()
        user = data.get("user")
        self.me = str(user.get("id")) if isinstance(user, Mapping) else self.me

    def place_of(self, channel_id: object) -> dict[str, Any] | None:
        """What a payload's `place` must say of a channel; None when it is not known."""
        return self._known.get(channel_id) if isinstance(channel_id, str) else None

    def language_of(self, guild_id: object) -> str | None:
        """The locale a server chose for itself, where it did and the gateway told."""
        guild = self._guilds.get(guild_id) if isinstance(guild_id, str) else None
        return guild.locale if guild else None

    def remember(self, channel: Json) -> dict[str, Any]:
        """Notes a channel or thread and answers its place."""
        place = {"type": channel.get("type"), "parent_id": channel.get("parent_id")}
        id = str(channel.get("id"))
        self._known.pop(id, None)
        self._known[id] = place
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        return place

    def learn(self, name: str, data: Json) -> list[str]:
        """Takes in one event. Answers the channels in which the bot has just become able to write."""
        match name:
            case "GUILD_CREATE":
                return self._guild(data)
            case "GUILD_DELETE":
                self._guilds.pop(str(data.get("id")), None)
                if not data.get("unavailable"):
                    self._before.discard(str(data.get("id")))
            case "GUILD_UPDATE" if str(data.get("id")) in self._guilds:
                self._guilds[str(data.get("id"))].locale = _language(data)
            case "CHANNEL_CREATE" | "THREAD_CREATE" | "THREAD_UPDATE":
                self._channel(data)
            case "CHANNEL_UPDATE":
                return self._opened(data, lambda guild: self._channel(data))
            case "CHANNEL_DELETE" | "THREAD_DELETE":
                self._forget(data)
            case "THREAD_LIST_SYNC":
                for thread in _maps(data.get("threads")):
                    self.remember(thread)
            case "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE":
                return self._opened(data, lambda guild: self._roles(guild, [data.get("role")]))
            case "GUILD_MEMBER_UPDATE" if _id(data.get("user")) == self.me:
                return self._opened(data, lambda guild: setattr(guild, "mine", list(data.get("roles") or [])))
            case _:
                pass
        return []

    def _guild(self, data: Json) -> list[str]:
        id = str(data.get("id"))
        guild = self._guilds[id] = Guild(locale=_language(data))
        self._roles(guild, _maps(data.get("roles")))
        for member in _maps(data.get("members")):
            if _id(member.get("user")) == self.me:
                guild.mine = [str(role) for role in member.get("roles") or []]
        for channel in (*_maps(data.get("channels")), *_maps(data.get("threads"))):
            self._channel({**channel, "guild_id": id})
        if id in self._before:
            return []
        self._before.add(id)
        visible = self._writable(id, guild)
        system = data.get("system_channel_id")
        return [str(system)] if system in visible else sorted(visible, key=int)[:1]

    def _roles(self, guild: Guild, roles: Iterable[object]) -> None:
        for role in roles:
            if isinstance(role, Mapping):
                guild.roles[str(role.get("id"))] = bits_of(role.get("permissions"))

    def _channel(self, data: Json) -> None:
        self.remember(data)
        guild = self._guilds.get(str(data.get("guild_id")))
        if guild is not None and data.get("type") not in THREADS:
            guild.channels[str(data.get("id"))] = data

    def _forget(self, data: Json) -> None:
        id = str(data.get("id"))
        self._known.pop(id, None)
        guild = self._guilds.get(str(data.get("guild_id")))
        if guild is not None:
            guild.channels.pop(id, None)

    def _opened(self, data: Json, change: Any) -> list[str]:
        """The channels that are writable after a change and were not before."""
        id = str(data.get("guild_id"))
        guild = self._guilds.get(id)
        if guild is None:
            return []
        before = self._writable(id, guild)
        change(guild)
        return sorted(self._writable(id, guild) - before)

    def _writable(self, id: str, guild: Guild) -> set[str]:
        needed = VIEW | SEND

        def may(channel: Json) -> bool:
            held = permissions_in(guild.roles, guild.mine, id, channel.get("permission_overwrites"), self.me)
            return held & needed == needed

        found = guild.channels.items()
        return {key for key, channel in found if channel.get("type") in TEXT_CHANNELS and may(channel)}


def _language(guild: Json) -> str | None:
    return guild_language(guild.get("preferred_locale"), guild.get("features"))


def _maps(value: object) -> list[Json]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _id(user: object) -> str:
    return str(user.get("id")) if isinstance(user, Mapping) else ""
