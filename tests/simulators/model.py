"""A scripted model endpoint on loopback, at wire level: OpenAI chat completions and responses, Anthropic messages.

A test writes scenes in neutral actions (write, edit, read, shell); the server turns them into calls of the tools that
the agent offered. It keeps no conversation: the step is the number of model turns since the last prompt that matched,
so retries and resumed sessions work. It refuses what the real endpoints refuse: a wrong key, an unknown model, a
bad body; and it streams usage on chat completions only when `stream_options.include_usage` asks for it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web

from tests.simulators.model_wire import PROTOCOLS, Answer, Call, Turn, Wire

KEY = "sk-real-key-of-the-installation"
MODEL = "scripted-model"

_TOOLS = {
    "read": (("read", "read_file"), {"path": ("filePath", "file_path", "path")}),
    "write": (("write", "write_file"), {"path": ("filePath", "file_path", "path"), "content": ("content",)}),
    "edit": (
        ("edit", "replace"),
        {"path": ("filePath", "file_path"), "old": ("oldString", "old_string"), "new": ("newString", "new_string")},
    ),
    "shell": (("bash", "shell", "run_shell_command"), {"command": ("command", "cmd")}),
}


@dataclass(frozen=True)
class Act:
    """One neutral action: `Act.of("write", path=..., content=...)`; `Act.of("tool", name=..., ...)` calls the offered
    tool whose name ends so, with the other arguments as they are."""

    kind: str
    args: Mapping[str, str]

    @staticmethod
    def of(kind: str, **args: str) -> Act:
        return Act(kind, args)


@dataclass(frozen=True)
class Step:
    """One model answer: what it says and does. `hang` never answers."""

    say: str = ""
    do: Sequence[Act] = ()
    hang: bool = False


@dataclass(frozen=True)
class Scene:
    """What to answer when a user message matches `when`; after the last step it says "Done."."""

    when: str
    steps: Sequence[Step]


@dataclass
class Fault:
    """The next `times` requests are answered with this status instead."""

    status: int
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """One request that was answered: what a test may assert on."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    input: int
    output: int
    offered: Sequence[str]


class ModelServer:
    """The endpoint. `url` is its address without `/v1`; `seen` are the answered requests, `refused` the others.

    Every answer counts `input_tokens` and `output_tokens`, of which `cached` were cached."""

    def __init__(self, *scenes: Scene, input_tokens: int = 1000, output_tokens: int = 50, cached: int = 0) -> None:
        self.scenes = list(scenes)
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.refused: list[int] = []
        self.chunk_gate: asyncio.Event | None = None
        self.hanging = asyncio.Event()
        self.gone = asyncio.Event()
        self._counts = (input_tokens, output_tokens, cached)
        self._stopped = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.url = ""

    @property
    def tokens(self) -> int:
        """All tokens of all answers."""
        return sum(seen.input + seen.output for seen in self.seen)

    async def __aenter__(self) -> ModelServer:
        app = web.Application(client_max_size=32 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        wire = PROTOCOLS.get(request.path)
        problem = self._problem(request, wire)
        if problem is not None or wire is None:
            return self._refuse(*(problem or (404, "no such path")))
        try:
            body = json.loads(await request.read())
            turns, tools = wire.read(body)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return self._refuse(400, f"bad body: {type(error).__name__}")
        if body.get("model") != MODEL:
            return self._refuse(404, "The model does not exist")
        if self.faults:
            fault = self.faults[0]
            fault.times -= 1
            if fault.times <= 0:
                self.faults.pop(0)
            return self._refuse(fault.status, "scripted fault", fault.headers)
        step = self._step(turns) if tools else Step(say="A title")
        if step.hang:
            return await self._hang()
        calls = [self._call(index, act, tools) for index, act in enumerate(step.do)]
        answer = Answer(step.say, calls, MODEL, *self._counts)
        self.seen.append(Seen(request.path, dict(request.headers), body, answer.input, answer.output, sorted(tools)))
        if body.get("stream"):
            return await self._stream(request, wire.stream(answer, body))
        return web.json_response(wire.whole(answer))

    def _problem(self, request: web.Request, wire: Wire | None) -> tuple[int, str] | None:
        if wire is None or request.method != "POST":
            return 404, "no such path"
        given = request.headers.get("x-api-key") if wire.key_header == "x-api-key" else None
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if (given or bearer) != KEY:
            return 401, f"Incorrect API key provided: {given or bearer}"
        if request.content_type != "application/json":
            return 415, "unsupported media type"
        return None

    def _refuse(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> web.Response:
        self.refused.append(status)
        body = {"type": "error", "error": {"type": "scripted", "message": why}}
        return web.json_response(body, status=status, headers=headers)

    async def _hang(self) -> web.StreamResponse:
        self.hanging.set()
        try:
            await self._stopped.wait()
        finally:
            self.gone.set()
        return web.Response(status=503)

    async def _stream(self, request: web.Request, events: AsyncIterator[str] | Sequence[str]) -> web.StreamResponse:
        out = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await out.prepare(request)
        for event in events if isinstance(events, Sequence) else [e async for e in events]:
            await out.write(event.encode())
            if self.chunk_gate is not None:
                await self.chunk_gate.wait()
        await out.write_eof()
        return out

    def _step(self, turns: Sequence[Turn]) -> Step:
        """The step after the model turns since the last matching prompt."""
        for index in range(len(turns) - 1, -1, -1):
            if turns[index].role != "user":
                continue
            for scene in self.scenes:
                if re.search(scene.when, turns[index].text):
                    done = sum(turn.role == "assistant" for turn in turns[index + 1 :])
                    return scene.steps[done] if done < len(scene.steps) else Step(say="Done.")
        return Step(say="Nothing is scripted for this.")

    def _call(self, index: int, act: Act, tools: Mapping[str, Mapping[str, Any]]) -> Call:
        if act.kind == "tool":
            return self._named(index, act, tools)
        names, fields = _TOOLS[act.kind]
        name = next((n for n in tools if n.lower() in names), None)
        if name is None:
            raise web.HTTPBadRequest(text=f"the agent offers no tool for {act.kind}: {sorted(tools)}")
        schema = tools[name].get("properties", {})
        args: dict[str, object] = {}
        for key, value in act.args.items():
            args[next(n for n in (*fields[key], key) if n in schema)] = value
        for required in tools[name].get("required", []):
            args.setdefault(required, act.kind)
        return Call(f"call_{len(self.seen)}_{index}", name, args)

    def _named(self, index: int, act: Act, tools: Mapping[str, Mapping[str, Any]]) -> Call:
        name = next((n for n in tools if n.endswith(act.args["name"])), None)
        if name is None:
            raise web.HTTPBadRequest(text=f"the agent offers no tool {act.args['name']}: {sorted(tools)}")
        return Call(f"call_{len(self.seen)}_{index}", name, {k: v for k, v in act.args.items() if k != "name"})
