"""Reading back from Lark: messages of a chat or thread, the chats the bot is in, people, links."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from bot.core.inbound import MessageRef, Person, ThreadRef
from bot.core.when import zone_named
from bot.ports import AuthFailed, Clock, Gone, NotAllowed, Posted, Retry, Trouble, Unsendable
from platforms.channel_names import ChannelNames
from platforms.lark.inbound import Me, instant, read_past
from platforms.lark.rest import Json, LarkApi

T = TypeVar("T")
Attempt = Callable[[Callable[[], Awaitable[Json]]], Awaitable[Json | Trouble]]

TROUBLE: Final = (Retry, Gone, NotAllowed, AuthFailed, Unsendable)
IM: Final = "/open-apis/im/v1"
PAGE: Final = 50
CHATS: Final = 100
MAX_PAGES: Final = 100
UNKNOWN_ID: Final = "230001"
"""Lark's complaint about a parameter; the id is the only one there is when one message is read."""
MAX_LISTED: Final = 50
"""In how many groups someone is looked for whose company Lark did not tell (ours)."""
PERSON_LIFE: Final = timedelta(minutes=10)
"""How long a person's name and roles are remembered (ours)."""
DEPARTMENT: Final = "od-"
"""How the open id of a department starts; nothing else may become a role, least of all a word like `admin`."""
UNIDENTIFIED: Final = Retry(timedelta(seconds=1), why="not identified yet")
"""Until Lark has told who the bot is, its own messages cannot be told from other people's."""


class Reader:
    """Reads over the API. `attempt` turns failures into values; `me` tells who the bot is, once that is known."""

    def __init__(self, api: LarkApi, attempt: Attempt, me: Callable[[], Me | None], clock: Clock) -> None:
        self._api, self._attempt, self._me, self._clock = api, attempt, me, clock
        self._people: dict[tuple[str, str], tuple[datetime, Person]] = {}
        self._groups: set[str] = set()
        self._direct: set[str] = set()
        self.names = ChannelNames(clock, self._name)

    async def get(self, path: str, **query: Any) -> Json | Trouble:
        """The data of one GET."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return await self._attempt(lambda: self._api.call("GET", path, query=given))

    # --- Messages -----------------------------------------------------------------------------------------------------

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> list[Posted] | Trouble:
        """As the port wants it. Lark keeps no delivery key with a message; posts carry a `uuid` instead."""
        me = self._me()
        if me is None:
            return UNIDENTIFIED
        if scope.root is None and scope.native is None:
            raw = await self._chat(scope.channel_id, after, limit)
        else:
            raw = await self._thread(scope, after)
        direct = await self._is_direct(scope.channel_id) if raw and not isinstance(raw, TROUBLE) else False
        if isinstance(raw, TROUBLE):
            return raw
        if isinstance(direct, TROUBLE):
            return direct
        now = self._clock.now()
        found = [past for item in raw if (past := read_past(item, me, now, direct))]
        found.sort(key=lambda past: (past.message.sent_at, past.message.message_id))
        found = [past for past in found if after is None or past.message.sent_at > after]
        return found[-limit:] if after is None else found[:limit]

    async def read(self, message: MessageRef) -> Posted | Trouble:
        """One message; its chat and thread are Lark's own, whatever the reference says."""
        me = self._me()
        if me is None:
            return UNIDENTIFIED
        found = await self.message(message.message_id)
        if isinstance(found, Unsendable) and found.why == UNKNOWN_ID:
            return Gone("message", found.why)
        if isinstance(found, TROUBLE):
            return found
        if found.get("deleted"):
            return Gone("message", "recalled")
        direct = await self._is_direct(str(found.get("chat_id") or message.thread.channel_id))
        if isinstance(direct, TROUBLE):
            return direct
        past = read_past(found, me, self._clock.now(), direct)
        return past or Gone("message", "no message of a person")

    async def _is_direct(self, chat: str) -> bool | Retry | AuthFailed:
        """Whether a chat that can be read is the bot's with one person, where every word is addressed to it.

        The history does not tell, and Lark lists groups alone: what can be read and is none of them is such a chat."""
        if chat not in self._groups and chat not in self._direct:
            listed = await self.chats()
            if isinstance(listed, Retry | AuthFailed):
                return listed
            if not isinstance(listed, TROUBLE) and chat not in self._groups:
                self._direct.add(chat)
        return chat in self._direct

    async def _chat(self, chat: str, after: datetime | None, limit: int) -> list[Json] | Trouble:
        """The roots of a chat: from an instant on, else the latest. Lark takes whole seconds."""
        if not chat.startswith("oc_"):
            return []  # the chat with one person, known by their id until the first message in it
        start = None if after is None else max(int(after.timestamp()), 0)
        order = "ByCreateTimeDesc" if after is None else "ByCreateTimeAsc"
        return await self._pages("chat", chat, limit if after is None else None, start_time=start, sort_type=order)

    async def _thread(self, scope: ThreadRef, after: datetime | None) -> list[Json] | Trouble:
        """All of a thread; Lark takes no times there. A message that nobody answered is a thread of one."""
        native, root = scope.native, None
        if scope.root:
            found = await self.message(scope.root)
            if isinstance(found, TROUBLE):
                return found
            root, native = found, native or str(found.get("thread_id") or "")
        items = await self._pages("thread", native, None, sort_type="ByCreateTimeAsc") if native else []
        if isinstance(items, TROUBLE):
            return items
        known = {item.get("message_id") for item in items}
        return items if root is None or root.get("message_id") in known else [root, *items]

    async def message(self, message_id: str) -> Json | Trouble:
        """One message as Lark keeps it; `Gone` when it was recalled or is none of ours to see."""
        found = await self.get(f"{IM}/messages/{message_id}")
        if isinstance(found, TROUBLE):
            return found
        items = found.get("items")
        first = items[0] if isinstance(items, list) and items else None
        return first if isinstance(first, Mapping) else Gone("message", "no such message")

    async def _pages(self, kind: str, id: str, limit: int | None, **query: Any) -> list[Json] | Trouble:
        where = {"container_id_type": kind, "container_id": id}
        return await self._every(f"{IM}/messages", limit, **where, page_size=PAGE, **query)

    async def _every(self, path: str, limit: int | None = None, **query: Any) -> list[Json] | Trouble:
        """The items of all pages of a list, or of as many as hold `limit`."""
        found: list[Json] = []
        token: str | None = None
        for _ in range(MAX_PAGES):
            page = await self.get(path, page_token=token, **query)
            if isinstance(page, TROUBLE):
                return page
            items = page.get("items")
            found += [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
            token = str(page.get("page_token") or "")
            if not page.get("has_more") or not token or (limit is not None and len(found) >= limit):
                break
        return found

    # --- Chats --------------------------------------------------------------------------------------------------------

    async def chats(self) -> list[Json] | Trouble:
        """The groups the bot is in."""
        found = await self._every(f"{IM}/chats", page_size=CHATS)
        if isinstance(found, TROUBLE):
            return found
        self._groups = {str(chat.get("chat_id")) for chat in found}
        self._direct -= self._groups
        return found

    async def channels(self) -> list[ThreadRef] | Trouble:
        """The groups the bot is in, for reading back what it missed there."""
        me = self._me()
        if me is None:
            return UNIDENTIFIED
        chats = await self.chats()
        if isinstance(chats, TROUBLE):
            return chats
        ids = [str(chat["chat_id"]) for chat in chats if isinstance(chat.get("chat_id"), str)]
        return [ThreadRef(platform="lark", workspace_id=me.workspace_id, channel_id=id) for id in ids]

    async def _name(self, chat: str) -> str | None:
        if not chat.startswith("oc_"):
            return ""  # the chat with one person, known by their id until the first message in it
        found = await self.get(f"{IM}/chats/{chat}")
        if isinstance(found, TROUBLE):
            return None if isinstance(found, Retry | AuthFailed) else ""
        return str(found.get("name") or "")

    def permalink(self, message: MessageRef) -> str | None:
        """A link that opens the chat in the client. Lark documents none for a single message."""
        chat = message.thread.channel_id
        if not chat.startswith("oc_"):
            return None
        host = urlsplit(self._api.base_url).hostname or ""
        domain = "feishu.cn" if host.endswith("feishu.cn") else "larksuite.com"
        return f"https://applink.{domain}/client/chat/open?{urlencode({'openChatId': chat})}"

    # --- People -------------------------------------------------------------------------------------------------------

    async def resolve(self, person: Person) -> Person | Retry:
        """The person with their name and, where Lark tells, whether they administer the tenant.

        A `guest` is someone of whom Lark did not say which company they are of (reactions): they are a member once
        Lark's directory knows them, or when no group of the bot has people of other companies."""
        if person.kind in ("bot", "webhook", "external"):
            return person  # people of other tenants are out of an app's reach
        now, key = self._clock.now(), (person.id, person.kind)
        known = self._people.get(key)
        if known is None or known[0] <= now:
            found = await self._described(person)
            if isinstance(found, Retry):
                return known[1] if known else found
            known = (now + PERSON_LIFE, found)
            self._people = {**dict(list(self._people.items())[-4999:]), key: known}
        return known[1].model_copy(update={"workspace_id": person.workspace_id})

    async def _described(self, person: Person) -> Person | Retry:
        found = await self.get(f"/open-apis/contact/v3/users/{person.id}", user_id_type="open_id")
        if isinstance(found, Retry | AuthFailed):
            return Retry(timedelta(seconds=1), why=found.why)
        user = None if isinstance(found, TROUBLE) else found.get("user")
        if person.kind != "guest" or isinstance(user, Mapping):
            # Without the scope for it, or for someone hidden from the app, an open id of ours still is a member.
            told = person.model_copy(update={"kind": "human"})
            return describe(told, user if isinstance(user, Mapping) else {})
        ours = await self._is_ours(person)
        if isinstance(ours, Retry):
            return ours
        return describe(person.model_copy(update={"kind": "human"}), {}) if ours else person

    async def _is_ours(self, person: Person) -> bool | Retry:
        """Whether someone who is in a group with the bot is of its company: so is everyone where no group has people of
        others; else a group's list of members has to say so. Who left all of them, or is in the 51st, stays unknown."""
        me, chats = self._me(), await self.chats()
        if isinstance(chats, TROUBLE) or me is None:
            return chats if isinstance(chats, Retry) else False
        if all(chat.get("external") is False for chat in chats):
            return True
        for chat_id in [chat.get("chat_id") for chat in chats[:MAX_LISTED]]:
            members = await self._every(f"{IM}/chats/{chat_id}/members", page_size=CHATS, member_id_type="open_id")
            if isinstance(members, Retry):
                return members
            told = [] if isinstance(members, TROUBLE) else members
            found = next((one.get("tenant_key") for one in told if one.get("member_id") == person.id), None)
            if found is not None:
                return found == me.workspace_id
        return False


def describe(person: Person, user: Json) -> Person:
    """A person as `contact.user.get` describes them. Their departments are told only to an app that may read them."""
    roles = {"member"} | ({"admin"} if user.get("is_tenant_manager") is True else set[str]())
    departments = user.get("department_ids")
    if isinstance(departments, list):
        roles |= {id for id in departments if isinstance(id, str) and id.startswith(DEPARTMENT)}
    name = user.get("name") or user.get("en_name") or person.name
    zone = user.get("time_zone")
    known = isinstance(zone, str) and zone_named(zone) is not None
    told = {"name": str(name), "roles": frozenset(roles), "timezone": zone if known else None}
    return Person.model_validate({**person.model_dump(), **told})


def created_at(item: Json) -> datetime | None:
    """When a message was sent."""
    stamp = item.get("create_time")
    return (
        instant(stamp) if isinstance(stamp, str) and stamp.isascii() and stamp.isdecimal() and len(stamp) < 17 else None
    )
