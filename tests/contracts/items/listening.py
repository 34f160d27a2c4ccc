"""What intake lives on: ordinary messages, edits, deletions, reactions, and reading one back: items 3, 6, 8, 20, 25.

Looked at where the adapter hands it in: what is kept of an ordinary message is another matter. The line that intake
writes under a message is item 20: a document with five buttons, changed in place.
"""

from typing import Final

from bot.core.cards import Button, Doc
from bot.core.inbound import Message, MessageDeleted, MessageEdited, MessageRef, Person, Reaction
from bot.ports import AuthFailed, Gone, NotAllowed, Posted, Retry
from tests.contracts.items.register import item
from tests.contracts.replica import Replica
from tests.contracts.rig import Rig, Said

WISH: Final = "Could we get a CSV export on the invoices page?"
MORE: Final = "Could we get a CSV and an Excel export on the invoices page?"
KEY: Final = "abcdefghijklmnopqrstuvwx"


def _ref(rig: Rig, said: Said, root: str | None = None) -> MessageRef:
    """A message as the inbox knows it, found by the thread it was heard in."""
    heard = [event for event in rig.app.heard if isinstance(event, Message) and event.message_id == said.id]
    thread = heard[0].thread if heard else rig.place(said.channel, root)
    return MessageRef(thread=thread, message_id=said.id)


def _heard(app: Replica, said: Said) -> list[Message]:
    return [event for event in app.heard if isinstance(event, Message) and event.message_id == said.id]


@item(3)
async def an_ordinary_message_is_the_same_on_every_way(rig: Rig) -> None:
    app = await rig.start()
    said = rig.say("bo", WISH, "dev")
    answer = rig.say("cy", "Yes please, every month I type them by hand", "dev", thread=said.root)
    await rig.acked(*rig.deliveries(said), *rig.deliveries(answer))
    rig.redeliver(said, 2)
    await rig.settle()
    await rig.backfill()
    await rig.settle()
    posted = await app.platform.read(_ref(rig, said))
    assert isinstance(posted, Posted)
    assert isinstance(posted.event, Message)
    ways = [*_heard(app, said), posted.event]
    assert len(ways) > 1
    alike = {(one.key, one.text, one.person.id, one.person.kind, one.thread.root, one.in_thread) for one in ways}
    assert alike == {(ways[0].key, WISH, rig.person("bo").id, "human", said.root, False)}
    (reply,) = {(one.key, one.thread.root, one.in_thread, one.thread.channel_id) for one in _heard(app, answer)}
    assert reply[1:] == (said.root, True, ways[0].thread.channel_id)
    assert rig.posts == []
    assert await app.tasks() == []


@item(8)
async def edits_and_deletions_of_ordinary_messages_are_heard_as_such(rig: Rig) -> None:
    app = await rig.start()
    said, lone = rig.say("bo", WISH, "dev"), rig.say("cy", WISH, "dev")
    answer = rig.say("cy", "Yes please", "dev", thread=said.root)
    rig.unfurl(said)
    rig.edit(said, MORE)
    rig.unfurl(said)
    await rig.settle()
    edits = {(one.key, one.message_id, one.text) for one in app.heard if isinstance(one, MessageEdited)}
    now = await app.platform.read(_ref(rig, said))
    assert isinstance(now, Posted)
    assert now.message.text == MORE
    assert {(id, text) for _, id, text in edits} <= {(said.id, MORE)}
    assert len(edits) <= 1, "a preview is no edit"
    for one in (said, lone, answer):
        rig.delete(one)
    await rig.settle()
    gone = {one.message_id: one for one in app.heard if isinstance(one, MessageDeleted)}
    assert set(gone) == {said.id, lone.id, answer.id}, "also one that leaves answers behind"
    assert {one.thread.channel_id for one in gone.values()} == {_ref(rig, said).thread.channel_id}
    for one in (said, lone, answer):
        assert isinstance(await app.platform.read(_ref(rig, one)), Gone), one


@item(6)
async def a_reaction_tells_whose_it_is_and_on_what(rig: Rig) -> None:
    app = await rig.start()
    said = rig.say("bo", WISH, "dev")
    answer = rig.say("cy", "And an Excel export, please", "dev", thread=said.root)
    await rig.settle()
    rig.react("ana", said, "eyes")
    rig.react("ana", answer, "eyes")
    await rig.settle()
    ours = await app.platform.react(_ref(rig, said), "idea", True, KEY)
    assert isinstance(ours, MessageRef)
    await rig.settle()
    told = {one.message_id: one for one in app.heard if isinstance(one, Reaction)}
    assert list(told) == [said.id, answer.id]
    assert {(one.person.id, one.emoji, one.added) for one in told.values()} == {(rig.person("ana").id, "eyes", True)}
    for one in told.values():
        who = await app.platform.resolve(one.person)
        assert isinstance(who, Person)
        assert who.kind == "human"
        assert "member" in who.roles
    root, reply = [
        await app.platform.read(MessageRef(thread=told[one.id].thread, message_id=one.id)) for one in (said, answer)
    ]
    assert isinstance(root, Posted)
    assert isinstance(reply, Posted)
    assert (root.message.text, root.message.in_thread) == (WISH, False)
    assert (reply.message.in_thread, reply.message.thread.root) == (True, said.root)
    assert {root.message.thread.channel_id} == {reply.message.thread.channel_id} == {_ref(rig, said).thread.channel_id}


@item(6)
async def a_strangers_reaction_is_never_a_members(rig: Rig) -> None:
    app = await rig.start()
    said = rig.say("bo", WISH)
    stranger = rig.stranger("external")
    await rig.settle()
    rig.react(stranger, said, "eyes")
    await rig.settle()
    (told,) = {one.key: one for one in app.heard if isinstance(one, Reaction)}.values()
    who = await app.platform.resolve(told.person)
    assert isinstance(who, Person)
    assert who.kind in ("guest", "external")
    assert not who.roles & {"member", "admin", "owner"}


@item(25)
async def a_message_is_read_as_it_is_or_the_reason_is_told(rig: Rig) -> None:
    app = await rig.start()
    said = rig.mention("ana", WISH)
    await rig.settle()
    card = await rig.card("CT-1")
    (task,) = await app.tasks()
    thread = await app.store.run(lambda tx: tx.threads.get(task.thread_id), read=True)
    assert thread is not None
    own = await app.platform.read(MessageRef(thread=thread.ref, message_id=card.id))
    assert isinstance(own, Posted)
    assert (own.own, own.event) == (True, None)
    where = MessageRef(thread=thread.ref, message_id=said.id)
    found = await app.platform.read(where)
    assert isinstance(found, Posted)
    assert (found.own, found.message.person.id) == (False, rig.person("ana").id)
    rig.fail("read", "busy", after=7)
    busy = await app.platform.read(where)
    assert isinstance(busy, Retry | Posted), "an adapter may wait for a moment by itself"
    rig.heal()
    rig.fail("read", "not_allowed")
    assert isinstance(await app.platform.read(where), NotAllowed)
    rig.heal()
    nowhere = where.message_id[:-1] + ("1" if where.message_id[-1] != "1" else "2")
    assert isinstance(await app.platform.read(MessageRef(thread=thread.ref, message_id=nowhere)), Gone)
    rig.delete(said)
    await rig.settle()
    assert isinstance(await app.platform.read(where), Gone)
    rig.revoke()
    assert isinstance(await app.platform.read(where), AuthFailed)


@item(20)
async def a_line_with_five_buttons_is_changed_in_place(rig: Rig) -> None:
    app = await rig.start()
    said = rig.say("bo", WISH, "dev")
    await rig.settle()
    place, mark = _ref(rig, said).thread, _ref(rig, said)
    line = await app.platform.post(place, _line("File as code task", "file:RQ-3-0123456789ab"), KEY)
    assert isinstance(line, MessageRef)
    assert line.thread.root == said.root
    (post,) = rig.posts
    assert (post.root, len(post.buttons), post.buttons[0]) == (said.root, 5, "File as code task")
    changed = await app.platform.edit(line, _line("File the new text", "file:RQ-3-ba9876543210"), KEY[::-1])
    assert isinstance(changed, MessageRef)
    (post,) = rig.posts
    assert (post.id, len(post.buttons), post.buttons[0]) == (line.message_id, 5, "File the new text")
    assert rig.pings(post) == set()
    for on in (True, True, False, False):
        assert isinstance(await app.platform.react(mark, "idea", on, KEY), MessageRef), "already so is success"
        assert [where for where, _ in rig.marks] == ([said.id] if on else [])
    assert isinstance(await app.platform.edit(line, Doc(text="Filed as CT-1."), KEY), MessageRef)
    (post,) = rig.posts
    assert post.buttons == ()


def _line(label: str, value: str) -> Doc:
    others = (("Edit", "edit:RQ-3"), ("Same as CT-12", "same:RQ-3-12"), ("Not a request", "not_request:RQ-3"))
    known = ((label, value), *others, ("Mute here", "mute:RQ-3"))
    buttons = tuple(Button(label=words, name=f"{words} RQ-3", value=f"codetask:{verb}") for words, verb in known)
    return Doc(text="This looks like a feature request: **CSV export on the invoices page**", buttons=buttons)
