"""Pushes one commit to one branch, by URL and object name, never over a tip that is not ours."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bot.core.branches import is_branch
from bot.ports import GitAccess
from bot.worker.git import PUSH_LIMIT, Git, GitCall, GitFailed, explain

MAX_SUFFIX: Final = 9
_MOVED: Final = re.compile(
    rb"stale info|fetch first|non-fast-forward|already exists|cannot lock ref|failed to (?:lock|update ref)|"
    rb"directory file conflict|file/directory conflict|cannot create"
)

MakeCall = Callable[[Sequence[str]], GitCall]


@dataclass(frozen=True, slots=True)
class Pushed:
    """The branch is at our commit. `already` when it was there before."""

    branch: str
    already: bool = False


@dataclass(frozen=True, slots=True)
class ForeignTip:
    """The branch is at somebody else's commit, or its name collides with another branch. Try the next suffix."""

    branch: str


def branch_names(prefix: str, ref: str) -> list[str]:
    """The names to try in turn for a code task: `<prefix>/CT-42`, then `-2` to `-9`. Raises ValueError for others."""
    if re.fullmatch(r"(?:CT|FU)-[1-9][0-9]{0,11}", ref) is None or not is_branch(f"{prefix}/{ref}"):
        raise ValueError(f"{prefix!r}/{ref!r} is not a branch of ours")
    return [f"{prefix}/{ref}", *(f"{prefix}/{ref}-{number}" for number in range(2, MAX_SUFFIX + 1))]


async def push_branch(
    call: MakeCall, git: Git, url: str, sha: str, branch: str, expected: str, access: GitAccess | None
) -> Pushed | ForeignTip | GitFailed:
    """One push. It is atomic on the remote: the branch moves from `expected` to `sha` or stays."""
    if not is_branch(branch):
        return GitFailed("rejected", f"{branch!r} is not a branch name that can be pushed.")
    ref = f"refs/heads/{branch}"
    options = ["--porcelain", "--no-verify", "--no-recurse-submodules", "--no-signed"]
    args = ["push", *options, f"--force-with-lease={ref}:{expected}", "--end-of-options", url, f"{sha}:{ref}"]
    answer = await git.run(replace(call(args), url=url, access=access, limit=PUSH_LIMIT))
    if isinstance(answer, GitFailed):
        moved = answer.kind == "rejected" and _MOVED.search(answer.say.encode()) is not None
        return ForeignTip(branch) if moved else answer
    status = next((line[:1] for line in answer.splitlines() if f":{ref}".encode() in line), b"")
    if status in (b" ", b"*", b"+", b"="):
        return Pushed(branch, already=status == b"=")
    return explain("push", 0, answer, access)


async def read_remote_tip(
    call: MakeCall, git: Git, url: str, branch: str, access: GitAccess | None
) -> str | GitFailed | None:
    """The remote branch's commit, or None when it does not exist."""
    ref = f"refs/heads/{branch}"
    answer = await git.run(
        replace(call(["ls-remote", "--end-of-options", url, ref]), url=url, access=access, limit=PUSH_LIMIT)
    )
    if isinstance(answer, GitFailed):
        return answer
    rows = [line.split("\t") for line in answer.decode("utf-8", "replace").splitlines()]
    return next((sha for sha, name in rows if name == ref), None)
