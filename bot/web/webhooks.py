"""Webhooks from outside: every byte is hostile until its signature is checked, and each is answered in a fixed order.

`POST /webhooks/github`: rate (429, in the gate) · secret unset (503) · size (413) · signature (401) · unused event
(200) · bad JSON (400) · applied or nothing to do (200). `POST /webhooks/<platform>` hands the raw request to that
platform's adapter.
"""

import re
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse

from bot.core.github_events import Ignored, Malformed, PullRequestFact, read_event, verify_signature
from bot.settings import Settings
from bot.web.code_tasks import PartsOf
from bot.web.errors import ApiError
from bot.web.gate import BODY_MAX

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/webhooks", include_in_schema=False)
_DELIVERY: Final = re.compile(r"[A-Za-z0-9-]{1,100}")


@router.post("/github")
async def github(
    request: Request,
    parts: PartsOf,
    x_hub_signature_256: Annotated[str | None, Header()] = None,
    x_github_event: Annotated[str, Header()] = "",
    x_github_delivery: Annotated[str, Header()] = "",
    content_type: Annotated[str, Header()] = "application/json",
) -> JSONResponse:
    """A delivery of GitHub's: pull requests of code tasks that were merged, closed or reopened."""
    secrets = _secrets(parts.settings)
    if not secrets:
        raise ApiError(503, "not_configured", "GITHUB_WEBHOOK_SECRET is not set.", "Set it on both sides.")
    body = await read_body(request)
    if not verify_signature(secrets, x_hub_signature_256, body):
        raise ApiError(401, "bad_signature", "The signature is missing or wrong.", "Compare the webhook's secret.")
    fact = read_event(x_github_event, body, content_type)
    if isinstance(fact, Malformed):
        raise ApiError(400, "malformed", f"The delivery cannot be read: {fact.why}.")
    if isinstance(fact, Ignored):
        return JSONResponse({"result": "ignored", "why": fact.why})
    return JSONResponse({"result": "applied" if await _apply(parts, fact, x_github_delivery) else "nothing to do"})


async def _apply(parts: PartsOf, fact: PullRequestFact, delivery: str) -> bool:
    known = delivery if _DELIVERY.fullmatch(delivery) else ""
    applied = await parts.store.run(lambda tx: parts.merges.apply_fact(tx, fact, known))
    log.info("github_delivery", number=fact.number, action=fact.action, applied=applied)
    return applied


@router.post("/{name}")
async def chat_platform(name: str, request: Request, parts: PartsOf) -> Response:
    """A request of a chat platform whose events come by HTTP: commands, messages, buttons."""
    platform = parts.platforms.get(name)
    if platform is None:
        raise ApiError(404)
    body = await read_body(request)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.raw}
    answer = await platform.receive(request.url.path, headers, body)
    return Response(answer.body, answer.status, dict(answer.headers))


async def read_body(request: Request) -> bytes:
    """The raw body, refused with 413 as soon as it is over 1 MiB."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:12]) > BODY_MAX:
        raise ApiError(413)
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > BODY_MAX:
            raise ApiError(413)
        pieces.append(piece)
    return b"".join(pieces)


def _secrets(settings: Settings) -> list[str]:
    both = (settings.github_webhook_secret, settings.github_webhook_secret_previous)
    return [secret.get_secret_value() for secret in both if secret and secret.get_secret_value()]
