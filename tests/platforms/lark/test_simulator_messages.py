"""Messages, threads, reactions, chats and people of the Lark simulator, over plain HTTP."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from platforms.lark.simulator import MANIFEST_SCOPES, SENSITIVE_SCOPE, LarkSimulator
from tests.platforms.lark.wire import Rest, card_message, rest_client, text_message, token

IM = "/im/v1"
LINE = {"tag": "markdown", "content": "hello"}


@pytest.fixture
def sim() -> Iterator[LarkSimulator]:
    with LarkSimulator() as simulator:
        yield simulator
        assert simulator.surprises == []


@pytest.fixture
async def rest(sim: LarkSimulator) -> AsyncIterator[Rest]:
    async with rest_client(sim) as client:
        yield client


def names(sim: LarkSimulator) -> list[str]:
    return [delivery.name for delivery in sim.deliveries]


def received(sim: LarkSimulator) -> dict[str, Any]:
    """The message in the newest event."""
    return sim.deliveries[-1].payload["event"]["message"]


async def test_a_token_lives_two_hours_and_is_renewed_late(sim: LarkSimulator, rest: Rest) -> None:
    first = await token(rest.client, sim.app_id, sim.app_secret)
    assert first["tenant_access_token"].startswith("t-") and 7190 <= first["expire"] <= 7200
    sim.advance(timedelta(minutes=89))
    same = await token(rest.client, sim.app_id, sim.app_secret)
    assert same["tenant_access_token"] == first["tenant_access_token"]
    sim.advance(timedelta(minutes=2))
    assert (await token(rest.client, sim.app_id, sim.app_secret))["tenant_access_token"] != first["tenant_access_token"]
    await rest.data("GET", "/bot/v3/info")
    sim.advance(timedelta(minutes=30))
    assert await rest.code("GET", "/bot/v3/info") == 99991663


async def test_sending_and_answering_in_a_thread(sim: LarkSimulator, rest: Rest) -> None:
    root = await rest.say("hello")
    assert root["message_id"].startswith("om_") and "thread_id" not in root
    assert root["sender"] == {
        "id": sim.app_id,
        "id_type": "app_id",
        "sender_type": "app",
        "tenant_key": sim.tenant_key,
    }
    path = f"{IM}/messages/{root['message_id']}/reply"
    answer = await rest.data("POST", path, text_message("in a thread") | {"reply_in_thread": True})
    assert answer["thread_id"].startswith("omt_")
    assert (answer["root_id"], answer["parent_id"]) == (root["message_id"], root["message_id"])
    later = await rest.data("POST", f"{IM}/messages/{answer['message_id']}/reply", text_message("more"))
    assert (later["thread_id"], later["root_id"]) == (answer["thread_id"], root["message_id"])
    assert later["parent_id"] == answer["message_id"]
    thread = sim.threads[answer["thread_id"]]
    assert [sim.render_text(m) for m in thread] == ["hello", "in a thread", "more"]
    assert sim.thread(thread[2]) == thread == [thread[0], *sim.replies(thread[0])]


async def test_a_plain_answer_opens_no_thread(sim: LarkSimulator, rest: Rest) -> None:
    asked = sim.user_mentions("ana", "hi")
    answer = await rest.data("POST", f"{IM}/messages/{asked.id}/reply", text_message("hi yourself"))
    assert "thread_id" not in answer and answer["root_id"] == asked.id
    assert sim.threads == {} and sim.thread(asked) == [asked]


async def test_topic_groups_have_a_thread_per_message(sim: LarkSimulator) -> None:
    topic = sim.user_mentions("ana", "a topic", "topics")
    shown = received(sim)
    assert (shown["thread_id"], shown["chat_type"]) == (topic.thread_id, "topic_group")
    assert "root_id" not in shown
    answer = sim.user_mentions("bo", "an answer", reply_to=topic)
    assert received(sim)["thread_id"] == topic.thread_id
    assert (received(sim)["root_id"], answer.root_id) == (topic.id, topic.id)


async def test_a_uuid_sends_once_within_an_hour(sim: LarkSimulator, rest: Rest) -> None:
    first = await rest.say("once", uuid="k" * 50)
    assert await rest.say("once", uuid="k" * 50) == first
    sim.advance(timedelta(minutes=61))
    assert (await rest.say("once", uuid="k" * 50))["message_id"] != first["message_id"]
    assert len(sim.sent) == 2


async def test_a_message_to_one_person(sim: LarkSimulator, rest: Rest) -> None:
    for kind, receiver in (
        ("open_id", sim.user("cy").id),
        ("union_id", sim.user("cy").union_id),
        ("chat_id", sim.direct("cy").id),
    ):
        body = {"receive_id": receiver, **text_message("psst")}
        sent = await rest.data("POST", f"{IM}/messages", body, receive_id_type=kind)
        assert sent["chat_id"] == sim.direct("cy").id
    assert [(w.user, w.text, w.via) for w in sim.whispers] == [(sim.user("cy").id, "psst", "direct")] * 3


async def test_mentions_both_ways(sim: LarkSimulator, rest: Rest) -> None:
    message = sim.user_says("bo", "@codetask ask @ana, @codetask or @nobody", "dev")
    assert json.loads(received(sim)["content"])["text"] == "@_user_1 ask @_user_2, @_user_1 or @nobody"
    assert [(m["key"], m["name"], m["mentioned_type"]) for m in received(sim)["mentions"]] == [
        ("@_user_1", "Codetask", "bot"),
        ("@_user_2", "Ana Pires", "user"),
    ]
    assert sim.render_text(message) == "@codetask ask @ana, @codetask or @nobody"
    own = await rest.say(f'<at user_id="{sim.user("ana").id}">Ana</at> and <at user_id="all"></at>: done')
    assert json.loads(own["body"]["content"])["text"] == "@_user_1 and @_all: done"
    assert own["mentions"] == [
        {
            "key": "@_user_1",
            "id": sim.user("ana").id,
            "id_type": "open_id",
            "name": "Ana Pires",
            "tenant_key": sim.tenant_key,
        }
    ]


async def test_an_edit_is_not_told(sim: LarkSimulator, rest: Rest) -> None:
    message = sim.user_mentions("bo", "frist", "dev")
    sim.user_edits(message, "@codetask first")
    (shown,) = (await rest.data("GET", f"{IM}/messages/{message.id}"))["items"]
    assert json.loads(shown["body"]["content"]) == {"text": "@_user_1 first"}
    assert (shown["updated"], len(sim.deliveries)) == (True, 1)


async def test_rich_text(sim: LarkSimulator) -> None:
    message = sim.user_mentions("bo", "first\nask @ana please", "dev", post=True)
    assert received(sim)["message_type"] == "post"
    assert json.loads(received(sim)["content"])["content"] == [
        [
            {"tag": "at", "user_id": "@_user_1", "user_name": "Codetask", "style": []},
            {"tag": "text", "text": " first", "style": []},
        ],
        [
            {"tag": "text", "text": "ask ", "style": []},
            {"tag": "at", "user_id": "@_user_2", "user_name": "Ana Pires", "style": []},
            {"tag": "text", "text": " please", "style": []},
        ],
    ]
    assert sim.render_text(message) == "@codetask first\nask @ana please"


async def test_what_the_app_hears_of(sim: LarkSimulator) -> None:
    sim.user_says("bo", "no mention", "dev")
    sim.user_says("bo", "@all no mention either", "dev")
    sim.user_mentions("bo", "not there", "lounge")
    assert sim.deliveries == []
    sim.user_says("bo", "direct", sim.direct("bo"))
    assert received(sim)["chat_type"] == "p2p"
    sim.grant_scope()
    sim.user_says("bo", "now all is heard", "dev")
    sim.revoke_scope(SENSITIVE_SCOPE)
    sim.revoke_scope("im:message.p2p_msg:readonly")
    sim.user_says("bo", "unheard", sim.direct("bo"))
    sim.switches_bot(False)
    sim.user_mentions("bo", "unheard", "dev")
    assert len(sim.deliveries) == 2


async def test_other_events(sim: LarkSimulator) -> None:
    message = sim.user_says("bo", "nice", "dev")
    sim.reacts("ana", message, "THUMBSUP")
    sim.reacts("ana", message, "THUMBSUP")
    reaction = sim.deliveries[-1].payload["event"]
    sim.reacts("ana", message, "THUMBSUP", on=False)
    sim.user_deletes(message)
    recall = sim.deliveries[-1].payload["event"]
    sim.adds_bot("lounge", by="bo")
    added = sim.deliveries[-1].payload["event"]
    sim.removes_bot("lounge")
    menu = sim.uses_menu("cy", "file_task")
    sim.archives_channel("dev")
    assert names(sim) == [
        "im.message.reaction.created_v1",
        "im.message.reaction.deleted_v1",
        "im.message.recalled_v1",
        "im.chat.member.bot.added_v1",
        "im.chat.member.bot.deleted_v1",
        "application.bot.menu_v6",
    ]
    assert (reaction["message_id"], reaction["reaction_type"]) == (message.id, {"emoji_type": "THUMBSUP"})
    assert reaction["user_id"]["open_id"] == sim.user("ana").id and reaction["action_time"].isdecimal()
    assert (recall["message_id"], recall["recall_type"]) == (message.id, "message_owner")
    assert (added["chat_id"], added["operator_id"]["open_id"]) == (sim.channel("lounge").id, sim.user("bo").id)
    assert menu is not None
    assert menu.payload["event"]["event_key"] == "file_task"
    assert menu.payload["event"]["operator"]["operator_id"]["union_id"] == sim.user("cy").union_id


async def test_reactions_of_the_bot(sim: LarkSimulator, rest: Rest) -> None:
    message = sim.user_says("bo", "nice", "dev")
    sim.reacts("ana", message, "HEART")
    path = f"{IM}/messages/{message.id}/reactions"
    added = await rest.data("POST", path, {"reaction_type": {"emoji_type": "OnIt"}})
    again = await rest.data("POST", path, {"reaction_type": {"emoji_type": "OnIt"}})
    assert added["reaction_id"] == again["reaction_id"]
    assert added["operator"] == {"operator_id": sim.app_id, "operator_type": "app"}
    listed = await rest.data("GET", path, reaction_type="OnIt")
    assert [item["reaction_id"] for item in listed["items"]] == [added["reaction_id"]]
    assert len((await rest.data("GET", path))["items"]) == 2
    await rest.data("DELETE", f"{path}/{added['reaction_id']}")
    assert await rest.code("DELETE", f"{path}/{added['reaction_id']}") == 231011
    assert message.reactions == {"HEART": [sim.user("ana").id]}
    assert [(r.emoji, r.added) for r in sim.reactions] == [("HEART", True), ("OnIt", True), ("OnIt", False)]
    assert sim.deliveries[-1].payload["event"]["operator_type"] == "app"


async def test_history_of_a_group_needs_the_sensitive_scope(sim: LarkSimulator, rest: Rest) -> None:
    where = {"container_id_type": "chat", "container_id": sim.channel("dev").id}
    assert await rest.code("GET", f"{IM}/messages", **where) == 230027
    assert SENSITIVE_SCOPE in rest.last.json()["msg"]
    where["container_id"] = sim.direct("ana").id
    assert (await rest.data("GET", f"{IM}/messages", **where))["items"] == []


async def test_history_of_a_chat_and_a_thread(sim: LarkSimulator, rest: Rest) -> None:
    sim.grant_scope()
    said = [sim.user_says("ana", f"message {number}", "dev") for number in range(5)]
    answers = [sim.user_says("bo", f"answer {number}", thread=said[1]) for number in range(2)]
    sim.user_deletes(said[0])
    where = {"container_id_type": "chat", "container_id": sim.channel("dev").id}
    first = await rest.data("GET", f"{IM}/messages", **where, page_size=3)
    assert first["has_more"] is True
    second = await rest.data("GET", f"{IM}/messages", **where, page_size=3, page_token=first["page_token"])
    assert (second["has_more"], second["page_token"]) == (False, "")
    assert [m["message_id"] for m in first["items"] + second["items"]] == [m.id for m in said]
    assert [m["deleted"] for m in first["items"]] == [True, False, False]
    newest = await rest.data("GET", f"{IM}/messages", **where, sort_type="ByCreateTimeDesc")
    assert newest["items"][0]["message_id"] == said[4].id
    thread = {"container_id_type": "thread", "container_id": said[1].thread_id}
    found = await rest.data("GET", f"{IM}/messages", **thread)
    assert [m["message_id"] for m in found["items"]] == [said[1].id, *(m.id for m in answers)]
    assert await rest.code("GET", f"{IM}/messages", **thread, start_time=1) == 230001


async def test_history_between_two_seconds(sim: LarkSimulator, rest: Rest) -> None:
    sim.grant_scope()
    sim.user_says("ana", "early", "dev")
    sim.advance(timedelta(seconds=10))
    middle = sim.user_says("ana", "middle", "dev")
    sim.advance(timedelta(seconds=10))
    sim.user_says("ana", "late", "dev")
    at = int(middle.at.timestamp())
    where = {"container_id_type": "chat", "container_id": sim.channel("dev").id}
    found = await rest.data("GET", f"{IM}/messages", **where, start_time=at, end_time=at)
    assert [m["message_id"] for m in found["items"]] == [middle.id]


async def test_a_card_reads_back_only_on_request(sim: LarkSimulator, rest: Rest) -> None:
    card = card_message(LINE, header={"title": {"tag": "plain_text", "content": "CT-1"}})
    sent = await rest.say("", **card)
    path = f"{IM}/messages/{sent['message_id']}"
    shown = json.loads((await rest.data("GET", path))["items"][0]["body"]["content"])
    assert shown["title"] == "CT-1" and "hello" not in json.dumps(shown)
    raw = await rest.data("GET", path, card_msg_content_type="raw_card_content")
    assert raw["items"][0]["body"]["content"] == card["content"]


async def test_changing_and_recalling(sim: LarkSimulator, rest: Rest) -> None:
    sent = await rest.say("", **card_message(LINE))
    path = f"{IM}/messages/{sent['message_id']}"
    new = card_message({"tag": "markdown", "content": "changed"})["content"]
    assert await rest.data("PATCH", path, {"content": new}) == {}
    (message,) = sim.sent
    assert sim.render_text(message) == "changed"
    assert [(e.via, e.content) for e in sim.edits] == [("patch", new)]
    assert [(h.kind, h.text) for h in sim.happenings] == [("said", "hello"), ("edited", "changed")]
    assert [json.loads(v.content)["body"]["elements"][0]["content"] for v in message.history] == ["hello", "changed"]
    sim.advance(timedelta(days=13, hours=23))
    await rest.log_in()
    await rest.data("PATCH", path, {"content": new})
    await rest.data("DELETE", path)
    assert message.deleted and sim.render_text(message) == ""
    assert names(sim) == ["im.message.recalled_v1"]


async def test_chats_people_and_the_bot(sim: LarkSimulator, rest: Rest) -> None:
    listed = await rest.data("GET", f"{IM}/chats", page_size=2)
    rest_of = await rest.data("GET", f"{IM}/chats", page_token=listed["page_token"])
    assert [c["name"] for c in listed["items"] + rest_of["items"]] == ["general", "dev", "topics"]
    chat = await rest.data("GET", f"{IM}/chats/{sim.channel('dev').id}")
    assert (chat["name"], chat["chat_mode"], chat["user_count"], chat["bot_count"]) == ("dev", "group", "3", "1")
    members = await rest.data("GET", f"{IM}/chats/{sim.channel('dev').id}/members")
    assert {m["name"] for m in members["items"]} == {"Ana Pires", "Bo Lindqvist", "王思"}
    for name, inside in (("dev", True), ("lounge", False)):
        found = await rest.data("GET", f"{IM}/chats/{sim.channel(name).id}/members/is_in_chat")
        assert found == {"is_in_chat": inside}
    person = await rest.data("GET", f"/contact/v3/users/{sim.user('cy').id}")
    assert (person["user"]["name"], person["user"]["union_id"]) == ("王思", sim.user("cy").union_id)
    bot = await rest.data("GET", "/bot/v3/info")
    assert (bot["bot"]["open_id"], bot["bot"]["activate_status"]) == (sim.bot_open_id, 2)
    scopes = (await rest.data("GET", "/application/v6/scopes"))["scopes"]
    assert {s["scope_name"] for s in scopes if s["grant_status"] == 1} == MANIFEST_SCOPES
    assert [s["scope_name"] for s in scopes if s["grant_status"] != 1] == [SENSITIVE_SCOPE]


async def test_new_people_and_chats(sim: LarkSimulator) -> None:
    sim.add_user("dee", language="zh", channels=("general", "dev"))
    team = sim.add_channel("team", kind="topic", members=("dee", "bo"), bot=False)
    assert sim.bot_open_id not in team.members
    with pytest.raises(LookupError, match="dee cannot write"):
        sim.user_says("dee", "hi", "lounge")
    with pytest.raises(LookupError, match="no chat"):
        sim.user_says("dee", "hi", "nowhere")
    with pytest.raises(LookupError, match="no emoji"):
        sim.reacts("dee", sim.user_says("dee", "hi", "dev"), "bulb")
