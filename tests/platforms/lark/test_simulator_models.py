"""The simulator's fields are those of the SDK's generated models: events, answers and requests, key by key."""

import importlib
import json
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest

from platforms.lark.simulator import NOISE, LarkSimulator
from platforms.lark.simulator.catalog import ENDPOINTS
from tests.platforms.lark import sdk
from tests.platforms.lark.wire import Rest, card_message, rest_client, text_message

Json = dict[str, Any]
GO = {"tag": "button", "text": {"tag": "plain_text", "content": "Go"}}


@pytest.fixture(scope="module")
def lark() -> Any:
    return sdk.load()


@pytest.fixture
def sim() -> Iterator[LarkSimulator]:
    with LarkSimulator() as simulator:
        yield simulator
        assert simulator.surprises == []


def model(path: str, name: str) -> Any:
    return getattr(importlib.import_module(f"lark_oapi.{path}"), name)


def strangers(value: Any, kind: Any, where: str = "") -> list[str]:
    """The keys of a payload that the SDK's model does not have."""
    if get_origin(kind) is list:
        return [s for index, item in enumerate(value) for s in strangers(item, get_args(kind)[0], f"{where}[{index}]")]
    types = getattr(kind, "_types", None)
    if types is None or not isinstance(value, dict):
        return []
    known = set(vars(kind()))
    found = [f"{where}.{key}" for key in value if key not in known]
    for key, part in value.items():
        if key in types and part is not None:
            found += strangers(part, types[key], f"{where}.{key}")
    return found


EVENTS = {
    "im.message.receive_v1": ("api.im.v1.model.p2_im_message_receive_v1", "P2ImMessageReceiveV1"),
    "im.message.recalled_v1": ("api.im.v1.model.p2_im_message_recalled_v1", "P2ImMessageRecalledV1"),
    "im.message.reaction.created_v1": (
        "api.im.v1.model.p2_im_message_reaction_created_v1",
        "P2ImMessageReactionCreatedV1",
    ),
    "im.message.reaction.deleted_v1": (
        "api.im.v1.model.p2_im_message_reaction_deleted_v1",
        "P2ImMessageReactionDeletedV1",
    ),
    "im.chat.member.bot.added_v1": ("api.im.v1.model.p2_im_chat_member_bot_added_v1", "P2ImChatMemberBotAddedV1"),
    "im.chat.member.bot.deleted_v1": (
        "api.im.v1.model.p2_im_chat_member_bot_deleted_v1",
        "P2ImChatMemberBotDeletedV1",
    ),
    "application.bot.menu_v6": ("api.application.v6.model.p2_application_bot_menu_v6", "P2ApplicationBotMenuV6"),
    "card.action.trigger": ("event.callback.model.p2_card_action_trigger", "P2CardActionTrigger"),
    "im.message.message_read_v1": ("api.im.v1.model.p2_im_message_message_read_v1", "P2ImMessageMessageReadV1"),
    "im.chat.updated_v1": ("api.im.v1.model.p2_im_chat_updated_v1", "P2ImChatUpdatedV1"),
    "im.chat.disbanded_v1": ("api.im.v1.model.p2_im_chat_disbanded_v1", "P2ImChatDisbandedV1"),
    "im.chat.member.user.added_v1": ("api.im.v1.model.p2_im_chat_member_user_added_v1", "P2ImChatMemberUserAddedV1"),
    "im.chat.access_event.bot_p2p_chat_entered_v1": (
        "api.im.v1.model.p2_im_chat_access_event_bot_p2p_chat_entered_v1",
        "P2ImChatAccessEventBotP2pChatEnteredV1",
    ),
}


def test_events(lark: Any, sim: LarkSimulator) -> None:
    root = sim.user_mentions("ana", "look, @bo", "dev")
    sim.user_mentions("bo", "yes", thread=root)
    sim.reacts("bo", root, "OK")
    sim.reacts("bo", root, "OK", on=False)
    sim.clicks("bo", sim.shows_card("dev", GO, {"v": 1}), "Go")
    sim.user_deletes(root)
    sim.adds_bot("lounge")
    sim.removes_bot("lounge")
    sim.uses_menu("ana", "file")
    for name in NOISE:
        sim.makes_noise(name)
    assert {d.name for d in sim.deliveries} == set(EVENTS)
    for delivery in sim.deliveries:
        kind = model(*EVENTS[delivery.name])
        payload = json.loads(json.dumps(delivery.payload))
        assert strangers(payload["header"], type(kind(payload).header)) == []
        assert strangers(payload["event"], kind._types["event"], delivery.name) == []
        assert kind(payload).header.event_type == delivery.name


async def test_answers(lark: Any, sim: LarkSimulator) -> None:
    sim.grant_scope()
    asked = sim.user_mentions("ana", "look, @bo", "dev")
    chat = sim.channel("dev").id
    async with rest_client(sim) as rest:
        for name, answer in [item async for item in _answers(rest, asked.id, chat)]:
            assert (
                strangers(answer, model(f"api.im.v1.model.{name}_response_body", f"{_class(name)}ResponseBody"), name)
                == []
            )
        people = await rest.data("GET", f"/contact/v3/users/{sim.user('ana').id}")
        found = strangers(people, model("api.contact.v3.model.get_user_response_body", "GetUserResponseBody"))
        assert found == []
        scopes = await rest.data("GET", "/application/v6/scopes")
        kind = model("api.application.v6.model.list_scope_response_body", "ListScopeResponseBody")
        assert strangers(scopes, kind) == []


async def _answers(rest: Rest, asked: str, chat: str) -> Any:
    """Model -> what the simulator answered."""
    messages = "/im/v1/messages"
    body = {"receive_id": chat, **card_message({"tag": "hr"})}
    yield "create_message", await rest.data("POST", messages, body, receive_id_type="chat_id")
    yield (
        "reply_message",
        await rest.data("POST", f"{messages}/{asked}/reply", text_message("x") | {"reply_in_thread": True}),
    )
    yield "get_message", await rest.data("GET", f"{messages}/{asked}")
    yield "list_message", await rest.data("GET", messages, container_id_type="chat", container_id=chat)
    reaction = {"reaction_type": {"emoji_type": "OK"}}
    yield "create_message_reaction", await rest.data("POST", f"{messages}/{asked}/reactions", reaction)
    yield "list_message_reaction", await rest.data("GET", f"{messages}/{asked}/reactions")
    yield "list_chat", await rest.data("GET", "/im/v1/chats")
    yield "get_chat", await rest.data("GET", f"/im/v1/chats/{chat}")
    yield "get_chat_members", await rest.data("GET", f"/im/v1/chats/{chat}/members")
    yield "is_in_chat_chat_members", await rest.data("GET", f"/im/v1/chats/{chat}/members/is_in_chat")


def _class(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


REQUESTS = {
    "message.create": "create_message",
    "message.reply": "reply_message",
    "message.patch": "patch_message",
    "message.delete": "delete_message",
    "message.get": "get_message",
    "message.list": "list_message",
    "reaction.create": "create_message_reaction",
    "reaction.list": "list_message_reaction",
    "reaction.delete": "delete_message_reaction",
    "chat.list": "list_chat",
    "chat.get": "get_chat",
    "chat.members": "get_chat_members",
    "chat.is_in": "is_in_chat_chat_members",
}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests(lark: Any, name: str) -> None:
    (endpoint,) = [e for e in ENDPOINTS if e.name == name]
    module = f"api.im.v1.model.{REQUESTS[name]}_request"
    request = model(module, f"{_class(REQUESTS[name])}Request").builder().build()
    assert request.uri.replace(":", "{").count("{") == endpoint.path.count("{")
    assert request.http_method.name == endpoint.verb
    assert request.uri.split("/")[-1].strip(":") == endpoint.path.split("/")[-1].strip("{}")
    assert endpoint.query <= set(vars(request)), "a query field that the SDK does not have"
    if endpoint.body:
        body = model(f"{module}_body", f"{_class(REQUESTS[name])}RequestBody")
        assert endpoint.body == set(vars(body()))
