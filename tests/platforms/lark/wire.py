"""Two small clients for the simulator's tests: REST by httpx, and a raw long connection that acknowledges when told."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx

from platforms.lark.simulator import LarkSimulator
from platforms.lark.simulator.frames import CONTROL, DATA, Frame, decode, encode

Json = dict[str, Any]


class Rest:
    """The API with a tenant access token. Each method returns the answer's body; `last` is the whole answer."""

    def __init__(self, sim: LarkSimulator, client: httpx.AsyncClient) -> None:
        self.sim = sim
        self.client = client
        self.last = httpx.Response(0)

    async def call(self, verb: str, path: str, body: Any = None, **query: Any) -> Json:
        self.last = await self.client.request(verb, f"/open-apis{path}", json=body, params=query)
        return self.last.json()

    async def data(self, verb: str, path: str, body: Any = None, **query: Any) -> Json:
        answer = await self.call(verb, path, body, **query)
        assert (self.last.status_code, answer["code"]) == (200, 0), answer
        return answer.get("data", answer)

    async def code(self, verb: str, path: str, body: Any = None, **query: Any) -> int:
        """The code of an answer that must be a refusal in an HTTP 400."""
        answer = await self.call(verb, path, body, **query)
        assert self.last.status_code == 400, answer
        assert answer["error"]["log_id"]
        return answer["code"]

    async def say(self, text: str, chat: str = "general", **fields: Any) -> Json:
        body = {"receive_id": self.sim.channel(chat).id, **text_message(text), **fields}
        return await self.data("POST", "/im/v1/messages", body, receive_id_type="chat_id")

    async def log_in(self) -> None:
        answer = await token(self.client, self.sim.app_id, self.sim.app_secret)
        self.client.headers["Authorization"] = f"Bearer {answer['tenant_access_token']}"


def text_message(text: str) -> Json:
    return {"msg_type": "text", "content": json.dumps({"text": text})}


def card_message(*elements: Json, **card: Any) -> Json:
    content = {"schema": "2.0", "body": {"elements": list(elements)}, **card}
    return {"msg_type": "interactive", "content": json.dumps(content)}


async def token(client: httpx.AsyncClient, app_id: str, secret: str) -> Json:
    body = {"app_id": app_id, "app_secret": secret}
    answer = await client.post("/open-apis/auth/v3/tenant_access_token/internal", json=body)
    assert answer.status_code == 200
    return answer.json()


@asynccontextmanager
async def rest_client(sim: LarkSimulator) -> AsyncIterator[Rest]:
    async with httpx.AsyncClient(base_url=sim.api_url, trust_env=False) as client:
        rest = Rest(sim, client)
        await rest.log_in()
        yield rest


class Socket:
    """A raw long connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, endpoint: Json) -> None:
        self.socket = socket
        self.endpoint = endpoint

    async def frame(self) -> Frame:
        message = await self.socket.receive(timeout=5)
        assert message.type is aiohttp.WSMsgType.BINARY, message
        return decode(message.data)

    async def event(self) -> tuple[Frame, Json]:
        frame = await self.frame()
        return frame, json.loads(frame.payload)

    async def ack(self, frame: Frame, answer: Any = None, code: int = 200) -> None:
        body: Json = {"code": code}
        if answer is not None:
            body["data"] = base64.b64encode(json.dumps(answer).encode()).decode()
        frame.payload = json.dumps(body).encode()
        assert frame.method == DATA
        await self.socket.send_bytes(encode(frame))

    async def ping(self, service: int) -> Frame:
        await self.socket.send_bytes(encode(Frame(service=service, method=CONTROL, headers={"type": "ping"})))
        return await self.frame()


async def discover(session: aiohttp.ClientSession, sim: LarkSimulator, **changes: str) -> Json:
    body = {"AppID": sim.app_id, "AppSecret": sim.app_secret, **changes}
    async with session.post(f"{sim.api_url}/callback/ws/endpoint", json=body) as answer:
        assert answer.status == 200
        return await answer.json()


@asynccontextmanager
async def connected(sim: LarkSimulator) -> AsyncIterator[Socket]:
    async with aiohttp.ClientSession() as session:
        endpoint = (await discover(session, sim))["data"]
        async with session.ws_connect(endpoint["URL"], autoping=False, autoclose=False) as socket:
            yield Socket(socket, endpoint)
