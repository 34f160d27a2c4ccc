"""The REST operations the simulated GitHub offers. Each returns (status, JSON) and refuses what GitHub refuses."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.simulators.github import render
from tests.simulators.github.openapi import example, request_problems
from tests.simulators.github.repositories import git, tip
from tests.simulators.github.state import Accounts, App, Pull, Repository, StoredToken

DOCS = "https://docs.github.com/rest"


@dataclass(frozen=True)
class Asked:
    """One authenticated request."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    token: StoredToken | None
    app: App | None


@dataclass(frozen=True)
class Told:
    """The answer to it."""

    status: int
    body: Any
    headers: Mapping[str, str] | None = None


def refused(status: int, message: str, errors: list[Any] | None = None, **headers: str) -> Told:
    body: dict[str, Any] = {"message": message, "documentation_url": DOCS, "status": str(status)}
    return Told(status, body if errors is None else {**body, "errors": errors}, headers)


def invalid(*errors: Any) -> Told:
    return refused(422, "Validation Failed", list(errors))


class Rest:
    """Answers requests from the simulator's state."""

    def __init__(self, repositories: dict[str, Repository], accounts: Accounts, web: Callable[[], str]) -> None:
        self._repositories, self._accounts, self._web = repositories, accounts, web
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Told]]] = [
            ("GET", re.compile(r"/repos/([^/]+)/([^/]+)"), self._repository),
            ("GET", re.compile(r"/repos/([^/]+)/([^/]+)/pulls"), self._list),
            ("POST", re.compile(r"/repos/([^/]+)/([^/]+)/pulls"), self._create),
            ("GET", re.compile(r"/repos/([^/]+)/([^/]+)/pulls/(\d+)"), self._get),
            ("PATCH", re.compile(r"/repos/([^/]+)/([^/]+)/pulls/(\d+)"), self._update),
            ("GET", re.compile(r"/repos/([^/]+)/([^/]+)/installation"), self._installation),
            ("POST", re.compile(r"/app/installations/(\d+)/access_tokens"), self._mint),
            ("GET", re.compile(r"/rate_limit"), lambda _asked: Told(200, example("rate-limit-overview"))),
            ("GET", re.compile(r"/user"), self._user),
        ]

    def answer(self, asked: Asked) -> Told:
        """The answer, after the checks every request passes."""
        for method, pattern, handler in self._routes:
            found = pattern.fullmatch(asked.path)
            if found is None or method != asked.method:
                continue
            if asked.token is None and asked.app is None and asked.path != "/rate_limit":
                return refused(401, "Bad credentials")
            wrong = request_problems(asked.method, asked.path, asked.query, asked.body)
            return invalid(*wrong) if wrong else handler(asked, *found.groups())
        return refused(404, "Not Found")

    def _known(self, asked: Asked, owner: str, name: str, permission: str, level: str) -> Repository | Told:
        known = self._repositories.get(f"{owner}/{name}".lower())
        token = asked.token
        if (
            known is None
            or token is None
            or not (
                token.allows(known.full_name, permission, "read") or token.allows(known.full_name, "metadata", "read")
            )
        ):
            return refused(404, "Not Found")
        if not token.allows(known.full_name, permission, level):
            needed = {"x-accepted-github-permissions": f"{permission}={level}"}
            return Told(403, refused(403, "Resource not accessible by integration").body, needed)
        return known

    def _user(self, asked: Asked) -> Told:
        if asked.token is None:
            return refused(403, "Resource not accessible by integration")
        return Told(200, example("private-user-response-with-public-and-private-profile-information"))

    def _repository(self, asked: Asked, owner: str, name: str) -> Told:
        known = self._known(asked, owner, name, "metadata", "read")
        return known if isinstance(known, Told) else Told(200, render.repository(known, self._web()))

    def _list(self, asked: Asked, owner: str, name: str) -> Told:
        known = self._known(asked, owner, name, "pull_requests", "read")
        if isinstance(known, Told):
            return known
        newest_first = asked.query.get("direction") != "asc"
        pulls = [known.pulls[number] for number in sorted(known.pulls, reverse=newest_first)]
        state, head = asked.query.get("state", "open"), asked.query.get("head", "")
        chosen = [pull for pull in pulls if state == "all" or pull.state == state]
        if ":" in head:  # GitHub ignores a head without its owner
            chosen = [pull for pull in chosen if f"{pull.head_owner or known.owner}:{pull.head}" == head]
        page = chosen[: int(asked.query.get("per_page", "30"))]
        return Told(200, [render.listed(known, pull, self._web()) for pull in page])

    def _get(self, asked: Asked, owner: str, name: str, number: str) -> Told:
        known = self._known(asked, owner, name, "pull_requests", "read")
        if isinstance(known, Told):
            return known
        pull = known.pulls.get(int(number))
        return refused(404, "Not Found") if pull is None else Told(200, render.pull_request(known, pull, self._web()))

    def _create(self, asked: Asked, owner: str, name: str) -> Told:
        known = self._known(asked, owner, name, "pull_requests", "write")
        if isinstance(known, Told):
            return known
        body = asked.body
        head, base, draft = body["head"].removeprefix(f"{owner}:"), body["base"], body.get("draft", False)
        head_sha, base_sha = tip(known.path, head), tip(known.path, base)
        wrong = [field for field, sha in (("head", head_sha), ("base", base_sha)) if sha is None]
        if head_sha is None or base_sha is None:
            return invalid(*({"resource": "PullRequest", "field": field, "code": "invalid"} for field in wrong))
        if refusal := self._creation_refusal(known, head, base, bool(draft)):
            return refusal
        now = stamp(self._accounts.now())
        pull = Pull(
            max(known.pulls, default=0) + 1, body["title"], body.get("body") or "", head, base, bool(draft), now, now,
            head_sha=head_sha, base_sha=base_sha,
        )  # fmt: skip
        known.pulls[pull.number] = pull
        return Told(201, render.pull_request(known, pull, self._web()))

    def _creation_refusal(self, known: Repository, head: str, base: str, draft: bool) -> Told | None:
        if draft and not known.drafts:
            return refused(422, "Draft pull requests are not supported in this repository.")
        if any(pull.head == head and pull.base == base and pull.state == "open" for pull in known.pulls.values()):
            message = f"A pull request already exists for {known.owner}:{head}."
            return invalid({"resource": "PullRequest", "code": "custom", "message": message})
        if git(known.path, "rev-list", "--count", f"refs/heads/{base}..refs/heads/{head}") == "0":
            message = f"No commits between {base} and {head}"
            return invalid({"resource": "PullRequest", "code": "custom", "message": message})
        return None

    def _update(self, asked: Asked, owner: str, name: str, number: str) -> Told:
        known = self._known(asked, owner, name, "pull_requests", "write")
        if isinstance(known, Told):
            return known
        pull = known.pulls.get(int(number))
        if pull is None:
            return refused(404, "Not Found")
        if "base" in asked.body and tip(known.path, asked.body["base"]) is None:
            return invalid({"resource": "PullRequest", "field": "base", "code": "invalid"})
        for field in ("title", "body", "base"):
            setattr(pull, field, asked.body.get(field, getattr(pull, field)))
        if asked.body.get("state") == "closed" and pull.state == "open":
            pull.state, pull.closed_at = "closed", stamp(self._accounts.now())
        pull.updated_at = stamp(self._accounts.now())
        return Told(200, render.pull_request(known, pull, self._web()))

    def _installation(self, asked: Asked, owner: str, name: str) -> Told:
        if asked.app is None:
            return refused(401, "A JSON web token could not be decoded")
        if f"{owner}/{name}".lower() not in {full.lower() for full in asked.app.repositories}:
            return refused(404, "Not Found")
        return Told(200, {**example("installation"), "id": asked.app.installation_id, "app_id": int(asked.app.app_id)})

    def _mint(self, asked: Asked, number: str) -> Told:
        app = asked.app
        if app is None:
            return refused(401, "A JSON web token could not be decoded")
        if app.installation_id != int(number):
            return refused(404, "Not Found")
        body = asked.body or {}
        by_name = {full.split("/")[1].lower(): full for full in app.repositories}
        names = body.get("repositories")
        if names is not None and not all(name.lower() in by_name for name in names):
            return refused(422, "There is at least one repository that does not exist or is not accessible")
        permissions = body.get("permissions", app.permissions)
        probe = StoredToken("", None, app.permissions)
        if not all(probe.allows("", permission, level) for permission, level in permissions.items()):
            return refused(422, "The permissions requested are not granted to this installation.")
        chosen = app.repositories if names is None else frozenset(by_name[name.lower()] for name in names)
        token = self._accounts.mint(app, chosen, permissions)
        return Told(201, render.installation_token(token, self._repositories, self._web()))


def stamp(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
