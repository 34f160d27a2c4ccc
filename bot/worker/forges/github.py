"""GitHub: pull requests through its REST API, pushes by https with a token minted right before.

One branch, one pull request: a pull request is looked up by its head before it is created and after every answer that
was lost, and an existing one is adopted and updated.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from bot.ports import (
    Clock,
    ForgeRefused,
    ForgeRetry,
    ForgeTrouble,
    GitAccess,
    NotModified,
    PullRequest,
    PullRequestDraft,
    Repo,
)
from bot.worker.forges.github_auth import (
    CHANGE_PULLS,
    PUSH,
    READ_CODE,
    READ_PULLS,
    Credentials,
    Permissions,
    Token,
    basic,
)
from bot.worker.forges.github_errors import SOON, Failure
from bot.worker.forges.github_http import Answer, Ask, GitHubHttp, Unchanged
from bot.worker.forges.github_limits import Limits
from bot.worker.forges.settings import ForgeSettings

_PULLS: Final = "/repos/{owner}/{repo}/pulls"
_PULL: Final = "/repos/{owner}/{repo}/pulls/{number}"
_FIND: Final = "/repos/{owner}/{repo}/pulls{?head,state,sort,direction,per_page}"
_UNREADABLE: Final = ForgeRetry(SOON, "GitHub's answer could not be read")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")


class GitHubForge:
    """The forge `github`. Not bound to an event loop before its first call."""

    name = "github"
    on_this_machine = False

    def __init__(self, settings: ForgeSettings, clock: Clock) -> None:
        settings.github.check()
        self._settings = settings
        self._http = GitHubHttp(settings.github, clock)
        self._limits = Limits(clock)
        self._credentials = Credentials(settings.github, self._http, self._limits, clock, settings.register_secret)

    async def read_access(self, repo: Repo) -> GitAccess | ForgeTrouble:
        """A credential that reads one repository."""
        return await self._access(repo, READ_CODE)

    async def push_access(self, repo: Repo) -> GitAccess | ForgeTrouble:
        """A credential that writes one repository, minted now. Only ever for the host the token belongs to."""
        return await self._access(repo, PUSH)

    async def open_pull_request(self, repo: Repo, draft: PullRequestDraft) -> PullRequest | ForgeTrouble:
        """Opens a pull request, or adopts the open one of the same head and gives it the new title and body.

        GitHub's REST API cannot change whether an existing pull request is a draft: the answer says what it is.
        """
        existing = await self._open_one(repo, draft.head)
        if isinstance(existing, PullRequest):
            return await self._update(repo, existing, draft)
        if existing is not None:
            return existing
        made = await self._create(repo, draft)
        if isinstance(made, Failure) and made.kind == "no_draft":
            made = await self._create(repo, replace(draft, draft=False))
        if not isinstance(made, Failure):
            return made
        if made.kind == "exists" or (isinstance(made.trouble, ForgeRetry) and made.trouble.maybe_done):
            return await self._adopt(repo, draft, made.trouble)
        return made.trouble

    async def update_pull_request(self, repo: Repo, number: int, draft: PullRequestDraft) -> PullRequest | ForgeTrouble:
        """Gives a pull request a new title and body; whether it is a draft stays as it is."""
        return await self._change(repo, number, {"title": draft.title, "body": draft.body})

    async def find_pull_request(self, repo: Repo, head: str) -> PullRequest | ForgeTrouble | None:
        """The open pull request of a branch, else the newest closed or merged one, else None."""
        found = await self._list(repo, head, "all")
        if not isinstance(found, list):
            return found
        return next((pull for pull in found if pull.state == "open"), found[0] if found else None)

    async def pull_request(self, repo: Repo, number: int, etag: str = "") -> PullRequest | NotModified | ForgeTrouble:
        """How a pull request is now. With the `etag` of an earlier answer, an unchanged one costs no rate limit."""
        answer = await self._ask(repo, READ_PULLS, Ask("GET", _PULL, {"number": str(number)}, etag=etag), reuse=True)
        if isinstance(answer, Unchanged):
            return NotModified()
        if isinstance(answer, Failure):
            gone = answer.kind == "missing" and isinstance(answer.trouble, ForgeRefused)
            return ForgeRefused(f"GitHub shows no pull request {number} here (404).") if gone else answer.trouble
        pull = _pull(answer.data)
        return _UNREADABLE if pull is None else replace(pull, etag=answer.etag)

    async def close_pull_request(self, repo: Repo, number: int) -> PullRequest | ForgeTrouble:
        """Closes a pull request; a closed or merged one stays what it is."""
        return await self._change(repo, number, {"state": "closed"})

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _access(self, repo: Repo, permissions: Permissions) -> GitAccess | ForgeTrouble:
        parts = urlsplit(repo.url)
        if parts.scheme == "ssh":
            return GitAccess(ssh_key=self._settings.ssh_key)
        scheme, host = self._settings.github.git_host
        if (parts.scheme, parts.netloc.lower()) != (scheme, host.lower()):
            say = f"The URL of repository {repo.alias} is not on {host}: the GitHub credential is not sent there."
            return ForgeRefused(say, config=True)
        token = await self._token(repo, permissions)
        return GitAccess(authorization=basic(token.value)) if isinstance(token, Token) else token

    async def _token(self, repo: Repo, permissions: Permissions, *, reuse: bool = False) -> Token | ForgeTrouble:
        if not (_NAME.fullmatch(repo.owner) and _NAME.fullmatch(repo.name)):
            return ForgeRefused(f"Repository {repo.alias} has no GitHub owner and name: set both.", config=True)
        return await self._credentials.token(repo, permissions, reuse=reuse)

    async def _ask(
        self, repo: Repo, permissions: Permissions, ask: Ask, *, reuse: bool = False
    ) -> Answer | Unchanged | Failure:
        """Sends a request with a token of its own; a refused App token is replaced once."""
        ask = replace(ask, fields={"owner": repo.owner, "repo": repo.name, **ask.fields})
        answer: Answer | Unchanged | Failure = Failure("lost", _UNREADABLE)
        for _ in range(2):
            token = await self._token(repo, permissions, reuse=reuse)
            if not isinstance(token, Token):
                return Failure("lost" if isinstance(token, ForgeRetry) else "forbidden", token)
            if (wait := self._limits.held(repo.owner)) is not None:
                return Failure("limited", wait)
            if ask.data is not None and (wait := self._limits.content()) is not None:
                return Failure("limited", wait)
            answer = await self._http.ask(replace(ask, token=token.value))
            if not isinstance(answer, Failure):
                return answer
            if answer.kind == "limited" and isinstance(answer.trouble, ForgeRetry):
                self._limits.hold(repo.owner, answer.trouble.after)
            if answer.kind != "unauthorized" or not self._credentials.renewable:
                return answer
            self._credentials.forget(repo)
        return answer

    async def _create(self, repo: Repo, draft: PullRequestDraft) -> PullRequest | Failure:
        data = {
            "title": draft.title,
            "body": draft.body,
            "head": draft.head,
            "base": draft.base,
            "draft": draft.draft,
            "maintainer_can_modify": False,
        }
        answer = await self._ask(repo, CHANGE_PULLS, Ask("POST", _PULLS, data=data, creating=True))
        if isinstance(answer, Failure):
            return answer
        pull = _pull(answer.data) if isinstance(answer, Answer) else None
        return Failure("lost", replace(_UNREADABLE, maybe_done=True)) if pull is None else pull

    async def _adopt(self, repo: Repo, draft: PullRequestDraft, trouble: ForgeTrouble) -> PullRequest | ForgeTrouble:
        """After a lost answer or "already exists": the open pull request of this head, if there is one."""
        found = await self._open_one(repo, draft.head)
        if isinstance(found, PullRequest):
            return await self._update(repo, found, draft)
        return trouble

    async def _open_one(self, repo: Repo, head: str) -> PullRequest | ForgeTrouble | None:
        found = await self._list(repo, head, "open")
        return (found[0] if found else None) if isinstance(found, list) else found

    async def _list(self, repo: Repo, head: str, state: Literal["open", "all"]) -> list[PullRequest] | ForgeTrouble:
        """Newest first. GitHub ignores a `head` filter it does not like, so the answer is filtered here again."""
        fields = {
            "head": f"{repo.owner}:{head}",
            "state": state,
            "sort": "created",
            "direction": "desc",
            "per_page": "100",
        }
        answer = await self._ask(repo, READ_PULLS, Ask("GET", _FIND, fields), reuse=True)
        if isinstance(answer, Failure):
            return answer.trouble
        if not isinstance(answer, Answer) or not isinstance(answer.data, list):
            return _UNREADABLE
        mine = [row for row in answer.data if _same_repository(row, repo)]
        pulls = [pull for row in mine if (pull := _pull(row)) is not None and pull.head == head]
        return [pull for pull in pulls if state == "all" or pull.state == "open"]

    async def _update(self, repo: Repo, pull: PullRequest, draft: PullRequestDraft) -> PullRequest | ForgeTrouble:
        return await self._change(repo, pull.number, {"title": draft.title, "body": draft.body, "base": draft.base})

    async def _change(self, repo: Repo, number: int, data: Mapping[str, str]) -> PullRequest | ForgeTrouble:
        answer = await self._ask(repo, CHANGE_PULLS, Ask("PATCH", _PULL, {"number": str(number)}, data=data))
        if isinstance(answer, Failure):
            return answer.trouble
        return (_pull(answer.data) if isinstance(answer, Answer) else None) or _UNREADABLE


def _same_repository(row: object, repo: Repo) -> bool:
    """Whether the head branch is in this repository and not in a fork."""
    full = _text(_object(_object(row, "head"), "repo"), "full_name")
    return full.lower() == f"{repo.owner}/{repo.name}".lower()


def _pull(data: object) -> PullRequest | None:
    """A pull request of GitHub's, or None when a needed field is missing. Lists carry `merged_at` but not `merged`."""
    pull = _object({"pull": data}, "pull")
    number, url, head = pull.get("number"), _text(pull, "html_url"), _text(_object(pull, "head"), "ref")
    state = pull.get("state")
    if isinstance(number, bool) or not isinstance(number, int) or not head or state not in ("open", "closed"):
        return None
    if urlsplit(url).scheme not in ("https", "http"):
        return None
    merged = pull.get("merged") is True or isinstance(pull.get("merged_at"), str)
    return PullRequest(
        number=number,
        url=url,
        state="merged" if merged else ("open" if state == "open" else "closed"),
        head=head,
        draft=pull.get("draft") is True,
        merged_by=_text(_object(pull, "merged_by"), "login"),
    )


def _object(parent: object, name: str) -> dict[str, Any]:
    value = cast("dict[str, Any]", parent).get(name) if isinstance(parent, dict) else None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(parent: dict[str, Any], name: str) -> str:
    value = parent.get(name)
    return value if isinstance(value, str) else ""


def create(settings: ForgeSettings, clock: Clock) -> GitHubForge:
    return GitHubForge(settings, clock)
