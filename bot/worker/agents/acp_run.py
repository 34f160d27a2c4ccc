"""One running ACP agent: handshake, session, one prompt, watchdogs, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from importlib.metadata import version

import structlog
from acp import RequestError
from acp.client.connection import ClientSideConnection
from acp.schema import (
    AcpMcpServer,
    AllowedOutcome,
    ClientCapabilities,
    DeniedOutcome,
    FileSystemCapabilities,
    HttpHeader,
    HttpMcpServer,
    Implementation,
    InitializeResponse,
    McpServerStdio,
    PermissionOption,
    PromptResponse,
    RequestPermissionResponse,
    SseMcpServer,
    TextContentBlock,
    ToolCallUpdate,
)
from pydantic import ValidationError

from bot.ports import AgentInfo, AgentResult, RunSpec, SandboxProcess, Started, Usage
from bot.worker.agents.acp_updates import Updates
from bot.worker.agents.acp_wire import AgentWire, Tail
from bot.worker.agents.causes import read_cause
from bot.worker.agents.ending import STEP_S, end_process, ends_within
from bot.worker.agents.row import AgentRow, Inside
from bot.worker.agents.stream import EventStream

PROTOCOL = 1
log = structlog.get_logger(__name__)
_ALLOW = ("allow_once", "allow_always")
LEAST_S = 0.02
"""How soon a limit is looked at again that stands still."""
_RESUME_SHARE = 0.4
"""Which part of the start limit each way of resuming may take, so that a new session can still be had."""


McpServers = list[HttpMcpServer | SseMcpServer | AcpMcpServer | McpServerStdio]


class _Approver:
    """The client's side: permissions are given (the sandbox is the fence); no file system or terminal is offered."""

    async def request_permission(
        self, session_id: str, tool_call: ToolCallUpdate, options: list[PermissionOption], **_: object
    ) -> RequestPermissionResponse:
        for kind in _ALLOW:
            for option in options:
                if option.kind == kind:
                    return RequestPermissionResponse(
                        outcome=AllowedOutcome(outcome="selected", option_id=option.option_id)
                    )
        return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))


class _WrongVersion(Exception):
    """The agent speaks another protocol version."""


class AcpRun:
    """An `AgentRun` over ACP. Created with a started process; it owns that process and ends it."""

    def __init__(
        self, row: AgentRow, spec: RunSpec, inside: Inside, process: SandboxProcess, *, check_only: bool = False
    ) -> None:
        self.events = EventStream()
        self._row, self._spec, self._inside, self._process = row, spec, inside, process
        self._loop = asyncio.get_running_loop()
        self._began = self._signed = self._time()
        self._updates = Updates(self.events.put)
        self._wire = AgentWire(process, self._updates.take, self._sign)
        self._stderr = Tail(process.stderr)
        self._connection = ClientSideConnection(_Approver(), self._wire)  # type: ignore[arg-type]
        self._hello: InitializeResponse | None = None
        self._session: str | None = None
        self._resumed = False
        self._ready = asyncio.Event()
        self._cancelled = asyncio.Event()
        self._main = asyncio.create_task(self._live(check_only=check_only))

    async def cancel(self) -> None:
        """Ends the agent by the ladder (at most about 8 s); nothing of it is left."""
        self._cancelled.set()
        await asyncio.wait({self._main})

    async def result(self) -> AgentResult:
        """Waits for the end; every process of the agent is gone when it returns."""
        return await asyncio.shield(self._main)

    async def introduction(self, name: str) -> AgentInfo:
        """What the agent said of itself, for a run that was started only to check it."""
        result = await self.result()
        if self._hello is None:
            said = result.text or result.stderr_tail.strip()[-300:]
            return AgentInfo(
                name, found=True, problem=f"It did not answer ACP initialize ({result.cause}). {said}".strip()
            )
        about = self._hello.agent_info
        return AgentInfo(
            name,
            found=True,
            version=about.version[:60] if about else "",
            protocol=str(self._hello.protocol_version),
            capabilities=frozenset(_capabilities(self._hello)),
            problem=result.text if result.stop == "failed" else "",
        )

    def _time(self) -> float:
        """The run's own clock in seconds: it stands still while a person is waited for."""
        return self._loop.time() - (self._spec.paused() if self._spec.paused else 0.0)

    def _sign(self) -> None:
        self._signed = self._time()

    async def _live(self, *, check_only: bool) -> AgentResult:
        talk = asyncio.create_task(self._introduce() if check_only else self._converse())
        try:
            result = await self._watch(talk)
            if self._wire.flooded:
                result = AgentResult("failed", "limit", text="The agent sent more output than is allowed.")
            code = await self._end(talk, result)
        finally:
            await asyncio.shield(self._clean_up(talk))
        return self._finished(result, code)

    async def _watch(self, talk: asyncio.Task[AgentResult]) -> AgentResult:
        """Waits for the turn's end, a cancel, or the first limit to run out."""
        cancelled = asyncio.create_task(self._cancelled.wait())
        ready = asyncio.create_task(self._ready.wait())
        try:
            while True:
                limit, _ = self._next_limit()
                signs = {talk, cancelled} if ready.done() else {talk, cancelled, ready}
                left = max(LEAST_S, limit - self._time())
                await asyncio.wait(signs, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if talk.done():
                    return talk.result()
                if cancelled.done():
                    return AgentResult("cancelled")
                limit, late = self._next_limit()  # signs of life have moved it meanwhile
                if self._time() >= limit:
                    return late
        finally:
            cancelled.cancel()
            ready.cancel()

    def _next_limit(self) -> tuple[float, AgentResult]:
        """The next instant (`_time`) at which patience ends, and what to say then."""
        limits = self._spec.limits
        wall = (self._began + limits.wall.total_seconds(), AgentResult("timed_out"))
        if not self._ready.is_set():
            late = AgentResult("failed", "unreachable", text="The agent did not get ready in time.")
            return min((self._began + limits.start.total_seconds(), late), wall, key=lambda pair: pair[0])
        idle = (self._signed + limits.idle.total_seconds(), AgentResult("idle", "idle"))
        return min(idle, wall, key=lambda pair: pair[0])

    async def _introduce(self) -> AgentResult:
        try:
            await self._initialize()
        except Exception as error:  # hostile input inside the SDK can raise anything; it must not end the worker
            return self._talk_failed(error)
        return AgentResult("completed")

    async def _converse(self) -> AgentResult:
        """The whole conversation of one run; whatever goes wrong in it becomes a result."""
        try:
            hello = await self._initialize()
            session = self._session = await self._open_session(hello)
            if self._row.mode:
                await self._connection.set_session_mode(session_id=session, mode_id=self._row.mode)
            about = hello.agent_info
            number = about.version[:60] if about else ""
            self.events.put(Started(session, self._row.name, number, self._resumed))
            self._updates.begin(session)
            self._sign()
            self._ready.set()
            block = TextContentBlock(type="text", text=self._spec.words(resumed=self._resumed))
            return self._read_answer(await self._connection.prompt(session_id=session, prompt=[block]))
        except Exception as error:  # as above
            return self._talk_failed(error)

    async def _initialize(self) -> InitializeResponse:
        fs = FileSystemCapabilities(read_text_file=False, write_text_file=False)
        hello = await self._connection.initialize(
            protocol_version=PROTOCOL,
            client_capabilities=ClientCapabilities(fs=fs, terminal=False),
            client_info=Implementation(name="codetask", version=version("codetask")),
        )
        if hello.protocol_version != PROTOCOL:
            raise _WrongVersion(f"The agent speaks ACP version {hello.protocol_version}; this needs {PROTOCOL}.")
        self._hello = hello
        return hello

    async def _open_session(self, hello: InitializeResponse) -> str:
        """Resumes the asked session, by replay where resume is not offered; a new one where neither works."""
        ref, cwd = self._spec.session_ref, self._inside.cwd
        if ref is not None and self._may_resume():
            for way in _capabilities(hello):
                if way in ("resume", "load") and await self._reopen(way, ref):
                    self._resumed = True
                    return ref
        return (await self._connection.new_session(cwd=cwd, mcp_servers=self._tools())).session_id

    def _may_resume(self) -> bool:
        """Without a fence every run has a path of its own: an agent bound to its first one would work there."""
        return self._spec.sandbox.isolates or not self._row.same_path

    async def _reopen(self, way: str, ref: str) -> bool:
        """Whether the agent goes on with that session. What it replays of the past is dropped unread."""
        open_again = self._connection.resume_session if way == "resume" else self._connection.load_session
        patience = self._spec.limits.start.total_seconds() * _RESUME_SHARE
        try:
            async with asyncio.timeout(patience):
                await open_again(session_id=ref, cwd=self._inside.cwd, mcp_servers=self._tools())
        except (RequestError, ValidationError, TimeoutError) as error:
            log.info("agent.not_resumed", run=self._spec.run, agent=self._row.name, error=type(error).__name__)
            return False
        return True

    def _tools(self) -> McpServers:
        """The run's own tools, where the agent can call them over HTTP; each run has a token of its own."""
        told, hello = self._spec.callback, self._hello
        offered = hello.agent_capabilities.mcp_capabilities if hello and hello.agent_capabilities else None
        if told is None or offered is None or not offered.http:
            return []
        wait = f"?wait={self._row.tool_wait}" if self._row.tool_wait else ""
        header = HttpHeader(name="Authorization", value=f"Bearer {told.token}")
        return [HttpMcpServer(type="http", name="codetask", url=f"{told.base_url}/mcp{wait}", headers=[header])]

    def _read_answer(self, answer: PromptResponse) -> AgentResult:
        if answer.usage is not None:
            self.events.put(Usage(tokens=answer.usage.total_tokens, usd=None, scope="step"))
        match answer.stop_reason:
            case "end_turn" | "max_tokens" | "max_turn_requests":
                return AgentResult("completed")
            case "refusal":
                return AgentResult("refused")
            case "cancelled":
                return AgentResult("cancelled")

    def _talk_failed(self, error: Exception) -> AgentResult:
        match error:
            case RequestError():
                text = f"{error} {error.data or ''}"[:2000]
                return AgentResult("failed", read_cause(text, error.code), text=str(error)[:500])
            case ValidationError():
                return AgentResult("failed", "protocol", text="The agent sent an answer that ACP does not know.")
            case _WrongVersion():
                return AgentResult("failed", "protocol", text=str(error))
            case OSError():
                return AgentResult("failed", "crashed", text="The agent ended in the middle of its turn.")
            case _:
                log.warning("agent.protocol", run=self._spec.run, agent=self._row.name, error=type(error).__name__)
                return AgentResult("failed", "protocol", text="The agent sent something that ACP does not know.")

    async def _end(self, talk: asyncio.Task[AgentResult], result: AgentResult) -> int | None:
        """The ladder: session/cancel, session/close, then the process."""
        if self._session is not None:
            if not talk.done():
                with contextlib.suppress(ConnectionError, OSError):
                    await ends_within(self._connection.cancel(session_id=self._session), STEP_S)
                await asyncio.wait({talk}, timeout=STEP_S)
            if self._hello is not None and "close" in _capabilities(self._hello) and self._process.returncode is None:
                await ends_within(self._connection.close_session(session_id=self._session), STEP_S)
        return await end_process(self._process, hurry=self._wire.flooded)

    async def _clean_up(self, talk: asyncio.Task[AgentResult]) -> None:
        """Whatever happened: no process, no task, no pipe stays."""
        talk.cancel()
        await self._process.kill()
        await asyncio.wait({talk})
        await self._connection.close()
        await self._stderr.finish()
        self.events.end()

    def _finished(self, result: AgentResult, code: int | None) -> AgentResult:
        told = self._spec.trouble() if self._spec.trouble else ""
        if told and (result.stop in ("failed", "idle") or (told == "budget" and result.stop != "cancelled")):
            result = replace(result, stop="failed", cause=told)
        return replace(
            result,
            text=result.text or self._updates.final_text(),
            session_ref=self._session,
            exit_code=code,
            reported_usd=self._updates.reported_usd,
            stderr_tail=self._stderr.text()[-8192:],
            resumed=self._resumed,
        )


def _capabilities(hello: InitializeResponse) -> list[str]:
    """The session abilities an agent advertises: load, list, resume, close, fork."""
    offered = hello.agent_capabilities
    if offered is None:
        return []
    sessions = offered.session_capabilities
    names = [n for n in ("resume", "close", "list", "fork") if sessions and getattr(sessions, n, None) is not None]
    return [*names, *(["load"] if offered.load_session else [])]
