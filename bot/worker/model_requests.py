"""What an agent may ask of a model endpoint: which paths, which models, and what of a request is passed on."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bot.worker.metering import Protocol

PATHS: Final[Mapping[str, Protocol]] = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
}
COUNT_PATH: Final = "/v1/messages/count_tokens"
MODELS_PATH: Final = "/v1/models"

PASSED_ON: Final = frozenset({"accept", "anthropic-version", "anthropic-beta", "openai-beta"})
"""Headers of the agent that reach the endpoint. Its credentials, cookies and everything else do not."""

PASSED_BACK: Final = frozenset({"content-type", "retry-after", "retry-after-ms", "request-id", "x-request-id"})

DEFAULT_OUTPUT_TOKENS: Final = 8_192
"""Reserved when a request names no limit of its own."""

_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request fit to be passed on. `max_input` is an estimate from its size; `max_output` the limit it set itself."""

    protocol: Protocol
    model: str
    body: bytes
    streamed: bool
    max_input: int
    max_output: int


@dataclass(frozen=True, slots=True)
class Denied:
    """A request that is not passed on: HTTP status, the API's error type, and why."""

    status: int
    kind: str
    why: str


def read_request(path: str, raw: bytes, models: Collection[str]) -> ModelRequest | Denied:
    """Checks one request. It is written anew from what was understood: a doubled key cannot mean two things."""
    protocol = "messages" if path == COUNT_PATH else PATHS.get(path)
    if protocol is None:
        return Denied(404, "not_found_error", f"The gateway does not carry {path[:80]}.")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return Denied(400, "invalid_request_error", "The request body is not a JSON object.")
    model = body.get("model")
    if not isinstance(model, str) or model not in models:
        return Denied(403, "permission_error", "This model is not allowed here.")
    if body.get("background"):
        return Denied(400, "invalid_request_error", "Background answers cannot be metered and are not carried.")
    streamed = body.get("stream") is True
    if protocol == "chat" and streamed:
        options = body.get("stream_options")
        body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    data = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return ModelRequest(protocol, model, data, streamed, len(data) // _BYTES_PER_TOKEN + 1, _max_output(body))


def error_body(protocol: Protocol | None, kind: str, why: str) -> bytes:
    """An error in the shape the protocol's clients read."""
    error: dict[str, Any] = {"type": kind, "message": why}
    whole = {"type": "error", "error": error} if protocol == "messages" else {"error": {**error, "code": kind}}
    return json.dumps(whole).encode()


def model_list(models: Collection[str]) -> bytes:
    """The answer to a question for models: those that are allowed."""
    rows = [{"id": name, "object": "model", "created": 0, "owned_by": "codetask"} for name in sorted(models)]
    return json.dumps({"object": "list", "data": rows}).encode()


def upstream_url(base: str, path: str) -> str:
    """Where a path of ours lies at the endpoint: a base that ends in a version (`/v1`, `/v4`) replaces our `/v1`."""
    base = base.rstrip("/")
    last = base.rsplit("/", 1)[-1]
    versioned = last[:1] == "v" and last[1:2].isdigit()
    return base + (path.removeprefix("/v1") if versioned else path)


def _max_output(body: Mapping[str, Any]) -> int:
    limits = [body.get(name) for name in ("max_tokens", "max_completion_tokens", "max_output_tokens")]
    named = [n for n in limits if isinstance(n, int) and not isinstance(n, bool) and n > 0]
    answers = body.get("n")
    times = answers if isinstance(answers, int) and not isinstance(answers, bool) and answers > 1 else 1
    return (max(named) if named else DEFAULT_OUTPUT_TOKENS) * times
