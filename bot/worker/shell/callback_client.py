"""`codetask` as a coding agent has it in its shell: follow-ups, a code task, a line for the thread.

Standard library only, one file: it is shown read-only inside the sandbox.

It calls the run's own server over the unix socket CODETASK_SOCKET (or CODETASK_URL) with CODETASK_RUN_TOKEN; all three
are set in a run and end with it. Data goes to stdout, words to stderr. Exit codes: 0 done, 2 usage or a value refused,
3 refused, 4 not found, 5 cannot reach.
"""

import argparse
import contextlib
import http.client
import json
import os
import socket
import sys
import urllib.parse

OK, USAGE, REFUSED, NOT_FOUND, UNREACHABLE = 0, 2, 3, 4, 5
_CODES = {400: USAGE, 404: NOT_FOUND, 413: USAGE, 503: UNREACHABLE}
_PATIENCE_S = 30.0
_WAIT_S = 600
_ROOT = "/api/v1/run/"


class _Failure(Exception):
    """Ends the command: what to say and the exit code."""

    def __init__(self, say, code):
        super().__init__(say)
        self.say, self.code = say, code


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(timeout):
    path = os.environ.get("CODETASK_SOCKET", "")
    if path:
        return _UnixConnection(path, timeout)
    parts = urllib.parse.urlsplit(os.environ.get("CODETASK_URL", ""))
    if parts.scheme != "http" or not parts.hostname:
        raise _Failure("CODETASK_SOCKET is not set: this works only inside a run.", USAGE)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)


def _ask(method, path, body=None, timeout=_PATIENCE_S):
    """The answer to one call. Raises `_Failure` for anything but success."""
    token = os.environ.get("CODETASK_RUN_TOKEN", "")
    if not token:
        raise _Failure("CODETASK_RUN_TOKEN is not set: this works only inside a run.", USAGE)
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
    connection = _connection(timeout)
    try:
        connection.request(method, _ROOT + path, json.dumps(body).encode() if body is not None else None, headers)
        answer = connection.getresponse()
        status, raw = answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        raise _Failure("Cannot reach the server of this run.", UNREACHABLE) from None
    finally:
        connection.close()
    try:
        told = json.loads(raw)
    except ValueError:
        raise _Failure("The server of this run gave no readable answer.", UNREACHABLE) from None
    if status >= 400:
        said = [str(told.get("message", "Refused."))] + [str(choice) for choice in told.get("choices", [])]
        raise _Failure("\n".join(said), _CODES.get(status, REFUSED))
    return told


def _parser():
    parser = argparse.ArgumentParser(prog="codetask", description="Act in the chat thread that this run works for.")
    nouns = parser.add_subparsers(dest="noun", required=True, metavar="COMMAND")
    followup = nouns.add_parser("followup", help="come back to this thread later")
    _followups(followup.add_subparsers(dest="verb", required=True, metavar="VERB"))
    task = nouns.add_parser("task", help="file a code task, or look one up")
    _tasks(task.add_subparsers(dest="verb", required=True, metavar="VERB"))
    ask = _command(nouns, "ask", "ask the people in the thread and wait for the answer, up to 1 h")
    ask.add_argument("question")
    ask.add_argument("--choice", action="append", default=[], help="an answer to pick from, up to 4")
    post = _command(nouns, "post", "show one line to the people in the thread")
    post.add_argument("text")
    return parser


def _followups(verbs):
    create = _command(verbs, "create", 'set one: codetask followup create "in 2h" "check the deploy"')
    create.add_argument("when", help='"in 2h", "tomorrow 9am", or ISO 8601')
    create.add_argument("message", help="what to do then; - reads stdin")
    create.add_argument("--title")
    create.add_argument("--agent")
    _command(verbs, "list", "the follow-ups of this thread")
    _command(verbs, "cancel", "cancel one that an agent set here").add_argument("id", help="FU-7")


def _tasks(verbs):
    create = _command(verbs, "create", "file one for the person you work for")
    create.add_argument("description", help="what to change; - reads stdin")
    create.add_argument("--title")
    _command(verbs, "show", "stage, branch, pull request").add_argument("id", help="CT-12")


def _command(parsers, name, about):
    parser = parsers.add_parser(name, help=about, description=about)
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    return parser


def _read(text):
    return sys.stdin.read() if text == "-" else text


def _body(given, *names):
    return {name: value for name in names if (value := getattr(given, name)) is not None}


def _run(given):
    where = (given.noun, getattr(given, "verb", ""))
    if where == ("followup", "create"):
        given.message = _read(given.message)
        return _ask("POST", "follow-ups", _body(given, "when", "message", "title", "agent"))
    if where == ("followup", "list"):
        return _ask("GET", "follow-ups")
    if where == ("followup", "cancel"):
        return _ask("POST", "follow-ups/" + urllib.parse.quote(given.id, safe="") + "/cancel")
    if where == ("task", "create"):
        given.description = _read(given.description)
        return _ask("POST", "code-tasks", _body(given, "description", "title"))
    if where == ("task", "show"):
        return _ask("GET", "code-tasks/" + urllib.parse.quote(given.id, safe=""))
    if given.noun == "ask":
        return _until_answered({"question": _read(given.question), "choices": given.choice})
    return _ask("POST", "updates", {"text": _read(given.text)})


def _until_answered(body):
    while True:
        told = _ask("POST", f"questions?wait={_WAIT_S}", body, timeout=_WAIT_S + _PATIENCE_S)
        if told["status"] == "nobody":
            raise _Failure(told["say"], REFUSED)
        if told["status"] == "answered":
            return told


def _show(told):
    """The answer as lines: an id alone for what was made, a row for each of a list."""
    if "follow_ups" in told:
        return ["\t".join(str(one[key]) for key in ("id", "state", "at", "title")) for one in told["follow_ups"]]
    if told.get("status") == "answered":
        return [str(told["answer"])]
    if "say" in told:
        return [str(told["id"])] if "id" in told else []
    return [f"{key}\t{value}" for key, value in told.items() if value is not None]


def main():
    """Runs one command; its exit code."""
    given = _parser().parse_args()
    try:
        told = _run(given)
    except _Failure as failure:
        print(failure.say, file=sys.stderr)  # noqa: T201 - this is a command
        return failure.code
    if given.output == "json":
        print(json.dumps(told, ensure_ascii=False))  # noqa: T201
        return OK
    for line in _show(told):
        print(line)  # noqa: T201
    if "say" in told:
        print(told["say"], file=sys.stderr)  # noqa: T201
    return OK


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
