"""Any other coding program: an argv template from the settings, the prompt on stdin or in a file. No session."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bot.ports import AgentInfo, AgentResult, AgentRun, Output, RunSpec, Sandbox, SandboxProcess, Started
from bot.worker.agents.acp_wire import Tail
from bot.worker.agents.causes import read_cause
from bot.worker.agents.ending import end_process
from bot.worker.agents.fence import start_fenced, what_is_inside
from bot.worker.agents.row import AgentRow
from bot.worker.agents.stream import EventStream, config_problem

PROMPT_FILE = "{prompt_file}"
MAX_OUTPUT_BYTES = 64 * 1024 * 1024
_CHUNK = 65536
_LINE_CHARS = 4000
_ROW = AgentRow(name="command", program="")

_SAVE_PROMPT = (
    'f=$(mktemp) && cat > "$f" && for a; do shift; [ "$a" = "{prompt_file}" ] && a=$f; set -- "$@" "$a"; done'
)
_WITH_FILE = ["/bin/sh", "-c", _SAVE_PROMPT + ' && exec "$@" < /dev/null', "sh"]


class CommandAgent:
    """Runs `argv` in the checkout. The word `{prompt_file}` becomes the path of a file with the prompt; without it

    the prompt comes on stdin. No shell reads the template or the prompt."""

    name = "command"
    state_target = ""
    state_kept: Sequence[str] = ()
    built_in = False
    remark = ""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = tuple(argv)

    def tool_folders(self) -> list[Path]:
        """The program's folder where it is not under /usr; whatever else it needs is configured for the sandbox."""
        program = shutil.which(self._argv[0])
        if program is None or Path(program).resolve().is_relative_to("/usr"):
            return []
        return [Path(program).resolve().parent]

    async def check(self, sandbox: Sandbox) -> AgentInfo:
        """Only whether the program exists: a plain command has no protocol to ask."""
        problem = self._problem()
        return AgentInfo(self.name, found=not problem, protocol="none", problem=problem)

    async def start(self, spec: RunSpec) -> AgentRun:
        """Starts the command. A program that is missing is a result with cause `config`."""
        problem = self._problem()
        if problem:
            return config_problem(problem)
        inside = what_is_inside(_ROW, spec)
        env = {"PWD": inside.cwd}
        if spec.model is not None:
            env |= {
                "OPENAI_BASE_URL": f"{spec.model.base_url}/v1",
                "OPENAI_API_KEY": spec.model.key,
                "ANTHROPIC_BASE_URL": spec.model.base_url,
                "ANTHROPIC_API_KEY": spec.model.key,
                "LLM_MODEL": spec.model.model,
            }
        words = [_absolute(self._argv[0]), *self._argv[1:]]
        argv = [*_WITH_FILE, *words] if PROMPT_FILE in words else words
        try:
            process = await start_fenced(spec, argv, env, self.tool_folders())
        except OSError as error:
            return config_problem(f"The agent command could not be started: {error.strerror or error}.")
        return CommandRun(spec, process)

    def _problem(self) -> str:
        program = self._argv[0]
        if program.startswith("-"):
            return "AGENT_COMMAND starts with an option instead of a program."
        if shutil.which(program) is None:
            return f"The agent command {shlex.quote(program)} was not found."
        return ""


def _absolute(program: str) -> str:
    return os.path.abspath(shutil.which(program) or program)


class CommandRun:
    """An `AgentRun` of a plain command: its output lines are the events, silence and time end it."""

    def __init__(self, spec: RunSpec, process: SandboxProcess) -> None:
        self.events = EventStream()
        self._spec, self._process = spec, process
        self._loop = asyncio.get_running_loop()
        self._began = self._signed = self._time()
        self._stderr = Tail(process.stderr)
        self._last: list[str] = []
        self._cancelled = asyncio.Event()
        self.events.put(Started(None, "command"))
        self._main = asyncio.create_task(self._live())

    async def cancel(self) -> None:
        """Closes stdin, SIGINT, then SIGTERM, then SIGKILL of the whole tree (at most about 6 s)."""
        self._cancelled.set()
        await asyncio.wait({self._main})

    async def result(self) -> AgentResult:
        """Waits for the end; every process of the command is gone when it returns."""
        return await asyncio.shield(self._main)

    async def _live(self) -> AgentResult:
        feed = asyncio.create_task(self._feed())
        talk = asyncio.create_task(self._read())
        try:
            result = await self._watch(talk)
            code = await end_process(self._process, interrupt=not talk.done())
        finally:
            for task in (feed, talk):
                task.cancel()
            await asyncio.shield(self._process.kill())
            await asyncio.gather(feed, talk, return_exceptions=True)
            stderr = await self._stderr.finish()
            self.events.end()
        return self._finished(result, code, stderr)

    async def _feed(self) -> None:
        stdin = self._process.stdin
        try:
            stdin.write(self._spec.words(resumed=False).encode())
            await stdin.drain()
            stdin.close()
        except OSError:
            return  # the command did not want the prompt, or ended: its exit code tells

    async def _read(self) -> AgentResult:
        """Reads stdout to its end, then waits for the exit code."""
        total, pending = 0, b""
        while data := await self._process.stdout.read(_CHUNK):
            self._signed = self._time()
            total += len(data)
            if total > MAX_OUTPUT_BYTES:
                return AgentResult("failed", "limit", text="The command wrote more output than is allowed.")
            *lines, pending = (pending + data).split(b"\n")
            self._put(lines)
            if len(pending) > _LINE_CHARS * 4:
                self._put([pending])
                pending = b""
        self._put([pending])
        code = await self._process.wait()
        if code == 0:
            return AgentResult("completed")
        return AgentResult("failed", read_cause(self._stderr.text()[-4096:]))

    def _put(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")[:_LINE_CHARS]
            if text:
                self._last = [*self._last[-19:], text]
                self.events.put(Output(text))

    def _time(self) -> float:
        """The run's own clock in seconds: it stands still while a person is waited for."""
        return self._loop.time() - (self._spec.paused() if self._spec.paused else 0.0)

    async def _watch(self, talk: asyncio.Task[AgentResult]) -> AgentResult:
        limits = self._spec.limits
        cancelled = asyncio.create_task(self._cancelled.wait())
        try:
            while True:
                idle_at = self._signed + limits.idle.total_seconds()
                wall_at = self._began + limits.wall.total_seconds()
                left = max(0.02, min(idle_at, wall_at) - self._time())
                await asyncio.wait({talk, cancelled}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if talk.done():
                    return talk.result()
                if cancelled.done():
                    return AgentResult("cancelled")
                if self._time() >= wall_at:
                    return AgentResult("timed_out")
                if self._time() >= self._signed + limits.idle.total_seconds():
                    return AgentResult("idle", "idle")
        finally:
            cancelled.cancel()

    def _finished(self, result: AgentResult, code: int | None, stderr: str) -> AgentResult:
        told = self._spec.trouble() if self._spec.trouble else ""
        if told and (result.stop in ("failed", "idle") or (told == "budget" and result.stop != "cancelled")):
            result = replace(result, stop="failed", cause=told)
        text = result.text or "\n".join(self._last)
        return replace(result, text=text, exit_code=code, stderr_tail=stderr[-8192:])
