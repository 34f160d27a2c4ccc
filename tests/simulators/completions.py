"""A chat-completions and embeddings endpoint on loopback that refuses what real ones refuse.

It checks key, model, roles, the shape of `response_format` (OpenAI's strict mode: a name, every property required, no
others), refuses the formats and parameters it is told not to know with the status and words of real servers, and
otherwise answers what a test has queued. The last answer stays.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web

KEY = "sk-intake-key-3f9a71c2"
MODEL = "sorter-1"
EMBEDDER = "embedder-1"
WORDS = ("csv", "export", "dark", "theme", "login", "page", "invoice", "slow")


@dataclass(frozen=True)
class Say:
    """One answer: the model's text, or a whole body with a status. `hang` never answers."""

    text: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    hang: bool = False


class CompletionsServer:
    """`url` is its address with `/v1`. `asked` are the bodies of well-formed requests, `refused` the other statuses."""

    def __init__(self, *answers: Say | str, no_formats: tuple[str, ...] = (), no_fields: tuple[str, ...] = ()) -> None:
        self.answers = [Say(one) if isinstance(one, str) else one for one in answers]
        self.no_formats, self.no_fields = no_formats, no_fields
        self.asked: list[dict[str, Any]] = []
        self.refused: list[int] = []
        self.hanging = asyncio.Event()
        self.gone = asyncio.Event()
        self.no_embeddings = False
        self._stopped = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> CompletionsServer:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_post("/v1/embeddings", self._embed)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def formats(self) -> list[str]:
        """The response format of each well-formed request, `text` where none was asked for."""
        return [body.get("response_format", {}).get("type", "text") for body in self.asked]

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request, MODEL)
        if isinstance(body, web.Response):
            return body
        wrong = self._wrong(body)
        if wrong:
            return self._refuse(400, wrong)
        self.asked.append(body)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer.hang:
            self.hanging.set()
            try:
                await self._stopped.wait()
            finally:
                self.gone.set()
        if answer.body is not None or answer.status != 200:
            content = answer.body if answer.body is not None else b'{"error": {"message": "scripted"}}'
            return web.Response(status=answer.status, headers=answer.headers, body=content)
        message = {"role": "assistant", "content": answer.text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        head = {"id": "chatcmpl-7", "object": "chat.completion", "created": 0, "model": MODEL}
        return web.json_response({**head, "choices": [choice], "usage": {"total_tokens": 700}})

    async def _body(self, request: web.Request, model: str) -> dict[str, Any] | web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return self._refuse(401, "Incorrect API key provided.")
        if request.content_type != "application/json":
            return self._refuse(415, "Unsupported media type.")
        try:
            body = json.loads(await request.read())
        except ValueError:
            return self._refuse(400, "We could not parse the JSON body of your request.")
        if body.get("model") != model:
            return self._refuse(404, f"The model `{body.get('model')}` does not exist.")
        return body

    def _wrong(self, body: Mapping[str, Any]) -> str:
        messages = body.get("messages")
        if not isinstance(messages, list) or any(
            m.get("role") not in ("system", "user", "assistant") for m in messages
        ):
            return "Invalid value for 'messages'."
        if any(not isinstance(message.get("content"), str) for message in messages) or "tools" in body:
            return "Invalid type for 'messages[0].content'."
        for name in self.no_fields:
            if name in body:
                return f"Unsupported parameter: '{name}' is not supported with this model."
        wanted = body.get("response_format")
        if wanted is None:
            return ""
        if wanted["type"] in self.no_formats:
            return f"Invalid parameter: 'response_format' of type '{wanted['type']}' is not supported with this model."
        return self._bad_schema(wanted["json_schema"]) if wanted["type"] == "json_schema" else ""

    def _bad_schema(self, named: Mapping[str, Any]) -> str:
        schema = named["schema"]
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", named.get("name", "")):
            return "Invalid 'response_format.json_schema.name'."
        if schema.get("additionalProperties") is not False or set(schema["required"]) != set(schema["properties"]):
            return "Invalid schema for response_format: strict needs every property required and no others."
        for name, one in schema["properties"].items():
            if "type" not in one or ("enum" in one and not one["enum"]):
                return f"Invalid schema for response_format: {name}."
        return ""

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request, EMBEDDER)
        if isinstance(body, web.Response):
            return body
        if self.no_embeddings:
            return self._refuse(501, "This server does not support embeddings.")
        if not isinstance(body.get("input"), list) or not body["input"]:
            return self._refuse(400, "Invalid 'input'.")
        self.asked.append(body)
        rows = [
            {"object": "embedding", "index": at, "embedding": [float(text.lower().count(word)) for word in WORDS]}
            for at, text in enumerate(body["input"])
        ]
        return web.json_response({"object": "list", "data": rows[::-1], "model": EMBEDDER})

    def _refuse(self, status: int, why: str) -> web.Response:
        self.refused.append(status)
        error = {"message": why, "type": "invalid_request_error", "param": None, "code": None}
        return web.json_response({"error": error}, status=status)
