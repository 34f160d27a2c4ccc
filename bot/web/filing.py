"""Filing over HTTP: the wish as the service takes it, and where its card goes."""

import re
from collections.abc import Mapping
from typing import Final

import structlog

from bot.core.commands import Options
from bot.core.inbound import Person, ThreadRef
from bot.core.options import read_option
from bot.core.verbs import BadFlag
from bot.ports import AuthFailed, Gone, Identity, NotAllowed, Platform, Retry, Unsendable
from bot.services.refusals import Refused, refuse_flag
from bot.web.errors import ApiError
from bot.web.schemas import CodeTaskIn, ThreadIn

log = structlog.get_logger(__name__)
OPTIONS: Final = ("repo", "base", "agent", "priority", "name")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")
_ID: Final = re.compile(r"[\x21-\x7e]{1,100}")
TROUBLE: Final = (Retry, Gone, NotAllowed, AuthFailed, Unsendable)
NO_CHANNEL: Final = ApiError(400, "unknown_channel", "Channel not found in configured workspaces")


def read_options(wish: CodeTaskIn) -> Options | Refused:
    """The options of a wish, checked as those of a chat command are."""
    values: dict[str, str] = {}
    for name in OPTIONS:
        given = getattr(wish, name)
        if given is None:
            continue
        value = read_option(name, given)
        if isinstance(value, BadFlag):
            return refuse_flag(value)
        values[name] = str(value)
    return Options(**values, draft=wish.draft)  # type: ignore[arg-type]


def dedup_key(person: Person, key: str | None) -> str | None:
    """What an `Idempotency-Key` is stored as: a key counts for one person."""
    if key is None:
        return None
    if _KEY.fullmatch(key) is None:
        raise ApiError(400, "bad_idempotency_key", "Idempotency-Key is 1 to 200 printable ASCII characters.")
    return f"api:{person.platform}:{person.workspace_id}:{person.id}:{key}"


class Places:
    """Finds the thread a card or an answer goes to, and makes sure that the bot can post there."""

    def __init__(self, platforms: Mapping[str, Platform]) -> None:
        self._platforms = platforms
        self._identities: dict[str, Identity] = {}
        self._joined: dict[tuple[str, str], list[ThreadRef]] = {}

    async def find(self, channel: str | None, thread: ThreadIn | str | None) -> ThreadRef | None:
        """The thread, or the channel (no root); None when neither is given. `channel` is an id, `workspace::id` or
        `platform:workspace:id`; `thread` the root of a thread in it, or the whole place. What no connected platform
        knows is refused."""
        if isinstance(thread, ThreadIn):
            if channel is not None:
                raise ApiError(400, "channel_twice", "Give `channel` or `thread`, not both.")
            return await self._on(thread.platform, thread.workspace_id, thread.channel_id, thread.thread_id)
        if channel is None:
            if thread is not None:
                raise ApiError(400, "thread_without_channel", "`thread` needs `channel`.")
            return None
        platform, workspace_id, channel_id = split_channel(channel)
        return await self._on(platform, workspace_id, channel_id, thread)

    async def _on(self, platform: str, workspace_id: str, channel_id: str, root: str | None) -> ThreadRef:
        """The place on the platform that is named, else on the first that knows the channel."""
        names = [name for name in self._platforms if platform in ("", name)]
        if not names or any(_ID.fullmatch(part) is None for part in (channel_id, root or "-")):
            raise NO_CHANNEL
        problem = NO_CHANNEL
        for name in names:
            try:
                return await self._known(name, workspace_id, channel_id, root)
            except ApiError as error:
                problem = error if problem is NO_CHANNEL else problem
        raise problem

    async def _known(self, name: str, workspace_id: str, channel_id: str, root: str | None) -> ThreadRef:
        platform = self._platforms[name]
        identity = await self._identity(name, platform)
        joined = await self._listed(platform, channel_id)
        places = joined or [ThreadRef(platform=name, workspace_id=identity.workspace_id, channel_id=channel_id)]
        place = next((one for one in places if workspace_id in ("", one.workspace_id)), None)
        if place is None:
            raise NO_CHANNEL
        if root is not None:
            place = place.model_copy(update={"root": root, "native": None})
        if not joined or root is not None:
            await self._probe(platform, place, joined)
        return place

    async def _probe(self, platform: Platform, place: ThreadRef, joined: list[ThreadRef] | None) -> None:
        """Refuses a place that is not there. In a channel that the bot is in it may lack the right to read (Lark's
        history takes a right of its own) and still post. What is in no list and says nothing (Lark answers so for
        any person's id) is not known."""
        match await platform.history(place, None, 1):
            case [] if joined == []:
                raise NO_CHANNEL
            case Gone() | Unsendable():
                raise NO_CHANNEL
            case AuthFailed(fix=fix):
                raise ApiError(503, "platform_refused", f"{platform.name} refuses the bot's credentials.", fix)
            case NotAllowed(fix=fix) if not joined:
                raise ApiError(400, "not_in_channel", "The bot is not in that channel.", fix)
            case Retry(why=why) if not joined and len(self._platforms) > 1:
                log.warning("channel_not_looked_up", platform=platform.name, why=why)
                says = f"{platform.name} cannot be asked about that channel now. Try again."
                raise ApiError(503, "platform_away", says)
            case _:
                pass

    async def _listed(self, platform: Platform, channel_id: str) -> list[ThreadRef] | None:
        """Where the platform lists the channel, or the thread, of that id among those the bot is in; None where it
        cannot tell."""
        key = (platform.name, channel_id)
        if key not in self._joined:
            listed = await platform.channels()
            if isinstance(listed, TROUBLE):
                return None
            found = [one for one in listed if _names(one, channel_id)]
            if not found:
                return []
            self._joined[key] = found
        return self._joined[key]

    async def _identity(self, name: str, platform: Platform) -> Identity:
        if name not in self._identities:
            told = await platform.preflight()
            if not isinstance(told, Identity):
                raise ApiError(503, "platform_refused", f"{name} refuses the bot's credentials.", told.fix)
            self._identities[name] = told
        return self._identities[name]


def split_channel(text: str) -> tuple[str, str, str]:
    """(platform, workspace id, channel id) of `C1`, `T1::C1` or `slack:T1:C1`; what is not said is empty."""
    parts = text.split(":")
    if len(parts) == 3 and parts[0] and parts[1]:
        return parts[0], parts[1], parts[2]
    workspace_id, _, channel_id = text.rpartition("::")
    return "", workspace_id, channel_id


def _names(place: ThreadRef, channel_id: str) -> bool:
    return channel_id == place.channel_id if place.root is None else channel_id in (place.native, place.root)
