"""Reading back from Slack: messages of a channel or thread, the channels the bot is in, people, links."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from slack_sdk.web.async_client import AsyncWebClient

from bot.core.inbound import MessageRef, Person, ThreadRef
from bot.core.when import zone_named
from bot.ports import AuthFailed, Clock, Gone, NotAllowed, Posted, Retry, Trouble, Unsendable
from platforms.channel_names import ChannelNames
from platforms.slack.inbound import Me, read_past

Attempt = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""The answer of one call, or what its failure means."""

TROUBLE: Final = (Retry, Gone, NotAllowed, AuthFailed, Unsendable)
PERSON_LIFE: Final = timedelta(minutes=10)
"""How long a person's name and roles are remembered (ours)."""
GROUPS_LIFE: Final = timedelta(minutes=10)
"""How long the members of user groups are remembered (ours); the method takes 20 calls a minute."""
PAGE: Final = 200
MAX_PAGES: Final = 50
UNIDENTIFIED: Final = Retry(timedelta(seconds=1), why="not identified yet")
"""Until `auth.test` has told who the bot is, its own messages cannot be told from other people's."""


class Reading:
    """Reads by the bot's token. `attempt` turns failures into values; `me` tells who the bot is, once that is known."""

    def __init__(self, client: AsyncWebClient, attempt: Attempt, me: Callable[[], Me | None], clock: Clock) -> None:
        self._client, self._attempt, self._me, self._clock = client, attempt, me, clock
        self._people: dict[str, tuple[datetime, Person]] = {}
        self._groups: tuple[datetime, Mapping[str, frozenset[str]]] | None = None
        self._threads_with_replies: set[tuple[str, str]] = set()
        self.names = ChannelNames(clock, self._name)

    async def history(self, scope: ThreadRef, after: datetime | None, limit: int) -> list[Posted] | Trouble:
        me, now = self._me(), self._clock.now()
        if me is None:
            return UNIDENTIFIED
        raw: list[Mapping[str, Any]] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._page(scope, after, cursor)
            if isinstance(page, TROUBLE):
                return page
            raw += page.get("messages") or []
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor or (after is None and scope.root is None and len(raw) >= limit):
                break
        found = [past for message in raw if (past := read_past(message, scope.channel_id, me, now))]
        found.sort(key=lambda past: (past.message.sent_at, past.message.message_id))
        return found[-limit:] if after is None else found[:limit]

    async def has_replies(self, channel: str, root: str) -> bool:
        """An ephemeral message in a thread without replies is accepted by Slack, but never shown."""
        if (channel, root) in self._threads_with_replies:
            return True
        found = await self._attempt(lambda: self._client.conversations_replies(channel=channel, ts=root, limit=2))
        has = not isinstance(found, TROUBLE) and len(found.get("messages") or []) > 1
        if has:
            self._threads_with_replies = {*list(self._threads_with_replies)[-999:], (channel, root)}
        return has

    async def channels(self) -> list[ThreadRef] | Trouble:
        me, cursor = self._me(), ""
        if me is None:
            return UNIDENTIFIED
        joined: list[ThreadRef] = []
        for _ in range(MAX_PAGES):
            asked = {"types": "public_channel,private_channel", "exclude_archived": True, "limit": PAGE}
            more = {"cursor": cursor} if cursor else {}
            page = await self._attempt(lambda: self._client.conversations_list(**asked, **more))  # noqa: B023
            if isinstance(page, TROUBLE):
                return page
            ids = [str(channel["id"]) for channel in page.get("channels") or [] if channel.get("is_member")]
            joined += [ThreadRef(platform="slack", workspace_id=me.workspace_id, channel_id=id) for id in ids]
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break
        return joined

    async def _page(self, scope: ThreadRef, after: datetime | None, cursor: str | None) -> Any:
        asked: dict[str, Any] = {"channel": scope.channel_id, "limit": PAGE, "include_all_metadata": True}
        if after is not None:
            asked["oldest"] = f"{int(after.timestamp())}.{after.microsecond:06d}"
        if cursor:
            asked["cursor"] = cursor
        if scope.root is None:
            return await self._attempt(lambda: self._client.conversations_history(**asked))
        root = scope.root
        return await self._attempt(lambda: self._client.conversations_replies(ts=root, **asked))

    async def read(self, message: MessageRef) -> Posted | Trouble:
        """One message, in its thread where the reference names one, else in the channel, else in a thread it may be in.

        A range of one instant is what Slack offers for one message. Where nothing is left of it the range is empty, or
        holds a tombstone when answers still hang on it; then it is `Gone`."""
        me, ts = self._me(), message.message_id
        if me is None:
            return UNIDENTIFIED
        root = message.thread.root
        ways = [root] if root is not None and root != ts else [None, ts]
        for way in ways:
            page = await self._instant(message.thread.channel_id, ts, way)
            if isinstance(page, Gone) and page.what == "thread":
                return Gone("message", page.why)
            if isinstance(page, TROUBLE):
                return page
            found = next((one for one in page.get("messages") or [] if one.get("ts") == ts), None)
            if found is not None:
                past = read_past(found, message.thread.channel_id, me, self._clock.now())
                return past or Gone("message", str(found.get("subtype") or "unreadable"))
        return Gone("message", "message_not_found")

    async def _instant(self, channel: str, ts: str, root: str | None) -> Any:
        """What was said at one instant: in a channel, or in the thread of `root`, whose root comes with it."""
        asked = {"channel": channel, "oldest": ts, "latest": ts, "inclusive": True, "include_all_metadata": True}
        if root is None:
            return await self._attempt(lambda: self._client.conversations_history(**asked, limit=1))
        return await self._attempt(lambda: self._client.conversations_replies(**asked, ts=root, limit=2))

    async def _name(self, channel: str) -> str | None:
        found = await self._attempt(lambda: self._client.conversations_info(channel=channel))
        if isinstance(found, TROUBLE):
            return None if isinstance(found, Retry | AuthFailed) else ""
        told = found.get("channel")
        return str(told.get("name") or "") if isinstance(told, Mapping) else ""

    async def permalink(self, message: MessageRef) -> str | None:
        channel, ts = message.thread.channel_id, message.message_id
        found = await self._attempt(lambda: self._client.chat_getPermalink(channel=channel, message_ts=ts))
        return None if isinstance(found, TROUBLE) else str(found["permalink"])

    async def resolve(self, person: Person) -> Person | Retry:
        if person.kind in ("bot", "webhook"):
            return person
        now = self._clock.now()
        known = self._people.get(person.id)
        if known is None or known[0] <= now:
            found = await self._attempt(lambda: self._client.users_info(user=person.id, include_locale=True))
            user = None if isinstance(found, TROUBLE) else found.get("user")
            if not isinstance(user, Mapping):
                passing = found if isinstance(found, Retry) else _until_trusted(found)
                return known[1] if known else passing or person
            described = describe(person, user)
            if described.kind == "human":
                groups = await self._groups_of(person.id)
                if isinstance(groups, Retry):
                    return groups
                described = described.model_copy(update={"roles": described.roles | groups})
            known = (now + PERSON_LIFE, described)
            self._people = {**dict(list(self._people.items())[-4999:]), person.id: known}
        kind = person.kind if person.kind == "external" else known[1].kind
        return known[1].model_copy(update={"workspace_id": person.workspace_id, "kind": kind})

    async def _groups_of(self, user_id: str) -> frozenset[str] | Retry:
        """The ids of the user groups that someone is in; none without the scope for it. While Slack cannot tell, those
        known before count."""
        now = self._clock.now()
        if self._groups is None or self._groups[0] <= now:
            found = await self._attempt(lambda: self._client.usergroups_list(include_users=True))
            passing = found if isinstance(found, Retry) else _until_trusted(found)
            if passing is None:
                listed = [] if isinstance(found, TROUBLE) else found.get("usergroups")
                self._groups = (now + GROUPS_LIFE, _memberships(listed if isinstance(listed, list) else []))
            elif self._groups is None:
                return passing
        return self._groups[1].get(user_id, frozenset())


def _until_trusted(trouble: object) -> Retry | None:
    """Refused credentials say nothing about a person: ask again with better ones."""
    return Retry(timedelta(seconds=1), why=trouble.why) if isinstance(trouble, AuthFailed) else None


def _memberships(groups: Sequence[Any]) -> dict[str, frozenset[str]]:
    """User id -> the ids of their groups."""
    found: dict[str, frozenset[str]] = {}
    for group in groups:
        users = group.get("users") if isinstance(group, Mapping) else None
        for user in users if isinstance(users, list) else ():
            found[str(user)] = found.get(str(user), frozenset()) | {str(group.get("id"))}
    return found


def describe(person: Person, user: Mapping[str, Any]) -> Person:
    """A person as `users.info` describes them."""
    given = user.get("profile")
    profile: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    roles = {"member"} if not (user.get("is_restricted") or user.get("is_ultra_restricted")) else set[str]()
    roles |= {"owner"} if user.get("is_owner") or user.get("is_primary_owner") else set[str]()
    roles |= {"admin"} if user.get("is_admin") else set[str]()
    team = user.get("team_id")
    kind = person.kind
    if user.get("is_bot") or user.get("id") == "USLACKBOT":
        kind, roles = "bot", set[str]()
    elif (
        user.get("is_stranger")
        or user.get("deleted")  # deactivated: not one of the workspace's people any more
        or (isinstance(team, str) and team.startswith("T") and team != person.workspace_id)
    ):
        kind, roles = "external", set[str]()
    elif "member" not in roles:
        kind = "guest"
    name = profile.get("display_name") or user.get("real_name") or user.get("name") or person.name
    zone = user.get("tz")
    told = {
        "name": str(name),
        "kind": kind,
        "roles": frozenset(roles),
        "locale": user.get("locale"),
        "timezone": zone if isinstance(zone, str) and zone_named(zone) is not None else None,
    }
    return Person.model_validate({**person.model_dump(), **told})
