"""Filing over HTTP: the wish as the service takes it, and where its card goes."""

import re
from collections.abc import Mapping
from typing import Final

from bot.core.commands import Options
from bot.core.inbound import Person, ThreadRef
from bot.core.options import read_option
from bot.core.verbs import BadFlag
from bot.ports import Gone, Identity, NotAllowed, Platform
from bot.services.refusals import Refused, refuse_flag
from bot.web.errors import ApiError
from bot.web.schemas import CodeTaskIn

OPTIONS: Final = ("repo", "base", "agent", "priority", "name")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")
_ID: Final = re.compile(r"[\x21-\x7e]{1,100}")
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
    """Finds the thread a card goes to, and makes sure that the bot can post there."""

    def __init__(self, platforms: Mapping[str, Platform]) -> None:
        self._platforms = platforms
        self._identities: dict[str, Identity] = {}

    async def find(self, wish: CodeTaskIn) -> ThreadRef | None:
        """The thread, None when no card is wanted. A channel that no connected platform knows is refused."""
        if wish.thread is not None and wish.channel is not None:
            raise ApiError(400, "channel_twice", "Give `channel` or `thread`, not both.")
        if wish.thread is not None:
            asked = wish.thread
            return await self._known(asked.platform, asked.workspace_id, asked.channel_id, asked.thread_id)
        if wish.channel is None:
            return None
        workspace_id, _, channel_id = wish.channel.rpartition("::")
        for name in self._platforms:
            return await self._known(name, workspace_id, channel_id, None)
        raise NO_CHANNEL

    async def _known(self, name: str, workspace_id: str, channel_id: str, root: str | None) -> ThreadRef:
        platform = self._platforms.get(name)
        if platform is None or any(_ID.fullmatch(part) is None for part in (channel_id, root or "-")):
            raise NO_CHANNEL
        identity = await self._identity(name, platform)
        if workspace_id not in ("", identity.workspace_id):
            raise NO_CHANNEL
        place = ThreadRef(platform=name, workspace_id=identity.workspace_id, channel_id=channel_id, root=root)
        match await platform.history(place, None, 1):
            case Gone():
                raise NO_CHANNEL
            case NotAllowed(fix=fix):
                raise ApiError(400, "not_in_channel", "The bot is not in that channel.", fix)
            case _:
                return place

    async def _identity(self, name: str, platform: Platform) -> Identity:
        if name not in self._identities:
            told = await platform.preflight()
            if not isinstance(told, Identity):
                raise ApiError(503, "platform_refused", f"{name} refuses the bot's credentials.", told.fix)
            self._identities[name] = told
        return self._identities[name]
