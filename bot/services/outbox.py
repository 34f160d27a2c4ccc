"""The relay: deliveries -> platforms. In order per thread, paced, coalesced, retried until a day old, never lost.

It is the only place that sends to a platform (but for the answer to an interaction inside its ack window). A claim,
the call and the recording of its outcome are three steps; a crash between them leaves the delivery `sending`, which the
reaper turns into `unknown`: then the thread is read back before anything is posted again.
"""

import asyncio
import base64
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final, Literal, assert_never

import structlog

from bot.core.cards import Card, Content, Doc
from bot.core.inbound import MessageRef, Person, ReplyToken
from bot.core.pings import SETTING as PINGS
from bot.core.pings import as_wanted
from bot.core.texts import Texts
from bot.failpoints import failpoint
from bot.ports import AuthFailed, Gone, NotAllowed, Platform, Retry, Trouble, Unsendable
from bot.services import absence
from bot.services.languages import Languages
from bot.services.loops import work_from_rows
from bot.store import DELIVERY_LEASE, REFUSED, Delivery, Outgoing, Store, StoreDown, Transaction

log = structlog.get_logger(__name__)

BATCH: Final = 16
RETRY_FIRST: Final = timedelta(seconds=1)
RETRY_MAX: Final = timedelta(seconds=60)
JITTER: Final = 0.2
GIVE_UP_AFTER: Final = timedelta(hours=24)
PERMANENT_TRIES: Final = 5
EDIT_INTERVAL: Final = timedelta(seconds=1)
"""One message is edited at most once a second; the last state is always sent."""
IDLE_SECONDS: Final = 10.0
LOOK_BACK: Final = timedelta(minutes=2)
LOOK_BACK_LIMIT: Final = 1000
LOOK_BACK_PAGES: Final = 10
"""How many messages, and how often, are read to find a post whose answer was lost: a busy channel has hundreds."""
CALL_SHARE: Final = 0.75
"""The part of the lease in which a platform must have answered: later the delivery may be someone else's already."""


def delivery_key(dedup_key: str) -> str:
    """24 characters of `[a-z2-7]` derived from a delivery's dedup key: fits every platform's idempotency field."""
    digest = hashlib.sha256(dedup_key.encode()).digest()[:15]
    return base64.b32encode(digest).decode().lower()


def backoff(attempt: int, jitter: float) -> timedelta:
    """1 s doubling to 60 s, scaled by 1 + `jitter` (drawn from [-0.2, 0.2])."""
    return min(RETRY_FIRST * 2 ** min(attempt - 1, 10), RETRY_MAX) * (1 + jitter)


GonePlace = Literal["message", "thread", "channel"]
Rehome = Callable[[Transaction, Outgoing, Literal["thread", "channel"]], bool]
"""Sees to a post whose thread or channel is gone; False when it is nothing of its own."""


@dataclass(slots=True)
class Pace:
    """When each gate may be passed again in this process. A hint only: closed gates live in the database."""

    until: dict[str, datetime] = field(default_factory=dict[str, datetime])

    def closed(self, now: datetime) -> list[str]:
        self.until = {gate: at for gate, at in self.until.items() if at > now}
        return list(self.until)

    def next_at(self) -> datetime | None:
        return min(self.until.values(), default=None)


class Relay:
    """Sends the deliveries of the given platforms. Several relays, in any number of processes, share the work.

    `rehome` is asked what to do with a post that has lost its place; otherwise the person it was for is told."""

    def __init__(
        self,
        store: Store,
        platforms: Mapping[str, Platform],
        lease: timedelta = DELIVERY_LEASE,
        languages: Languages | None = None,
        rehome: Rehome | None = None,
    ) -> None:
        self._store = store
        self._rehome = rehome
        self._platforms = dict(platforms)
        self._languages = languages or Languages.of("en", platforms)
        self._lease = lease
        self._pace = Pace()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._under_way: Counter[str] = Counter()
        self._waiting = 0
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Sends until `stop`; then finishes what is being sent."""
        if not self._platforms:
            await stop.wait()
            return

        async def step() -> float | None:
            return None if await self._step() else await self._idle()

        try:
            await work_from_rows(self._store, "outbox", step, stop)
        finally:
            if self._sending:
                await asyncio.wait(self._sending, timeout=10)

    async def drain(self) -> None:
        """Sends what is ready now and returns when it is sent (for the command line and the tests)."""
        while await self._step() or self._sending:
            if self._sending:
                await asyncio.wait(self._sending)

    async def _step(self) -> bool:
        # A busy channel's deliveries wait for their turn: no more of them are claimed, and they take nobody's place.
        paced = [*self._pace.closed(self._store.now()), *self._under_way]
        room = BATCH - (len(self._sending) - self._waiting)
        if room <= 0:
            await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
            return True
        names = list(self._platforms)
        until = monotonic() + self._lease.total_seconds() * CALL_SHARE
        claimed = await self._store.run(lambda tx: tx.outbox.claim(names, paced, room, self._lease))
        for delivery in claimed:
            failpoint("outbox.claimed")
            task = asyncio.create_task(self._deliver(delivery, until))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return bool(claimed)

    async def _idle(self) -> float:
        known = [await self._store.run(lambda tx: tx.outbox.next_available_at(), read=True), self._pace.next_at()]
        due = min((at for at in known if at is not None), default=None)
        if due is None:
            return IDLE_SECONDS
        return min(max((due - self._store.now()).total_seconds(), 0.001), IDLE_SECONDS)

    async def _deliver(self, delivery: Outgoing, until: float) -> None:
        """Sends one delivery before `until` (of the monotonic clock) and records what became of it."""
        platform = self._platforms[delivery.to.platform]
        failpoint("delivery.before")
        try:
            async with self._turn(delivery):
                if monotonic() >= until:  # this process was frozen: another one sends it, perhaps something newer
                    log.warning("delivery_left", delivery=delivery.dedup_key)
                    return
                async with asyncio.timeout(until - monotonic()):
                    outcome = await self._call(platform, delivery)
                self._pace_after(platform, delivery)
        except TimeoutError:
            log.warning("delivery_unanswered", delivery=delivery.dedup_key)
            outcome = Retry(timedelta(0), maybe_done=_posts(delivery), why="no answer in time")
        except StoreDown:
            log.warning("delivery_not_tried", delivery=delivery.dedup_key)
            outcome = Retry(timedelta(0), maybe_done=False, why="no database")
        except Exception:
            log.exception("delivery_failed", delivery=delivery.dedup_key)
            if delivery.attempt < PERMANENT_TRIES:
                outcome = Retry(timedelta(0), maybe_done=_posts(delivery), why="unexpected")
            else:
                outcome = Unsendable("unexpected")
        failpoint("delivery.sent_unrecorded")
        try:
            await self._store.run(lambda tx: self._record(tx, delivery, outcome))
        except StoreDown:
            # The row stays `sending`; the reaper makes it `unknown` and the thread is read back before a repeat.
            log.warning("delivery_unrecorded", delivery=delivery.dedup_key)
            return
        if delivery.kind == "post" and delivery.card_key is not None and isinstance(outcome, MessageRef):
            await self._remember_link(platform, delivery, outcome)

    async def _remember_link(self, platform: Platform, delivery: Outgoing, message: MessageRef) -> None:
        """The thread's link, for pull requests and the HTTP API: nice to have."""
        try:
            async with asyncio.timeout(self._lease.total_seconds() * CALL_SHARE):
                url = await platform.permalink(message)
            if url:
                await self._store.run(lambda tx: tx.threads.link(delivery.thread_id, url))
        except Exception as error:
            log.warning("no_link", delivery=delivery.dedup_key, error=type(error).__name__)

    @asynccontextmanager
    async def _turn(self, delivery: Outgoing) -> AsyncGenerator[None]:
        """Of several deliveries claimed for one gate, one goes at a time, each when the pace allows it."""
        gate, waits = delivery.gate, True
        self._under_way[gate] += 1
        self._waiting += 1
        try:
            async with self._turns[gate]:
                at = self._pace.until.get(gate)
                if at is not None and at > self._store.now():
                    await asyncio.sleep((at - self._store.now()).total_seconds())
                self._waiting, waits = self._waiting - 1, False
                yield
        finally:
            self._waiting -= waits
            self._under_way[gate] -= 1
            if not self._under_way[gate]:
                del self._under_way[gate], self._turns[gate]

    def _pace_after(self, platform: Platform, delivery: Outgoing) -> None:
        if delivery.kind == "edit":
            self._pace.until[delivery.gate] = self._store.now() + EDIT_INTERVAL
        elif delivery.kind == "post" and platform.capabilities.post_interval > timedelta(0):
            self._pace.until[delivery.gate] = self._store.now() + platform.capabilities.post_interval

    async def _call(self, platform: Platform, delivery: Outgoing) -> MessageRef | Trouble:
        key = delivery_key(delivery.dedup_key)
        match delivery.kind:
            case "post":
                return await self._post(platform, delivery, key)
            case "edit":
                if delivery.card_message_id is None:
                    return await self._post(platform, delivery, key)
                content = await self._as_wanted(delivery)
                message = MessageRef(thread=delivery.to, message_id=delivery.card_message_id)
                return await platform.edit(message, content, key)
            case "react":
                return await self._react(platform, delivery, key)
            case "whisper":
                return await self._whisper(platform, delivery, key)
            case _:
                assert_never(delivery.kind)

    async def _post(self, platform: Platform, delivery: Outgoing, key: str) -> MessageRef | Trouble:
        if delivery.check_first and not platform.capabilities.idempotent_post:
            found = await self._find_own(platform, delivery, key)
            if found is not None:
                return found
        return await platform.post(delivery.to, await self._as_wanted(delivery), key)

    async def _as_wanted(self, delivery: Outgoing) -> Content:
        """What is sent: nobody is mentioned who does not want to be, as they say now."""
        content = _content(delivery)
        if isinstance(content, Card) or (person := content.mention) is None:
            return content
        wanted = await self._store.run(lambda tx: tx.people.preference(person, PINGS), read=True)
        return as_wanted(content, wanted)

    async def _find_own(self, platform: Platform, delivery: Outgoing, key: str) -> MessageRef | Trouble | None:
        """The message that an earlier, unconfirmed attempt left behind, found by its delivery key."""
        after = delivery.created_at - LOOK_BACK
        for _ in range(LOOK_BACK_PAGES):
            posted = await platform.history(delivery.to, after, LOOK_BACK_LIMIT)
            if isinstance(posted, Retry):
                return posted
            if isinstance(posted, Gone | NotAllowed | AuthFailed | Unsendable):
                return None
            for message in posted:
                if message.own and message.delivery_key == key:
                    ref = message.message
                    return MessageRef(thread=ref.thread, message_id=ref.message_id)
            if len(posted) < LOOK_BACK_LIMIT:
                return None
            after = posted[-1].message.sent_at
        log.warning("look_back_cut", delivery=delivery.dedup_key)
        return None

    async def _react(self, platform: Platform, delivery: Outgoing, key: str) -> MessageRef | Trouble:
        """Puts the target's `mark` on its `message_id`, or on the message of its `card`; takes it away when `on` is
        False."""
        message_id = delivery.target.get("message_id") or await self._card_message(delivery.target.get("card"))
        if not message_id:
            return Gone("message", "no card to react to")
        message = MessageRef(thread=delivery.to, message_id=message_id)
        on = delivery.target.get("on") is not False
        return await platform.react(message, str(delivery.target["mark"]), on, key)

    async def _card_message(self, card_key: Any) -> str | None:
        if not card_key:
            return None
        return await self._store.run(lambda tx: tx.outbox.card_message(str(card_key)), read=True)

    async def _whisper(self, platform: Platform, delivery: Outgoing, key: str) -> MessageRef | Trouble:
        person = Person.model_validate(delivery.target["person"])
        token = delivery.target.get("reply_token")
        doc = _content(delivery)
        assert isinstance(doc, Doc), "a whisper is a document"
        return await platform.whisper(
            person, delivery.to, doc, ReplyToken.model_validate(token) if token else None, key
        )

    def _record(self, tx: Transaction, delivery: Outgoing, outcome: MessageRef | Trouble) -> None:
        match outcome:
            case MessageRef():
                self._sent(tx, delivery, outcome)
            case Retry(after, maybe_done, why):
                self._retry(tx, delivery, after, maybe_done, why)
            case Gone(what, why):
                self._gone(tx, delivery, what, why)
            case NotAllowed(fix, why):
                self._not_allowed(tx, delivery, fix, why)
            case AuthFailed(fix, why):
                log.error("platform_auth_failed", platform=delivery.to.platform, why=why, fix=fix)
                tx.outbox.retry(delivery, tx.now + RETRY_MAX, why, maybe_done=False)
            case Unsendable(why):
                self._unsendable(tx, delivery, why)
            case _:
                assert_never(outcome)

    def _sent(self, tx: Transaction, delivery: Outgoing, message: MessageRef) -> None:
        root = message.thread.root or message.message_id if _posts(delivery) and delivery.to.root is None else None
        known = message.message_id if delivery.kind in ("post", "edit") else None
        if tx.outbox.sent(delivery, known, root, message.thread.native) and _posts(delivery):
            absence.come_back(tx, delivery.to)

    def _retry(self, tx: Transaction, delivery: Outgoing, after: timedelta, maybe_done: bool, why: str) -> None:
        if tx.now - delivery.created_at > GIVE_UP_AFTER:
            self._park(tx, delivery, f"undeliverable for a day: {why}")
            return
        wait = max(after, backoff(delivery.attempt, random.uniform(-JITTER, JITTER)))
        if after > timedelta(0) and not maybe_done:
            tx.outbox.block(delivery.gate, tx.now + after)
        tx.outbox.retry(delivery, tx.now + wait, why, maybe_done and _posts(delivery))

    def _gone(
        self, tx: Transaction, delivery: Outgoing, what: Literal["message", "thread", "channel"], why: str
    ) -> None:
        if what == "message" and delivery.kind == "edit" and delivery.card_key is not None:
            tx.outbox.lose_card(delivery.card_key)
            if delivery.attempt < PERMANENT_TRIES:
                tx.outbox.retry(delivery, tx.now, why, maybe_done=False)
                return
        if not self._park(tx, delivery, f"{what} gone: {why}") or what == "message" or not _posts(delivery):
            return
        if what == "channel":
            absence.leave(tx, delivery.to)
        if self._rehome is None or not self._rehome(tx, delivery, what):
            self._tell(tx, delivery, plain(_content(delivery)), "gone")

    def _not_allowed(self, tx: Transaction, delivery: Outgoing, fix: str, why: str) -> None:
        """Parks the delivery and tells the person who asked, privately and once; joining the channel revives it."""
        log.warning("delivery_not_allowed", delivery=delivery.dedup_key, why=why, fix=fix)
        if not tx.outbox.dead(delivery, f"{REFUSED}{why or fix}"):
            return
        tx.people.audit("relay", "not_allowed", delivery.dedup_key, {"why": why})
        if delivery.kind == "post" and delivery.to.root is None:  # a thread may just be locked
            absence.leave(tx, delivery.to)
        if delivery.kind == "post":
            self._tell(tx, delivery, lambda texts: Doc(text=texts.reword(fix, "fix")), "not_allowed")

    def _tell(self, tx: Transaction, delivery: Outgoing, said: Doc | Callable[[Texts], Doc], suffix: str) -> None:
        """Says privately, to the person a delivery was for, what could not be said where it belonged."""
        target = {name: delivery.target.get(name) for name in ("person", "reply_token")}
        if target["person"] is None and isinstance(delivery.content, Doc) and delivery.content.mention is not None:
            target["person"] = delivery.content.mention.model_dump(mode="json")
        if target["person"] is not None:
            person = Person.model_validate(target["person"])
            wording = self._languages.personal(tx, person, delivery.to)
            doc = said if isinstance(said, Doc) else wording.make(said)
            lane = tx.threads.lane(delivery.to)
            tx.outbox.add(lane.id, Delivery("whisper", f"{delivery.dedup_key}:{suffix}", doc, target=target))

    def _unsendable(self, tx: Transaction, delivery: Outgoing, why: str) -> None:
        """A bug of ours: park it and send the words without any layout, once."""
        log.error("delivery_unsendable", delivery=delivery.dedup_key, why=why)
        self._park(tx, delivery, f"unsendable: {why}")
        if delivery.kind == "react" or delivery.dedup_key.endswith(":plain"):
            return
        again = Delivery(
            delivery.kind,
            f"{delivery.dedup_key}:plain",
            plain(_content(delivery)),
            card_key=delivery.card_key,
            target=delivery.target,
        )
        tx.outbox.add(delivery.thread_id, again)

    def _park(self, tx: Transaction, delivery: Outgoing, why: str) -> bool:
        """Gives a delivery up for good; False when someone else has the say over it."""
        if not tx.outbox.dead(delivery, why):
            return False
        tx.people.audit("relay", "undeliverable", delivery.dedup_key, {"why": why})
        return True


def _posts(delivery: Outgoing) -> bool:
    """Whether sending it makes a new message: an edit of a card that was never posted, or was lost, does too."""
    return delivery.kind == "post" or (delivery.kind == "edit" and delivery.card_message_id is None)


def _content(delivery: Outgoing) -> Content:
    assert delivery.content is not None, "this kind of delivery has content"
    return delivery.content


def plain(content: Content) -> Doc:
    """The words of a card or document without any layout."""
    others = {language: plain(one) for language, one in content.translations.items()}
    text = content.summary if isinstance(content, Card) else content.text
    return Doc(text=text, language=content.language, translations=others)
