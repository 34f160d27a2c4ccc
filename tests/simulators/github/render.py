"""GitHub's JSON, made from GitHub's own published examples with the simulator's facts laid over them."""

from typing import Any

from tests.simulators.github.openapi import example
from tests.simulators.github.state import Pull, Repository, StoredToken


def user(login: str) -> dict[str, Any]:
    return {**example("pull-request")["user"], "login": login, "html_url": f"https://github.com/{login}"}


def repository(known: Repository, web: str) -> dict[str, Any]:
    """A full repository, as `GET /repos/{owner}/{repo}` and webhooks carry it."""
    shown = example("full-repository-default-response")
    for name in ("template_repository", "parent", "source"):
        shown.pop(name, None)
    return {
        **shown,
        "language": "Python",
        "name": known.name,
        "full_name": known.full_name,
        "owner": user(known.owner),
        "private": known.private,
        "default_branch": known.default_branch,
        "html_url": f"{web}/{known.full_name}",
        "clone_url": f"{web}/{known.full_name}.git",
    }


def _branch(shown: dict[str, Any], known: Repository, name: str, sha: str, full_name: str) -> dict[str, Any]:
    owner, _, repo = full_name.partition("/")
    return {
        **shown,
        "label": f"{owner}:{name}",
        "ref": name,
        "sha": sha,
        "user": user(owner),
        "repo": {
            **shown["repo"],
            "name": repo,
            "full_name": full_name,
            "owner": user(owner),
            "private": known.private,
            "default_branch": known.default_branch,
        },
    }


def pull_request(known: Repository, pull: Pull, web: str) -> dict[str, Any]:
    """A pull request as `GET /repos/{owner}/{repo}/pulls/{number}` and webhooks carry it."""
    shown = example("pull-request")
    merged = pull.merged_at is not None
    return {
        **shown,
        "id": 1000 + pull.number,
        "number": pull.number,
        "url": f"{web}/repos/{known.full_name}/pulls/{pull.number}",
        "html_url": f"{web}/{known.full_name}/pull/{pull.number}",
        "state": pull.state,
        "locked": False,
        "title": pull.title,
        "body": pull.body,
        "draft": pull.draft,
        "head": _branch(shown["head"], known, pull.head, pull.head_sha, pull.head_repository or known.full_name),
        "base": _branch(shown["base"], known, pull.base, pull.base_sha, known.full_name),
        "created_at": pull.created_at,
        "updated_at": pull.updated_at,
        "closed_at": pull.closed_at,
        "merged_at": pull.merged_at,
        "merged": merged,
        "merged_by": user(pull.merged_by) if merged else None,
        "merge_commit_sha": pull.merge_sha,
        "mergeable": None if merged else True,
        "requested_teams": [],
        "requested_reviewers": [],
        "labels": [],
        "assignees": [],
        "assignee": None,
        "milestone": None,
        "active_lock_reason": None,
    }


LIST_LACKS = (
    "merged", "mergeable", "rebaseable", "mergeable_state", "merged_by", "comments", "review_comments",
    "maintainer_can_modify", "commits", "additions", "deletions", "changed_files",
)  # fmt: skip
"""Fields that a pull request has by itself and not in a list."""


def listed(known: Repository, pull: Pull, web: str) -> dict[str, Any]:
    shown = pull_request(known, pull, web)
    return {name: value for name, value in shown.items() if name not in LIST_LACKS}


def installation_token(token: StoredToken, repositories: dict[str, Repository], web: str) -> dict[str, Any]:
    names = sorted(token.repositories or ())
    template = example("installation-token")["repositories"][0]
    rows = []
    for full_name in names:
        known = repositories[full_name.lower()]
        rows.append({**template, "name": known.name, "full_name": known.full_name, "owner": user(known.owner)})
    assert token.expires_at is not None
    return {
        "token": token.value,
        "expires_at": token.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "permissions": dict(token.permissions),
        "repository_selection": "selected",
        "repositories": rows,
    }
