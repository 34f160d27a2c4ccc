"""The Lark simulator refuses what Lark refuses, with Lark's codes."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from platforms.lark.simulator import LarkSimulator
from tests.platforms.lark.wire import Rest, card_message, rest_client, text_message, token

IM = "/im/v1"
CARD = card_message({"tag": "markdown", "content": "hello"})
LONG = "x" * (30 * 1024)


@pytest.fixture
def sim() -> Iterator[LarkSimulator]:
    with LarkSimulator() as simulator:
        yield simulator
        assert simulator.surprises == []


@pytest.fixture
async def rest(sim: LarkSimulator) -> AsyncIterator[Rest]:
    async with rest_client(sim) as client:
        yield client


async def test_keys(sim: LarkSimulator, rest: Rest) -> None:
    assert (await token(rest.client, sim.app_id, "wrong"))["code"] == 10014
    assert (await token(rest.client, "cli_a0000000000000000", sim.app_secret))["code"] == 10014
    assert (await token(rest.client, "nonsense", sim.app_secret))["code"] == 10003
    sim.revoke_token("secret")
    assert (await token(rest.client, sim.app_id, sim.app_secret)) == {"code": 10014, "msg": "app secret invalid"}
    sim.restore_token()
    assert (await token(rest.client, sim.app_id, sim.app_secret))["code"] == 0


async def test_tokens(sim: LarkSimulator, rest: Rest) -> None:
    sim.revoke_token()
    assert await rest.code("GET", "/bot/v3/info") == 99991663
    await rest.log_in()
    await rest.data("GET", "/bot/v3/info")
    rest.client.headers["Authorization"] = "Bearer t-wrong"
    assert await rest.code("GET", "/bot/v3/info") == 99991663
    del rest.client.headers["Authorization"]
    assert await rest.code("GET", "/bot/v3/info") == 99991661


@pytest.mark.parametrize(
    ("scope", "verb", "path"),
    [
        ("im:message:send_as_bot", "POST", "/messages/{id}/reply"),
        ("im:message:send_as_bot", "PATCH", "/messages/{id}"),
        ("im:message:send_as_bot", "DELETE", "/messages/{id}"),
        ("im:message:readonly", "GET", "/messages/{id}"),
        ("im:message.reactions:write_only", "POST", "/messages/{id}/reactions"),
        ("im:chat:readonly", "GET", "/chats"),
    ],
)
async def test_a_missing_scope_is_named(sim: LarkSimulator, rest: Rest, scope: str, verb: str, path: str) -> None:
    message = sim.user_says("ana", "x")
    sim.revoke_scope(scope)
    assert await rest.code(verb, IM + path.format(id=message.id), None) == 99991672
    said = rest.last.json()
    assert scope in said["msg"]
    assert {"type": "action_scope_required", "subject": scope} in said["error"]["permission_violations"]


async def test_a_scope_for_people(sim: LarkSimulator, rest: Rest) -> None:
    assert await rest.code("GET", f"/contact/v3/users/{sim.user('eve').id}") == 41050
    assert await rest.code("GET", "/contact/v3/users/ou_nobody") == 99992351
    sim.revoke_scope("contact:user.base:readonly")
    assert await rest.code("GET", f"/contact/v3/users/{sim.user('ana').id}") == 99991672


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"content": "no json"}, 230001),
        ({"content": {"text": "x"}}, 230001),
        ({"content": json.dumps({"text": "  "})}, 230001),
        ({"content": json.dumps({"text": "x" * 150 * 1024})}, 230025),
        (
            {"msg_type": "post", "content": json.dumps({"zh_cn": {"content": [[{"tag": "text", "text": LONG}]]}})},
            230025,
        ),
        ({"msg_type": "interactive", "content": json.dumps({"elements": LONG})}, 230025),
        ({"msg_type": "interactive", "content": json.dumps({"schema": "2.0", "boby": {}})}, 230099),
        ({"receive_id": "oc_nowhere"}, 230001),
        ({"receive_id": ""}, 230001),
        ({"msg_type": ""}, 230001),
        ({"uuid": "k" * 51}, 230001),
    ],
)
async def test_sending(sim: LarkSimulator, rest: Rest, changes: dict[str, Any], code: int) -> None:
    body = {"receive_id": sim.channel("general").id, **text_message("x"), **changes}
    assert await rest.code("POST", f"{IM}/messages", body, receive_id_type="chat_id") == code
    assert sim.sent == []
    assert sim.calls("message.create")[0].code == code


async def test_sending_at_the_limit(sim: LarkSimulator, rest: Rest) -> None:
    overhead = len(text_message("")["content"])
    await rest.say("x" * (150 * 1024 - overhead))
    assert len(sim.sent[0].content) == 150 * 1024


async def test_receivers(sim: LarkSimulator, rest: Rest) -> None:
    async def refused(kind: str, receiver: str) -> int:
        body = {"receive_id": receiver, **text_message("x")}
        return await rest.code("POST", f"{IM}/messages", body, receive_id_type=kind)

    assert await refused("open_id", "ou_nobody") == 230001
    assert await refused("fax", sim.user("ana").id) == 230001
    assert await refused("open_id", sim.user("eve").id) == 230013
    sim.hides_bot_from("ana")
    assert await refused("union_id", sim.user("ana").union_id) == 230013
    assert await refused("chat_id", sim.channel("lounge").id) == 230002


async def test_where_the_bot_is_not(sim: LarkSimulator, rest: Rest) -> None:
    sim.grant_scope()
    there = sim.user_says("ana", "x", "lounge")
    chat = sim.channel("lounge").id
    assert await rest.code("POST", f"{IM}/messages/{there.id}/reply", text_message("x")) == 230002
    assert await rest.code("GET", f"{IM}/messages/{there.id}") == 230002
    assert await rest.code("GET", f"{IM}/messages", container_id_type="chat", container_id=chat) == 230002
    assert await rest.code("GET", f"{IM}/chats/{chat}/members") == 232011
    assert (
        await rest.code("POST", f"{IM}/messages/{there.id}/reactions", {"reaction_type": {"emoji_type": "OK"}})
        == 231002
    )


async def test_a_dissolved_chat(sim: LarkSimulator, rest: Rest) -> None:
    own = await rest.say("", "dev", **CARD)
    sim.archives_channel("dev")
    body = {"receive_id": sim.channel("dev").id, **text_message("x")}
    assert await rest.code("POST", f"{IM}/messages", body, receive_id_type="chat_id") == 232009
    assert await rest.code("PATCH", f"{IM}/messages/{own['message_id']}", {"content": CARD["content"]}) == 232009
    assert await rest.code("GET", f"{IM}/chats/{sim.channel('dev').id}") == 232009
    assert await rest.code("GET", f"{IM}/chats/oc_nowhere") == 232006


async def test_a_bot_that_is_switched_off(sim: LarkSimulator, rest: Rest) -> None:
    own = await rest.say("", **CARD)
    sim.switches_bot(False)
    body = {"receive_id": sim.channel("dev").id, **text_message("x")}
    assert await rest.code("POST", f"{IM}/messages", body, receive_id_type="chat_id") == 230006
    assert await rest.code("PATCH", f"{IM}/messages/{own['message_id']}", {"content": CARD["content"]}) == 230006
    assert await rest.code("GET", f"{IM}/chats") == 230006
    assert await rest.code("GET", "/bot/v3/info") == 11205


async def test_recalled_messages(sim: LarkSimulator, rest: Rest) -> None:
    asked = sim.user_mentions("ana", "x")
    own = await rest.say("", **CARD)
    sim.user_deletes(asked)
    await rest.data("DELETE", f"{IM}/messages/{own['message_id']}")
    assert await rest.code("POST", f"{IM}/messages/{asked.id}/reply", text_message("x")) == 230011
    assert await rest.code("PATCH", f"{IM}/messages/{own['message_id']}", {"content": CARD["content"]}) == 230011
    assert await rest.code("DELETE", f"{IM}/messages/{own['message_id']}") == 230011
    assert (
        await rest.code("POST", f"{IM}/messages/{asked.id}/reactions", {"reaction_type": {"emoji_type": "OK"}})
        == 231003
    )
    assert (await rest.data("GET", f"{IM}/messages/{asked.id}"))["items"][0]["deleted"] is True


async def test_changing(sim: LarkSimulator, rest: Rest) -> None:
    foreign = sim.user_says("ana", "mine")
    own, text = await rest.say("", **CARD), await rest.say("text")
    content = {"content": CARD["content"]}
    path = f"{IM}/messages/{own['message_id']}"
    assert await rest.code("PATCH", f"{IM}/messages/{foreign.id}", content) == 230017
    assert await rest.code("DELETE", f"{IM}/messages/{foreign.id}") == 230026
    assert await rest.code("PATCH", f"{IM}/messages/{text['message_id']}", content) == 230054
    assert await rest.code("PATCH", f"{IM}/messages/om_nothing", content) == 230001
    assert await rest.code("PATCH", path, {"content": json.dumps({"schema": "2.0", "new": 1})}) == 230099
    assert await rest.code("PATCH", path, {"content": json.dumps(LONG)}) == 230025
    sim.advance(timedelta(days=14, seconds=1))
    await rest.log_in()
    assert await rest.code("PATCH", path, content) == 230031
    assert sim.edits == []


async def test_reactions(sim: LarkSimulator, rest: Rest) -> None:
    message = sim.user_says("ana", "x")
    sim.reacts("ana", message, "OK")
    path = f"{IM}/messages/{message.id}/reactions"
    assert await rest.code("POST", path, {"reaction_type": {"emoji_type": "bulb"}}) == 231001
    theirs = (await rest.data("GET", path))["items"][0]["reaction_id"]
    assert await rest.code("DELETE", f"{path}/{theirs}") == 231007
    assert await rest.code("DELETE", f"{path}/unknown") == 231011


@pytest.mark.parametrize(
    "query",
    [
        {"container_id_type": "inbox"},
        {"container_id": "oc_nowhere"},
        {"container_id_type": "thread", "container_id": "omt_nowhere"},
        {"start_time": "1700000000000"},
        {"start_time": "yesterday"},
        {"sort_type": "ByName"},
        {"page_size": 51},
        {"page_token": "x"},
    ],
)
async def test_listing(sim: LarkSimulator, rest: Rest, query: dict[str, Any]) -> None:
    sim.grant_scope()
    where = {"container_id_type": "chat", "container_id": sim.channel("dev").id}
    assert await rest.code("GET", f"{IM}/messages", **{**where, **query}) == 230001


async def test_rates_per_chat_message_app_and_tenant() -> None:
    with LarkSimulator(rate_limits=True) as sim:
        async with rest_client(sim) as rest:
            own = await rest.say("", "dev", **CARD)
            for _ in range(4):
                await rest.say("x", "dev")
            body = {"receive_id": sim.channel("dev").id, **text_message("x")}
            assert await rest.code("POST", f"{IM}/messages", body, receive_id_type="chat_id") == 230020
            await rest.say("x", "general")
            for _ in range(5):
                await rest.data("PATCH", f"{IM}/messages/{own['message_id']}", {"content": CARD["content"]})
            assert (
                await rest.code("PATCH", f"{IM}/messages/{own['message_id']}", {"content": CARD["content"]}) == 230020
            )
            sim.advance(timedelta(seconds=1))
            await rest.say("x", "dev")
            sim.limit_tenant(7)
            assert await rest.code("POST", f"{IM}/messages", body, receive_id_type="chat_id") == 11232
            sim.limit_tenant(None)
            rooms = [sim.add_channel(f"room {number}").id for number in range(90)]
            where = {"receive_id_type": "chat_id"}
            bodies = [{**body, "receive_id": room} for room in rooms]
            posts = [rest.client.post(f"/open-apis{IM}/messages", json=one, params=where) for one in bodies]
            answers = await asyncio.gather(*posts)  # at once: the window is a second
            refused = [answer for answer in answers if answer.status_code == 429]
            assert refused and {answer.json()["code"] for answer in refused} == {99991400}
            assert all(int(answer.headers["x-ogw-ratelimit-reset"]) >= 1 for answer in refused)


async def test_planned_faults(sim: LarkSimulator, rest: Rest) -> None:
    body = {"receive_id": sim.channel("dev").id, **text_message("x")}

    async def post() -> tuple[int, dict[str, Any]]:
        await rest.client.post(f"/open-apis{IM}/messages", json=body, params={"receive_id_type": "chat_id"})
        answer = await rest.call("POST", f"{IM}/messages", body, receive_id_type="chat_id")
        return rest.last.status_code, answer

    sim.fail_next("message.create", status=503)
    answer = await rest.client.post(f"/open-apis{IM}/messages", json=body, params={"receive_id_type": "chat_id"})
    assert (answer.status_code, answer.text[:6]) == (503, "<html>")
    sim.fail_next("message.create", retry_after=7)
    answer = await rest.client.post(f"/open-apis{IM}/messages", json=body, params={"receive_id_type": "chat_id"})
    assert (answer.status_code, answer.json()["code"], answer.headers["x-ogw-ratelimit-reset"]) == (429, 99991400, "7")
    sim.fail_next("message.create", error=230020, times=2)
    assert await post() == (400, rest.last.json()) and rest.last.json()["code"] == 230020
    sim.fail_next("token", error="10014: app secret invalid")
    assert (await token(rest.client, sim.app_id, sim.app_secret))["code"] == 10014
    sim.fail_next("*", status=500, times=None)
    sim.heal()
    assert (await post())[0] == 200
    assert len(sim.sent) == 2


@pytest.mark.parametrize(("when", "kept"), [("drop_before_commit", 0), ("drop_after_commit", 1)])
async def test_dropped_answers(sim: LarkSimulator, rest: Rest, when: str, kept: int) -> None:
    sim.fail_next("message.create", **{when: True})
    with pytest.raises(httpx.TransportError):
        await rest.say("x", uuid="k1")
    assert len(sim.sent) == kept
    await rest.say("x", uuid="k1")
    assert len(sim.sent) == 1


async def test_what_lark_does_not_know_is_a_surprise() -> None:
    with LarkSimulator() as sim:
        async with rest_client(sim) as rest:
            await rest.say("x", mood="good")
            assert [(s.where, s.what) for s in sim.surprises] == [("message.create", "unknown fields: mood")]
            body = {"receive_id": sim.channel("dev").id, "msg_type": "audio", "content": "{}"}
            assert await rest.code("POST", f"{IM}/messages", body, receive_id_type="chat_id") == 230001
            answer = await rest.client.get("/open-apis/im/v9/messages")
            assert (answer.status_code, answer.text) == (404, "404 page not found")
            assert len(sim.surprises) == 3
