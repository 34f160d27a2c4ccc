"""Everything that is sent to Lark: posts, changes of cards, reactions, private answers."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from bot.core.cards import Content, Doc
from bot.core.inbound import MessageRef, Person, ReplyToken, ThreadRef
from bot.core.texts import SOURCE_LANGUAGE, Texts
from bot.ports import AuthFailed, Clock, Gone, NotAllowed, Retry, Trouble, Unsendable
from platforms.lark.buttons import Presses, say
from platforms.lark.cards import LOCALES, render, toast
from platforms.lark.commands import log
from platforms.lark.errors import NO_THREAD
from platforms.lark.reading import IM, TROUBLE, Attempt, Reader, created_at
from platforms.lark.rest import Json, LarkApi

MARKS: Final = {"seen": "GLANCE", "done": "DONE", "idea": "StatusFlashOfInspiration"}
EDITABLE: Final = timedelta(days=13)
"""Lark takes changes for 14 days; a day before (ours) a fresh card takes over, so that none is late."""
KNOWN: Final = 2000
"""How many messages' times are remembered (ours)."""


class Writer:
    """Sends over the API. Refusals are values."""

    def __init__(self, api: LarkApi, attempt: Attempt, reader: Reader, presses: Presses, clock: Clock) -> None:
        self._api, self._attempt, self._reader, self._presses, self._clock = api, attempt, reader, presses, clock
        self._sent_at: OrderedDict[str, datetime] = OrderedDict()

    async def post(self, to: ThreadRef, content: Content, key: str) -> MessageRef | Trouble:
        """A card in the thread of `to.root`, which Lark opens when there is none, else in the chat."""
        card = {"msg_type": "interactive", "content": render(content, to.root), "uuid": key}
        if to.root is not None:
            path = f"{IM}/messages/{to.root}/reply"
            sent = await self._call("POST", path, {**card, "reply_in_thread": True})
            if isinstance(sent, Unsendable) and sent.why in NO_THREAD:
                sent = await self._call("POST", path, card)  # then a plain answer, which names what it answers
            if isinstance(sent, Gone) and sent.what == "message":
                return Gone("thread", sent.why)  # what it answers was recalled
        else:
            sent = await self._create(to.channel_id, card)
        return sent if isinstance(sent, TROUBLE) else self._posted(to, sent)

    async def _create(self, receiver: str, card: Json) -> Json | Trouble:
        kind = "open_id" if receiver.startswith("ou_") else "chat_id"
        body = {**card, "receive_id": receiver}
        return await self._call("POST", f"{IM}/messages", body, {"receive_id_type": kind})

    def _posted(self, to: ThreadRef, sent: Json) -> MessageRef:
        id = str(sent.get("message_id"))
        self._remember(id, created_at(sent) or self._clock.now())
        native = str(sent.get("thread_id") or "") or to.native
        return MessageRef(thread=to.model_copy(update={"root": to.root or id, "native": native}), message_id=id)

    def _remember(self, id: str, at: datetime) -> None:
        self._sent_at[id] = at
        while len(self._sent_at) > KNOWN:
            self._sent_at.popitem(last=False)

    async def edit(self, message: MessageRef, content: Content) -> MessageRef | Trouble:
        """The full new card, after the answer to a press that is under way. `Gone` when the message is too old."""
        age = await self._age(message.message_id)
        if isinstance(age, Gone):
            return age
        if isinstance(age, timedelta) and age >= EDITABLE:
            return Gone("message", "older than 13 days")
        await self._presses.release(message.message_id)
        root = message.thread.root if message.thread.root != message.message_id else None
        body = {"content": render(content, root)}
        sent = await self._call("PATCH", f"{IM}/messages/{message.message_id}", body)
        return sent if isinstance(sent, TROUBLE) else message

    async def _age(self, id: str) -> timedelta | Gone | None:
        """How old a message is; asked once after a start. None when Lark cannot tell now: then the edit is tried."""
        known = self._sent_at.get(id)
        if known is None:
            found = await self._reader.message(id)
            if isinstance(found, TROUBLE):
                return found if isinstance(found, Gone) else None
            if found.get("deleted"):
                return Gone("message", "recalled")
            known = created_at(found)
        if known is None:
            return None
        self._remember(id, known)
        return self._clock.now() - known

    async def react(self, message: MessageRef, mark: str, on: bool) -> MessageRef | Trouble:
        """Adds or takes away a mark. Lark keeps one per person and type, so "already so" is no complaint."""
        path, emoji = f"{IM}/messages/{message.message_id}/reactions", MARKS.get(mark, mark)
        if on:
            added = await self._call("POST", path, {"reaction_type": {"emoji_type": emoji}})
            return added if isinstance(added, TROUBLE) else message
        listed = await self._reader.get(path, reaction_type=emoji, page_size=50)
        if isinstance(listed, TROUBLE):
            return listed
        for reaction in listed.get("items") or []:
            if _is_of(self._api.app_id, reaction):
                taken = await self._call("DELETE", f"{path}/{reaction['reaction_id']}", None)
                if isinstance(taken, TROUBLE):
                    return taken
        return message

    async def whisper(
        self, person: Person, to: ThreadRef, doc: Doc, reply_token: ReplyToken | None, key: str
    ) -> MessageRef | Trouble:
        """A toast where the person just pressed a button and the text is short; else a message to them alone.

        Whom the bot may not write to gets a short reply in the thread: the text if it is short, else why it is not."""
        live = reply_token and reply_token.uses_left > 0 and reply_token.expires_at > self._clock.now()
        token = reply_token.value if reply_token and live else ""
        short = toast(doc)
        if token and short and await self._presses.tell(token, short):
            return MessageRef(thread=to, message_id=f"toast:{key}")
        card = {"msg_type": "interactive", "content": render(doc), "uuid": key}
        sent = await self._create(person.id, card)
        if not isinstance(sent, TROUBLE):
            if token:
                await self._presses.tell(token, say("sent_privately"))
            return MessageRef(thread=to, message_id=str(sent.get("message_id")))
        if isinstance(sent, Retry | AuthFailed) or to.root is None:
            return sent
        log.info("direct_message_refused", why=sent.why)
        public = doc if short else unreachable(doc.language)
        answered = await self.post(to, public.model_copy(update={"mention": person}), key)
        return sent if isinstance(answered, Gone | NotAllowed) else answered

    async def _call(self, verb: str, path: str, body: Json | None, query: Json | None = None) -> Json | Trouble:
        return await self._attempt(lambda: self._api.call(verb, path, query=query, body=body))


def unreachable(language: str) -> Doc:
    """What is said in public to someone who cannot be told in private."""
    said = {name: Doc(text=Texts.load(name).say("lark.no_direct_message"), language=name) for name in LOCALES}
    main = said.get(language) or said[SOURCE_LANGUAGE]
    others = {name: doc for name, doc in said.items() if name != main.language}
    return main.model_copy(update={"translations": others})


def _is_of(app_id: str, reaction: Any) -> bool:
    """Whether the app itself left a reaction."""
    operator = reaction.get("operator") if isinstance(reaction, Mapping) else None
    if not isinstance(operator, Mapping) or not reaction.get("reaction_id"):
        return False
    return operator.get("operator_type") == "app" and operator.get("operator_id") in (None, app_id)
