"""Reads what a tree changes against its base, from objects only, through the trusted git directory."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.core.patch import ABSENT, Change
from bot.worker.git import Git, GitCall, GitFailed

_GITLINK = "160000"
_ATTRIBUTES = ("filter", "diff", "linguist-generated")

MakeCall = Callable[[Sequence[str]], GitCall]


@dataclass(frozen=True, slots=True)
class Changes:
    """The changed entries of a tree, and how many lines they add and remove (binary files count as none)."""

    entries: tuple[Change, ...]
    insertions: int = 0
    deletions: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    old_mode: str
    new_mode: str
    old_sha: str
    new_sha: str


async def read_changes(
    call: MakeCall, git: Git, base_sha: str, tree_sha: str, limits: tuple[int, int]
) -> Changes | GitFailed:
    """All entries with modes and sizes. Blobs, attributes and line counts only when all is within the limits."""
    max_files, max_bytes = limits
    raw = await git.run(call(_diff("--raw", base_sha, tree_sha)))
    if isinstance(raw, GitFailed):
        return raw
    entries = list(_parse_raw(raw))
    if not entries or len(entries) > max_files:
        return Changes(tuple(Change(entry.path, entry.old_mode, entry.new_mode) for entry in entries))
    sizes = await _sizes(call, git, entries)
    if isinstance(sizes, GitFailed):
        return sizes
    if sum(sizes.get(entry.new_sha, 0) for entry in entries) > max_bytes:
        return Changes(tuple(Change(e.path, e.old_mode, e.new_mode, sizes.get(e.new_sha, 0)) for e in entries))
    wanted = [sha for sha, size in sizes.items() if size <= max_bytes]
    blobs, attributes, counts = await asyncio.gather(
        _blobs(call, git, wanted, max_bytes),
        _attributes(call, git, tree_sha, [entry.path for entry in entries]),
        git.run(call(_diff("--numstat", base_sha, tree_sha))),
    )
    for answer in (blobs, attributes, counts):
        if isinstance(answer, GitFailed):
            return answer
    assert not isinstance(blobs, GitFailed) and not isinstance(attributes, GitFailed)
    assert not isinstance(counts, GitFailed)
    insertions, deletions = _sum_counts(counts)
    return Changes(
        tuple(
            Change(
                path=entry.path,
                old_mode=entry.old_mode,
                new_mode=entry.new_mode,
                size=sizes.get(entry.new_sha, 0),
                old=blobs.get(entry.old_sha),
                new=blobs.get(entry.new_sha),
                attributes=attributes.get(entry.path, {}),
            )
            for entry in entries
        ),
        insertions,
        deletions,
    )


def _diff(kind: str, base_sha: str, tree_sha: str) -> list[str]:
    flags = ["-r", "-z", kind, "--no-renames", "--no-ext-diff", "--no-textconv", "--no-abbrev"]
    return ["diff-tree", *flags, "--end-of-options", base_sha, tree_sha]


def _parse_raw(raw: bytes) -> Iterator[_Entry]:
    fields = raw.split(b"\0")
    for head, path in zip(fields[0::2], fields[1::2], strict=False):
        old_mode, new_mode, old_sha, new_sha, _ = head.decode().lstrip(":").split(" ")
        yield _Entry(path.decode("utf-8", "surrogateescape"), old_mode, new_mode, old_sha, new_sha)


def _blob_names(entries: Sequence[_Entry]) -> list[str]:
    sides = [(e.old_mode, e.old_sha) for e in entries] + [(e.new_mode, e.new_sha) for e in entries]
    return sorted({sha for mode, sha in sides if mode not in (ABSENT, _GITLINK)})


async def _sizes(call: MakeCall, git: Git, entries: Sequence[_Entry]) -> dict[str, int] | GitFailed:
    names = _blob_names(entries)
    asked = replace(call(["cat-file", "--batch-check=%(objectname) %(objectsize)"]), stdin=_lines(names))
    answer = await git.run(asked)
    if isinstance(answer, GitFailed):
        return answer
    rows = [line.split(" ") for line in answer.decode().splitlines()]
    if len(rows) != len(names) or not all(row[1].isdigit() for row in rows):
        return GitFailed("other", "git does not have all objects of the change.")
    return {name: int(size) for name, size in rows}


async def _blobs(call: MakeCall, git: Git, names: Sequence[str], max_bytes: int) -> dict[str, bytes] | GitFailed:
    most = len(names) * (max_bytes + 256)
    asked = replace(call(["cat-file", "--batch=%(objectname) %(objectsize)"]), stdin=_lines(names), max_output=most)
    answer = await git.run(asked) if names else b""
    if isinstance(answer, GitFailed):
        return answer
    blobs: dict[str, bytes] = {}
    at = 0
    while at < len(answer):
        end = answer.index(b"\n", at)
        name, size = answer[at:end].decode().split(" ")
        at = end + 1 + int(size) + 1
        blobs[name] = answer[end + 1 : at - 1]
    return blobs


async def _attributes(
    call: MakeCall, git: Git, tree_sha: str, paths: Sequence[str]
) -> dict[str, Mapping[str, str]] | GitFailed:
    """git attributes of the changed paths as the new tree sets them, read through a private index."""
    loaded = await git.run(call(["read-tree", tree_sha]))
    if isinstance(loaded, GitFailed):
        return loaded
    names = b"".join(os.fsencode(path) + b"\0" for path in paths)
    asked = call(["check-attr", "--cached", "-z", "--stdin", *_ATTRIBUTES])
    answer = await git.run(replace(asked, stdin=names))
    if isinstance(answer, GitFailed):
        return answer
    fields = [part.decode("utf-8", "surrogateescape") for part in answer.split(b"\0")]
    found: dict[str, dict[str, str]] = {}
    for path, name, value in zip(fields[0::3], fields[1::3], fields[2::3], strict=False):
        if value != "unspecified":
            found.setdefault(path, {})[name] = value
    return dict(found)


def _sum_counts(numstat: bytes) -> tuple[int, int]:
    rows = [row.split(b"\t", 2) for row in numstat.split(b"\0") if row]
    counted = [(int(added), int(removed)) for added, removed, _ in rows if added != b"-"]
    return sum(row[0] for row in counted), sum(row[1] for row in counted)


def _lines(names: Sequence[str]) -> bytes:
    return "".join(name + "\n" for name in names).encode()
