"""The agent's side of ACP over stdin and stdout, for the built-in agents. Standard library only: it starts in 0.1 s.

Speaks protocol version 1: `initialize`, `session/new`, `session/resume`, `session/close`, `session/prompt` and
`session/cancel`.
"""

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

VERSION = "1"


class Cancelled(Exception):
    """The client cancelled the turn."""


class Turn:
    """One prompt being worked on: what the agent says and does while it lasts."""

    def __init__(self, session: str, cwd: Path, prompt: str, send: Callable[[dict[str, Any]], None]) -> None:
        self.cwd = cwd
        self.prompt = prompt
        self._session = session
        self._send = send
        self._calls = 0
        self.cancelled = threading.Event()

    def say(self, text: str) -> None:
        """Sends a piece of the agent's message."""
        self._update({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}})

    def pause(self, seconds: float) -> None:
        """Waits; ends at once with Cancelled when the turn is cancelled. 0 only checks."""
        if self.cancelled.wait(seconds):
            raise Cancelled

    def do(self, kind: str, title: str, action: Callable[[], str | None]) -> str | None:
        """Runs one action as a tool call that the client sees. The action returns None, or why it failed."""
        self.pause(0)
        self._calls += 1
        call = {"toolCallId": f"call-{self._calls}"}
        self._update({**call, "sessionUpdate": "tool_call", "title": title, "kind": kind, "status": "in_progress"})
        problem = action()
        status = "failed" if problem else "completed"
        self._update({**call, "sessionUpdate": "tool_call_update", "status": status})
        return problem

    def _update(self, update: dict[str, Any]) -> None:
        params = {"sessionId": self._session, "update": update}
        self._send({"jsonrpc": "2.0", "method": "session/update", "params": params})


class Server:
    """Answers a client on stdin and stdout until stdin ends. `work` does one turn and returns a stop reason or None."""

    def __init__(self, name: str, work: Callable[[Turn], None]) -> None:
        self._name = name
        self._work = work
        self._sessions: dict[str, Path] = {}
        self._turn: Turn | None = None
        self._lock = threading.Lock()
        self._prompts: queue.SimpleQueue[tuple[Any, Turn] | None] = queue.SimpleQueue()

    def run(self) -> int:
        """Serves until stdin ends; a turn that is running then is cancelled."""
        reader = threading.Thread(target=self._read, daemon=True)
        reader.start()
        while (job := self._prompts.get()) is not None:
            request_id, turn = job
            self._reply(request_id, {"stopReason": self._play(turn)})
            self._turn = None
        return 0

    def _play(self, turn: Turn) -> str:
        try:
            self._work(turn)
        except Cancelled:
            return "cancelled"
        except OSError as error:
            turn.say(f"I could not finish: {error.strerror or 'the file system refused'}.")
        return "end_turn"

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            try:
                message = json.loads(line)
                self._take(message)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                self._send({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "invalid request"}})
        if self._turn is not None:
            self._turn.cancelled.set()
        self._prompts.put(None)

    def _take(self, message: dict[str, Any]) -> None:
        method, request_id, params = message.get("method"), message.get("id"), message.get("params") or {}
        if method == "session/cancel":
            if self._turn is not None:
                self._turn.cancelled.set()
        elif method == "session/prompt":
            self._begin(request_id, params)
        elif method == "initialize":
            self._reply(request_id, self._introduction())
        elif method in ("session/new", "session/resume"):
            self._reply(request_id, self._open(params))
        elif method == "session/close":
            self._sessions.pop(params["sessionId"], None)
            self._reply(request_id, {})
        elif request_id is not None:
            self._refuse(request_id, -32601, f"no method {str(method)[:60]}")

    def _introduction(self) -> dict[str, Any]:
        return {
            "protocolVersion": 1,
            "agentInfo": {"name": self._name, "version": VERSION},
            "agentCapabilities": {"loadSession": False, "sessionCapabilities": {"resume": {}, "close": {}}},
            "authMethods": [],
        }

    def _open(self, params: dict[str, Any]) -> dict[str, Any]:
        session = params.get("sessionId") or f"{self._name}-{os.urandom(8).hex()}"
        self._sessions[session] = Path(params["cwd"])
        return {} if params.get("sessionId") else {"sessionId": session}

    def _begin(self, request_id: Any, params: dict[str, Any]) -> None:
        session = params["sessionId"]
        if session not in self._sessions:
            self._refuse(request_id, -32602, "unknown session")
        elif self._turn is not None:
            self._refuse(request_id, -32600, "a turn is running")
        else:
            text = "\n".join(part.get("text", "") for part in params["prompt"] if part.get("type") == "text")
            self._turn = Turn(session, self._sessions[session], text, self._send)
            self._prompts.put((request_id, self._turn))

    def _reply(self, request_id: Any, result: dict[str, Any]) -> None:
        self._send({"jsonrpc": "2.0", "id": request_id, "result": result})

    def _refuse(self, request_id: Any, code: int, message: str) -> None:
        self._send({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}})

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message, ensure_ascii=True).encode() + b"\n"
        with self._lock:
            try:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            except BrokenPipeError:
                os._exit(0)  # the client is gone; there is nobody left to tell
