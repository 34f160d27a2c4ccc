"""The three protocols of the scripted model endpoint: how a request is read, how an answer is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Tools = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Turn:
    """One message of the conversation. `role` is system, user, assistant or tool."""

    role: str
    text: str


@dataclass(frozen=True)
class Call:
    """One tool call of an answer."""

    id: str
    name: str
    args: Mapping[str, object]


@dataclass(frozen=True)
class Answer:
    """One model answer with its token counts; `cached` is a part of `input`."""

    text: str
    calls: Sequence[Call]
    model: str
    input: int
    output: int
    cached: int


@dataclass(frozen=True)
class Wire:
    """One protocol."""

    key_header: str
    read: Callable[[Mapping[str, Any]], tuple[list[Turn], Tools]]
    whole: Callable[[Answer], dict[str, Any]]
    stream: Callable[[Answer, Mapping[str, Any]], list[str]]


def _text(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(_text(part.get("text") or part.get("content") or "") for part in content)
    return content if isinstance(content, str) else ""


def _sse(data: object, event: str = "") -> str:
    return (f"event: {event}\n" if event else "") + f"data: {json.dumps(data)}\n\n"


# --- OpenAI chat completions ---


def _chat_read(body: Mapping[str, Any]) -> tuple[list[Turn], Tools]:
    turns = [Turn(message["role"], _text(message.get("content"))) for message in body["messages"]]
    functions = [tool["function"] for tool in body.get("tools") or []]
    return turns, {function["name"]: function.get("parameters") or {} for function in functions}


def _chat_usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input,
        "completion_tokens": answer.output,
        "total_tokens": answer.input + answer.output,
        "prompt_tokens_details": {"cached_tokens": answer.cached},
    }


def _chat_calls(answer: Answer) -> list[dict[str, Any]]:
    return [
        {
            "index": index,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.args)},
        }
        for index, call in enumerate(answer.calls)
    ]


def _chat_whole(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.calls:
        message["tool_calls"] = _chat_calls(answer)
    reason = "tool_calls" if answer.calls else "stop"
    choice = {"index": 0, "message": message, "finish_reason": reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": answer.model}
    return {**head, "choices": [choice], "usage": _chat_usage(answer)}


def _chat_stream(answer: Answer, body: Mapping[str, Any]) -> list[str]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": answer.model}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
        return _sse({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    events = [chunk({"role": "assistant", "content": ""})]
    if answer.text:
        events.append(chunk({"content": answer.text}))
    events += [chunk({"tool_calls": [call]}) for call in _chat_calls(answer)]
    events.append(chunk({}, "tool_calls" if answer.calls else "stop"))
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append(_sse({**head, "choices": [], "usage": _chat_usage(answer)}))
    return [*events, "data: [DONE]\n\n"]


# --- OpenAI responses ---


def _responses_read(body: Mapping[str, Any]) -> tuple[list[Turn], Tools]:
    items = body["input"]
    turns = [Turn("system", body.get("instructions") or "")]
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        kind = item.get("type", "message")
        if kind == "message":
            turns.append(Turn(item.get("role", "user"), _text(item.get("content"))))
        elif kind.endswith("_output"):
            turns.append(Turn("tool", _text(item.get("output"))))
        else:
            turns.append(Turn("assistant", ""))
    tools = [tool for tool in body.get("tools") or [] if tool.get("type") == "function"]
    return turns, {tool["name"]: tool.get("parameters") or {} for tool in tools}


def _responses_whole(answer: Answer) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    if answer.text:
        part = {"type": "output_text", "text": answer.text, "annotations": []}
        items.append({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]})
    for call in answer.calls:
        arguments = json.dumps(call.args)
        items.append(
            {"id": call.id, "type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments}
        )
    usage = {
        "input_tokens": answer.input,
        "output_tokens": answer.output,
        "total_tokens": answer.input + answer.output,
        "input_tokens_details": {"cached_tokens": answer.cached},
    }
    head = {"id": "resp_1", "object": "response", "created_at": 0, "model": answer.model}
    return {**head, "status": "completed", "output": items, "usage": usage}


def _responses_stream(answer: Answer, body: Mapping[str, Any]) -> list[str]:
    whole = _responses_whole(answer)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    events = [_sse({"type": "response.created", "response": begun}, "response.created")]
    for index, item in enumerate(whole["output"]):
        done = {"type": "response.output_item.done", "output_index": index, "item": item}
        events.append(_sse(done, "response.output_item.done"))
    return [*events, _sse({"type": "response.completed", "response": whole}, "response.completed")]


# --- Anthropic messages ---


def _messages_read(body: Mapping[str, Any]) -> tuple[list[Turn], Tools]:
    turns = [Turn("system", _text(body.get("system")))]
    for message in body["messages"]:
        parts = message["content"]
        results = isinstance(parts, list) and any(part.get("type") == "tool_result" for part in parts)
        turns.append(Turn("tool" if results else message["role"], _text(parts)))
    return turns, {tool["name"]: tool.get("input_schema") or {} for tool in body.get("tools") or []}


def _messages_blocks(answer: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": answer.text}] if answer.text or not answer.calls else []
    return [*blocks, *({"type": "tool_use", "id": c.id, "name": c.name, "input": dict(c.args)} for c in answer.calls)]


def _messages_whole(answer: Answer) -> dict[str, Any]:
    usage = {
        "input_tokens": answer.input - answer.cached,
        "output_tokens": answer.output,
        "cache_read_input_tokens": answer.cached,
        "cache_creation_input_tokens": 0,
    }
    reason = "tool_use" if answer.calls else "end_turn"
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": answer.model, "stop_sequence": None}
    return {**head, "content": _messages_blocks(answer), "stop_reason": reason, "usage": usage}


def _messages_stream(answer: Answer, body: Mapping[str, Any]) -> list[str]:
    whole = _messages_whole(answer)
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    events = [_sse({"type": "message_start", "message": begun}, "message_start")]
    for index, block in enumerate(whole["content"]):
        if block["type"] == "text":
            empty, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            empty = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        for kind, rest in (
            ("content_block_start", {"content_block": empty}),
            ("content_block_delta", {"delta": delta}),
            ("content_block_stop", {}),
        ):
            events.append(_sse({"type": kind, "index": index, **rest}, kind))
    ending = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    usage = {"output_tokens": answer.output}
    events.append(_sse({"type": "message_delta", "delta": ending, "usage": usage}, "message_delta"))
    return [*events, _sse({"type": "message_stop"}, "message_stop")]


PROTOCOLS: Mapping[str, Wire] = {
    "/v1/chat/completions": Wire("Authorization", _chat_read, _chat_whole, _chat_stream),
    "/v1/responses": Wire("Authorization", _responses_read, _responses_whole, _responses_stream),
    "/v1/messages": Wire("x-api-key", _messages_read, _messages_whole, _messages_stream),
}
