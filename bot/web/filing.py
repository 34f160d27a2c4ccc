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
        place = await self._place(platform, identity, workspace_id, channel_id)
        if root is not None:
            place = place.model_copy(update={"root": root, "native": None})
        match await platform.history(place, None, 1):
            case Gone():
                raise NO_CHANNEL
            case NotAllowed(fix=fix):
                raise ApiError(400, "not_in_channel", "The bot is not in that channel.", fix)
            case Retry(why=why) if len(self._platforms) > 1:
                log.warning("channel_not_looked_up", platform=name, why=why)
                raise ApiError(503, "platform_away", f"{name} cannot be asked about that channel now. Try again.")
            case _:
                return place

    async def _place(self, platform: Platform, identity: Identity, workspace_id: str, channel_id: str) -> ThreadRef:
        """The channel with its workspace: as the platform lists it, else in the bot's own workspace."""
        key = (platform.name, channel_id)
        if key not in self._joined:
            listed = await platform.channels()
            found = [] if isinstance(listed, TROUBLE) else [one for one in listed if _names(one, channel_id)]
            if not found:
                place = ThreadRef(platform=platform.name, workspace_id=identity.workspace_id, channel_id=channel_id)
                if workspace_id not in ("", identity.workspace_id):
                    raise NO_CHANNEL
                return place
            self._joined[key] = found
        for place in self._joined[key]:
            if workspace_id in ("", place.workspace_id):
                return place
        raise NO_CHANNEL

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
