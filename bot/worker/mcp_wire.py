"""The server's side of MCP (Model Context Protocol) with tools only: one JSON-RPC message in, at most one out. Pure.

Streamable HTTP without sessions or streams, which the agents we drive all speak; why it is not the SDK's server is in
docs/decisions/0012-mcp-by-hand.md."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bot.services.run_seats import ToolRefused
from bot.worker.callback_tools import Tool

VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Protocol versions whose tools work alike, newest first."""
PARSE, INVALID, NO_METHOD, BAD_PARAMS = -32700, -32600, -32601, -32602

Call = Callable[[Tool, Mapping[str, Any]], Awaitable[dict[str, Any] | ToolRefused]]
Reply = tuple[int, dict[str, Any] | None]
"""HTTP status and body; no body answers a notification."""


@dataclass(frozen=True, slots=True)
class McpServer:
    """Answers the messages of one client. `call` runs a tool."""

    version: str
    tools: Sequence[Tool]
    instructions: str
    call: Call

    async def answer(self, raw: bytes) -> Reply:
        """The answer to the body of one POST."""
        try:
            message = json.loads(raw)
        except (ValueError, RecursionError):
            return 400, _error(None, PARSE, "This is not JSON.")
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            return 400, _error(None, INVALID, "This is not one JSON-RPC 2.0 message.")
        method, number = message.get("method"), message.get("id")
        if not isinstance(method, str):
            sent_back = "result" in message or "error" in message
            return (202, None) if sent_back else (400, _error(None, INVALID, "There is no method."))
        if "id" not in message:
            return 202, None
        if isinstance(number, bool) or not isinstance(number, str | int | float):
            return 400, _error(None, INVALID, "An id is a string or a number.")
        params = message.get("params", {})
        if not isinstance(params, dict):
            return 200, _error(number, BAD_PARAMS, "Params are an object.")
        return 200, await self._result(number, method, params)

    async def _result(self, number: Any, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "initialize":
                return _ok(number, self._hello(params.get("protocolVersion")))
            case "ping":
                return _ok(number, {})
            case "tools/list":
                return _ok(number, {"tools": [tool.described() for tool in self.tools]})
            case "tools/call":
                return await self._called(number, params)
            case _:
                return _error(number, NO_METHOD, "There is no such method here.")

    def _hello(self, asked: object) -> dict[str, Any]:
        return {
            "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "codetask", "version": self.version},
            "instructions": self.instructions,
        }

    async def _called(self, number: Any, params: dict[str, Any]) -> dict[str, Any]:
        name, given = params.get("name"), params.get("arguments") or {}
        tool = next((one for one in self.tools if one.name == name), None)
        if tool is None or not isinstance(given, dict):
            why = "Arguments are an object." if tool else "There is no such tool."
            return _error(number, BAD_PARAMS, why)
        answer = await self.call(tool, given)
        if isinstance(answer, ToolRefused):
            said = answer.say if not answer.choices else f"{answer.say} Choices: {', '.join(answer.choices)}"
            return _ok(number, {"content": [{"type": "text", "text": said}], "isError": True})
        text = json.dumps(answer, ensure_ascii=False)
        return _ok(number, {"content": [{"type": "text", "text": text}], "structuredContent": answer, "isError": False})


def _ok(number: Any, result: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def _error(number: Any, code: int, why: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": why}}
