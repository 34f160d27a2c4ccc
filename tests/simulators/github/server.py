"""The simulated GitHub's server: one aiohttp application in a thread of its own, on a loopback port of its own."""

import asyncio
import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.simulators.github import render, repositories
from tests.simulators.github.faults import Burst, Fault
from tests.simulators.github.git_http import GitHttp
from tests.simulators.github.openapi import answer_problems, webhook_problems
from tests.simulators.github.rest import Asked, Rest, Told, refused, stamp
from tests.simulators.github.state import Accounts, App, Call, Pull, Push, Repository, StoredToken, bearer
from tests.simulators.github.webhooks import Delivery, delivery

FULL_ACCESS = {"metadata": "read", "contents": "write", "pull_requests": "write"}


def _now() -> datetime:
    return datetime.now(UTC)


class GitHubSimulator:
    """`with GitHubSimulator(folder) as github:`. State is changed by its methods from the test's thread.

    `problems` collects where requests or the simulator's own answers differ from GitHub's OpenAPI description."""

    def __init__(self, folder: Path, now: Callable[[], datetime] = _now) -> None:
        self._folder = folder
        self.repositories: dict[str, Repository] = {}
        self.accounts = Accounts(now)
        self.calls: list[Call] = []
        self.problems: list[str] = []
        self.faults: list[Fault] = []
        self.burst: Burst | None = None
        self.deliveries: list[Delivery] = []
        self._rest = Rest(self.repositories, self.accounts, lambda: self.url)
        self._git = GitHttp(self.repositories, self.accounts)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="github-simulator", daemon=True)
        self._started = threading.Event()
        self._stop: asyncio.Event | None = None
        self.url = ""

    # --- Life ---------------------------------------------------------------------------------------------------------

    def __enter__(self) -> "GitHubSimulator":
        self._thread.start()
        if not self._started.wait(10):
            raise TimeoutError("the simulated GitHub did not start")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        application = web.Application(client_max_size=256 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, shutdown_timeout=0.2, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = runner.addresses[0] and f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()

    # --- What tests arrange -------------------------------------------------------------------------------------------

    def add_repository(
        self, owner: str, name: str, files: Mapping[str, str] | None = None, default_branch: str = "main"
    ) -> Repository:
        """A repository with one commit. Its clone URL is `clone_url(owner, name)`."""
        path = self._folder / owner / f"{name}.git"
        repositories.make_bare(path, default_branch, files or {"README.md": f"# {name}\n"})
        return self.adopt_repository(owner, name, path, default_branch)

    def adopt_repository(self, owner: str, name: str, path: Path, default_branch: str = "main") -> Repository:
        """Serves a bare repository that exists already."""
        known = Repository(owner, name, path, default_branch)
        self.repositories[known.full_name.lower()] = known
        return known

    def clone_url(self, owner: str, name: str) -> str:
        return f"{self.url}/{owner}/{name}.git"

    def add_token(self, value: str, *full_names: str, permissions: Mapping[str, str] | None = None) -> StoredToken:
        """A personal access token; without repositories it opens all of them."""
        names = frozenset(full_names) or None
        token = StoredToken(value, names, FULL_ACCESS if permissions is None else permissions)
        self.accounts.tokens[value] = token
        return token

    def add_app(self, app: App) -> App:
        self.accounts.apps[app.app_id] = app
        return app

    def expire_tokens(self) -> None:
        """Every token minted so far is refused from now on."""
        for token in self.accounts.minted:
            token.revoked = True

    def fail_next(self, fault: Fault) -> Fault:
        """Plans a fault; of several the first planned one that matches is used up first."""
        self.faults.append(fault)
        return fault

    # --- What people do on GitHub -------------------------------------------------------------------------------------

    def merge(self, owner: str, name: str, number: int, by: str = "octocat") -> Delivery:
        """Merges a pull request for real and returns the delivery GitHub would send."""
        known, pull = self._pull(owner, name, number)
        if pull.state != "open" or pull.draft:
            raise repositories.MergeRefused("the pull request is closed or a draft")
        message = f"Merge pull request #{number} from {owner}/{pull.head}\n\n{pull.title}"
        pull.merge_sha = repositories.merge(known.path, pull.base, pull.head, message)
        now = stamp(self.accounts.now())
        pull.state, pull.closed_at, pull.merged_at, pull.merged_by, pull.updated_at = "closed", now, now, by, now
        return self._deliver("closed", known, pull, by)

    def close(self, owner: str, name: str, number: int, by: str = "octocat") -> Delivery:
        known, pull = self._pull(owner, name, number)
        pull.state, pull.closed_at = "closed", stamp(self.accounts.now())
        return self._deliver("closed", known, pull, by)

    def reopen(self, owner: str, name: str, number: int, by: str = "octocat") -> Delivery:
        known, pull = self._pull(owner, name, number)
        if pull.merged_at is not None:
            raise repositories.MergeRefused("a merged pull request cannot be reopened")
        pull.state, pull.closed_at = "open", None
        return self._deliver("reopened", known, pull, by)

    def _pull(self, owner: str, name: str, number: int) -> tuple[Repository, Pull]:
        known = self.repositories[f"{owner}/{name}".lower()]
        return known, known.pulls[number]

    def _deliver(self, action: str, known: Repository, pull: Pull, by: str) -> Delivery:
        payload = {
            "action": action,
            "number": pull.number,
            "pull_request": render.pull_request(known, pull, self.url),
            "repository": render.repository(known, self.url),
            "sender": render.user(by),
        }
        self.problems += webhook_problems(f"pull-request-{action}", payload)
        made = delivery("pull_request", payload)
        self.deliveries.append(made)
        return made

    # --- What was asked -----------------------------------------------------------------------------------------------

    @property
    def pushes(self) -> list[Push]:
        """Accepted pushes, oldest first."""
        return self._git.pushes

    def asked(self, method: str, ending: str) -> list[Call]:
        """REST requests so far of a method whose path ends so."""
        return [call for call in self.calls if call.method == method and call.path.endswith(ending)]

    # --- Serving ------------------------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        fault = next((plan for plan in self.faults if plan.matches(request.method, request.path)), None)
        if fault is not None:
            fault.times -= 1
            if fault.hang:
                await asyncio.Event().wait()
            if fault.status:
                body = await request.read()
                self._record(request, body, fault.status)
                return web.Response(
                    status=fault.status, text=fault.body, headers=dict(fault.headers), content_type=fault.content_type
                )
            if fault.drop and not fault.after_commit:
                return _drop(request)
        if ".git/" in request.path:
            answer = await self._git.handle(request)
        else:
            answer = await self._answer(request)
        if fault is not None and fault.drop:
            return _drop(request)
        if fault is not None and fault.half:
            return await _half(request, answer)
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        told = await asyncio.to_thread(self._told, request, body)
        self._record(request, body, told.status)
        content = json.dumps(told.body).encode()
        etag = f'W/"{hashlib.sha256(content).hexdigest()}"'
        headers = {**self._rate_headers(), **(told.headers or {})}
        if told.status == 200 and request.method == "GET":
            headers["ETag"] = etag
            if request.headers.get("If-None-Match") == etag:
                return web.Response(status=304, headers=headers)
        self.problems += answer_problems(request.method, request.path, told.status, told.body)
        return web.Response(status=told.status, body=content, headers=headers, content_type="application/json")

    def _told(self, request: web.Request, body: bytes) -> Told:
        credential = bearer(request.headers.get("Authorization", ""))
        if not request.headers.get("User-Agent"):
            return refused(403, "Request forbidden by administrative rules. Please add a User-Agent header")
        if request.method != "GET" and "/pulls" in request.path and self.burst is not None and self.burst.refuses():
            message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
            return Told(self.burst.status, {"message": message, "documentation_url": ""}, self.burst.headers)
        try:
            parsed: Any = json.loads(body) if body else None
        except ValueError:
            return refused(400, "Problems parsing JSON")
        token, app = self.accounts.find(credential), self.accounts.app_of(credential)
        return self._rest.answer(Asked(request.method, request.path, dict(request.query), parsed, token, app))

    def _record(self, request: web.Request, body: bytes, status: int) -> None:
        parsed: Any = None
        with contextlib.suppress(ValueError):
            parsed = json.loads(body) if body else None
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.calls.append(Call(request.method, request.path, dict(request.query), parsed, headers, status))

    def _rate_headers(self) -> dict[str, str]:
        reset = int(self.accounts.now().timestamp()) + 3600
        return {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4990", "X-RateLimit-Reset": str(reset)}


def _drop(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _half(request: web.Request, answer: web.Response) -> web.StreamResponse:
    content = answer.body if isinstance(answer.body, bytes) else b""
    broken = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    broken.content_length = len(content)
    await broken.prepare(request)
    await broken.write(content[: len(content) // 2])
    assert request.transport is not None
    request.transport.close()
    return broken
