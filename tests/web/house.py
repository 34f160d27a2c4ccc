"""The real application over a real store, called through its ASGI door or over a loopback socket."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from bot.app import App, open_app
from bot.core.followups import FollowUpReason
from bot.core.runs import LogKind, LogLine
from bot.core.tasks import CodeTask, FailureReason, Stage
from bot.services.attempts import Cost
from bot.services.followup_runs import Answer, ClaimedFollowUp
from bot.settings import Settings
from bot.store import Transaction
from bot.web.application import create_web
from bot.web.gate import RateLimit
from bot.web.listener import open_listener
from bot.web.server import serve_web
from bot.web.tokens import digest, new_token
from platforms.registry import load_settings

SECRET = "It's a Secret to Everybody"
REPOS = {
    "web": {"url": "https://github.com/acme/web.git", "owner": "Acme", "name": "Web", "forge": "github"},
    "shop": {"url": "https://github.com/acme/shop.git", "owner": "acme", "name": "shop", "forge": "github"},
}
WISH = {"description": "Add a CSV export to the report", "repo": "web"}
TO = {
    Stage.RUNNING: [Stage.RUNNING],
    Stage.TESTING: [Stage.RUNNING, Stage.TESTING],
    Stage.REVIEW: [Stage.RUNNING, Stage.REVIEW],
    Stage.MERGED: [Stage.RUNNING, Stage.REVIEW, Stage.MERGED],
    Stage.FAILED: [Stage.RUNNING, Stage.FAILED],
}


def settings_for(database_url: str, tmp_path: Path, **changed: Any) -> Settings:
    values: dict[str, Any] = {
        "codetask_data": tmp_path / "data",
        "database_url": database_url,
        "web_bind": "127.0.0.1:0",
        "repos": REPOS,
        "default_agent": "demo",
        "agents": ("demo", "patch"),
        "github_token": "ghp_test",
        "github_webhook_secret": SECRET,
    }
    return load_settings(**(values | changed))


@dataclass
class House:
    app: App
    web: FastAPI
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    async def token(self, role: str = "filer", scopes: str = "read write", person: str = "token::ana") -> str:
        """A live token."""
        token = new_token()
        await self.app.store.run(lambda tx: tx.people.add_token("test", digest(token), scopes, person, role))
        return token

    async def client(self, role: str = "filer", scopes: str = "read write", person: str = "token::ana") -> "Client":
        """A client with a token of its own."""
        return self.bare({"authorization": f"Bearer {await self.token(role, scopes, person)}"})

    def bare(self, headers: Mapping[str, str] | None = None) -> "Client":
        """A client with nothing but these headers."""
        made = Client(transport=httpx.ASGITransport(self.web), base_url="http://127.0.0.1", headers=headers)
        self.clients.append(made)
        return made

    async def bring(self, number: int, stage: Stage, **values: Any) -> CodeTask:
        """Moves a queued code task along the table to a stage."""

        def unit(tx: Transaction) -> CodeTask:
            task = tx.tasks.get(number)
            for step in TO[stage]:
                extra = dict(values) if step is stage else {}
                if step is Stage.FAILED:
                    extra.setdefault("failure_reason", FailureReason.AGENT_FAILED)
                task = tx.tasks.move(number, set(Stage), step, actor="test", **extra)
            assert task is not None
            return task

        return await self.app.store.run(unit)

    async def fire(self) -> int:
        """Fires what is due now; how many were looked at."""
        return await self.app.store.run(self.app.firing.fire_due)

    async def claim_follow_up(self) -> ClaimedFollowUp:
        """A worker takes the next run of a follow-up."""
        claimed = await self.app.store.run(lambda tx: self.app.followup_runs.claim(tx, "w1", "host"))
        assert claimed is not None
        return claimed

    async def answer(self, text: str) -> None:
        """A worker takes the next run of a follow-up, and its agent answers."""
        claimed = await self.claim_follow_up()
        said = [LogLine(content=part) for part in text.split("\n\n")]
        lines = [LogLine(content="ran a tool"), LogLine(type=LogKind.EVENT, content="tool"), *said]
        lines.append(LogLine(type=LogKind.EVENT, content="answered"))
        await self.app.store.run(lambda tx: tx.runs.log(claimed.lease.run_id, lines))
        await self.app.store.run(
            lambda tx: self.app.followup_runs.answer(tx, claimed.lease, Answer(text), Cost(0.01, 7))
        )

    async def fail(self, error: str = "exit 1") -> None:
        """A worker takes the next run of a follow-up, and its agent fails."""
        claimed, reason = await self.claim_follow_up(), FollowUpReason.AGENT_FAILED
        await self.app.store.run(lambda tx: self.app.followup_runs.fail(tx, claimed.lease, reason, error, Cost()))

    async def stage(self, number: int) -> Stage:
        task = await self.app.store.run(lambda tx: tx.tasks.get(number), read=True)
        assert task is not None
        return task.stage


class Client(httpx.AsyncClient):
    """Paths are those of the API."""

    async def ask(self, method: str, path: str, status: int, **request: Any) -> Any:
        """The JSON of an answer that must have this status."""
        answer = await self.request(method, f"/api/v1/{path}", **request)
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert set(answer.json()) - {"choices"} == {"code", "message", "hint", "ref"}
        return answer.json() if answer.content else None

    async def file(self, **changed: Any) -> Any:
        return await self.ask("POST", "code-tasks", 201, json=WISH | changed)

    async def later(self, status: int = 201, **changed: Any) -> Any:
        """Sets a follow-up in two hours, unless changed."""
        wish = {"time": "in 2h", "message": "Check the deploy"} | changed
        return await self.ask("POST", "follow-ups", status, json=wish)


@asynccontextmanager
async def open_house(settings: Settings, limit: RateLimit | None = None) -> AsyncIterator[House]:
    async with open_app(settings) as app:
        house = House(app, create_web(app, limit=limit))
        yield house
        for client in house.clients:
            await client.aclose()


@asynccontextmanager
async def serving(app: App, stop: asyncio.Event | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """The application on a loopback socket until `stop`, and a client that holds the local token."""
    stop, listener = stop or asyncio.Event(), open_listener(app.settings)
    address = listener.getsockname()
    server = asyncio.create_task(serve_web(app, stop, listener))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{address[1]}", timeout=20) as client:
            (await client.get("/healthz")).raise_for_status()
            client.headers["authorization"] = f"Bearer {app.settings.token_file.read_text().strip()}"
            yield client
    finally:
        stop.set()
        await server


def signed(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def pull_request(action: str = "closed", merged: object = True, number: int = 7, **changed: Any) -> dict[str, Any]:
    """What GitHub sends about a pull request, cut down to what is read."""
    pull = {"number": number, "merged": merged, "head": {"ref": "code-worker/CT-1"}, "merged_by": {"login": "bob"}}
    repository = {"name": "web", "owner": {"login": "acme"}}
    return {"action": action, "pull_request": pull, "repository": repository} | changed


def dumps(value: object) -> bytes:
    return json.dumps(value).encode()
