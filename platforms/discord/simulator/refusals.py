"""How the REST API says no."""

from typing import Any

from platforms.discord.simulator.catalog import ERRORS, NOT_FOUND, UNAUTHORIZED

Json = dict[str, Any]
Problem = tuple[str, str, str]
"""Path in the body (`components/0/label`), Discord's code, its sentence."""


class ApiError(Exception):
    """The platform says no: a status, and a body with code, message and, for 50035, nested `errors`."""

    def __init__(self, status: int, code: int, message: str, **extra: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.body: Json = {"message": message, "code": code, **extra}


def refuse(code: int) -> ApiError:
    """The refusal with one of Discord's codes."""
    return ApiError(ERRORS[code][0], code, ERRORS[code][1])


def unauthorized() -> ApiError:
    return ApiError(*UNAUTHORIZED)


def not_found() -> ApiError:
    return ApiError(*NOT_FOUND)


def invalid(*problems: Problem) -> ApiError:
    """50035 with the problems nested as Discord nests them."""
    status, message = ERRORS[50035]
    errors: Json = {}
    for path, code, sentence in problems:
        node = errors
        for part in filter(None, path.split("/")):
            node = node.setdefault(part, {})
        node.setdefault("_errors", []).append({"code": code, "message": sentence})
    return ApiError(status, 50035, message, errors=errors)


def nested_in(name: str, refusal: ApiError) -> ApiError:
    """The same refusal for a body that is a field of a bigger one."""
    if "errors" in refusal.body:
        refusal.body["errors"] = {name: refusal.body["errors"]}
    return refusal


def too_long(path: str, most: int) -> Problem:
    return path, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length."


def bad_length(path: str, least: int, most: int) -> Problem:
    return path, "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length."


def required(path: str) -> Problem:
    return path, "BASE_TYPE_REQUIRED", "This field is required"


def wrong_choice(path: str, choices: object) -> Problem:
    return path, "BASE_TYPE_CHOICES", f"Value must be one of {choices}."
