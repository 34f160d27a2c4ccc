"""Every answer that says no: `{code, message, hint, ref}`, whatever went wrong.

No exception text leaves the process: what we did not expect is answered with a reference that stands in the log.
"""

from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bot.core.texts import Texts
from bot.services.loops import short_ref
from bot.services.refusals import RefusalKind, Refused

log = structlog.get_logger(__name__)

STATUS: Final[dict[RefusalKind, int]] = {"bad": 400, "not_allowed": 403, "not_found": 404, "state": 409}
CODES: Final = {
    400: ("bad_request", "The request cannot be read."),
    401: ("unauthorized", "This needs a valid token."),
    403: ("forbidden", "That is not allowed."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not know that method."),
    413: ("too_large", "The body is larger than 1 MiB."),
    422: ("invalid", "The request does not have the expected shape."),
    429: ("too_many_requests", "Too many requests. Wait a moment."),
    500: ("internal", "Something went wrong on our side."),
    503: ("unavailable", "The database cannot be reached. Try again in a minute."),
}
HINTS: Final = {
    401: "Send `Authorization: Bearer <token>`. `codetask token create` makes one.",
    500: "Try again. If it stays, give the reference to whoever runs the server: it is in the log.",
}
ENGLISH: Final = Texts.load("en")


class ApiError(Exception):
    """Raised by a route to answer with an error. `message` and `hint` are fit to be shown."""

    def __init__(self, status: int, code: str = "", message: str = "", hint: str = "", **headers: str) -> None:
        known = CODES.get(status, CODES[400])
        super().__init__(code or known[0])
        self.status = status
        self.code = code or known[0]
        self.message = message or known[1]
        self.hint = hint or HINTS.get(status, "")
        self.choices: list[str] | None = None
        """What could have been meant, where that can be listed."""
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def refused(refusal: Refused) -> ApiError:
    """The answer to a refusal: its kind is the status, its key the code, its English sentence the message."""
    values = dict(refusal.values)
    if refusal.key == "refused.unknown_id":
        values["command"] = "`codetask task list`"
    elif "command" in values:
        values["command"] = "`codetask followup list`"
    code = refusal.key.removeprefix("refused.").replace(".", "_")
    return ApiError(STATUS[refusal.kind], code, ENGLISH.say(refusal.key, **values))


def error_response(error: ApiError, ref: str = "") -> JSONResponse:
    """The body of an error; a new reference is made and logged unless one is given."""
    if not ref:
        ref = short_ref()
        log.info("request_refused", status=error.status, code=error.code, ref=ref)
    body: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint, "ref": ref}
    if error.choices is not None:
        body["choices"] = error.choices
    headers = dict(error.headers)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, error.status, headers)


def install_error_handlers(web: FastAPI) -> None:
    """Answers our errors, the framework's and wrong shapes with the same body."""

    async def ours(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ApiError)
        return error_response(error)

    async def frameworks(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return error_response(ApiError(error.status_code, **(error.headers or {})))

    async def shape(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return error_response(ApiError(422, message=_what_is_wrong(list(error.errors()))))

    web.add_exception_handler(ApiError, ours)
    web.add_exception_handler(HTTPException, frameworks)
    web.add_exception_handler(RequestValidationError, shape)


def _what_is_wrong(errors: list[dict[str, Any]]) -> str:
    """One line per problem, at most three, without quoting what was sent."""
    lines: list[str] = []
    for problem in errors[:3]:
        where = ".".join(str(part)[:40] for part in problem.get("loc", ()) if part != "body") or "body"
        lines.append(f"{where}: {str(problem.get('msg', 'is wrong'))[:200]}")
    return "; ".join(lines).encode("utf-8", "replace").decode()
