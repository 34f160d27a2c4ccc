"""Real git transport: authenticated smart HTTP through git's own `git http-backend`."""

import asyncio
import re
import subprocess
from pathlib import Path

from aiohttp import web

from tests.simulators.github.repositories import git_environment
from tests.simulators.github.state import Accounts, Push, Repository, StoredToken, basic_password

_PATH = re.compile(r"/(?P<owner>[^/]+)/(?P<name>[^/]+?)\.git/(?P<rest>info/refs|git-upload-pack|git-receive-pack)")
_COMMAND = re.compile(rb"([0-9a-f]{40}) ([0-9a-f]{40}) ([^\x00\n]+)")


class GitHttp:
    """Serves `/<owner>/<name>.git`. Reading needs `contents: read`, pushing `contents: write`."""

    def __init__(self, repositories: dict[str, Repository], accounts: Accounts) -> None:
        self._repositories = repositories
        self._accounts = accounts
        self.pushes: list[Push] = []

    async def handle(self, request: web.Request) -> web.Response:
        found = _PATH.fullmatch(request.path)
        if found is None:
            return web.Response(status=404, text="Not Found")
        full_name = f"{found['owner']}/{found['name']}"
        repository = self._repositories.get(full_name.lower())
        writing = "git-receive-pack" in (found["rest"], request.query.get("service"))
        token = self._token(request)
        if token is None and (writing or repository is None or repository.private):
            challenge = {"WWW-Authenticate": 'Basic realm="GitHub"'}
            return web.Response(status=401, text="Authentication failed", headers=challenge)
        if repository is None or (token is not None and not token.allows(full_name, "contents", "read")):
            return web.Response(status=404, text="Repository not found.")
        if writing and (token is None or not token.allows(full_name, "contents", "write")):
            return web.Response(status=403, text=f"Permission to {full_name}.git denied.")
        body = await request.read()
        answer = await asyncio.to_thread(run_backend, repository.path, found["rest"], request, body)
        if found["rest"] == "git-receive-pack" and token is not None and answer.status == 200:
            self._record(full_name, body, answer.body, token)
        return answer

    def _token(self, request: web.Request) -> StoredToken | None:
        password = basic_password(request.headers.get("Authorization", ""))
        return None if password is None else self._accounts.find(password)

    def _record(self, full_name: str, body: bytes, said: object, token: StoredToken) -> None:
        """Only refs git accepted (`ok <ref>` in its report) were pushed."""
        commands = {ref.decode(): (old.decode(), new.decode()) for old, new, ref in _COMMAND.findall(body[:65_536])}
        report = said if isinstance(said, bytes) else b""
        accepted = {ref: shas for ref, shas in commands.items() if f"ok {ref}".encode() in report}
        if accepted:
            self.pushes.append(Push(full_name, accepted, token.value))


def run_backend(path: Path, rest: str, request: web.Request, body: bytes) -> web.Response:
    """Runs the CGI program for one request. Blocking."""
    env = {
        **git_environment(),
        "GIT_PROJECT_ROOT": str(path.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{path.name}/{rest}",
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query_string,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "REMOTE_USER": "x-access-token",
        "REMOTE_ADDR": "127.0.0.1",
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
    }
    done = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, check=False)
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
    status = int(headers.pop("Status", "200").split()[0]) if done.returncode == 0 else 500
    return web.Response(status=status, body=content, headers=headers)
