"""The gate: may this change be pushed? Pure; it judges a tree object's entries, never an agent's files.

Rules: refused beats needs approval beats allowed. A finding carries a code and values; texts are made elsewhere.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bot.core.patch_paths import PROTECTED_PATHS, fold_path, is_git_name, leaves_tree, matches_any
from bot.core.patch_text import (
    added_lines,
    changed_script_sections,
    decode_text,
    has_hidden_characters,
    looks_like_token,
    new_submodule_urls,
)

MAX_FILES: Final = 100
MAX_BYTES: Final = 4 * 1024 * 1024
FILE: Final = "100644"
EXECUTABLE: Final = "100755"
SYMLINK: Final = "120000"
ABSENT: Final = "000000"
_MODES: Final = frozenset({FILE, EXECUTABLE, SYMLINK, ABSENT})
_MOST_FINDINGS: Final = 50


@dataclass(frozen=True, slots=True)
class Change:
    """One changed entry of a tree. Modes are git's six digits, `000000` where the entry does not exist.

    `size` counts bytes of the new blob. Blobs are None where they do not exist, are gitlinks, or were not read because
    the change is over the limits anyway. `attributes` are git attributes of the new tree (`filter`, `diff`,
    `linguist-generated`)."""

    path: str
    old_mode: str
    new_mode: str
    size: int = 0
    old: bytes | None = None
    new: bytes | None = None
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What an installation protects. Patterns as in `bot.core.patch_paths.matches_any`."""

    protected: Sequence[str] = PROTECTED_PATHS
    max_files: int = MAX_FILES
    max_bytes: int = MAX_BYTES


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a person should know of a change. `code` is stable; `path`, `line` and `detail` say where and what."""

    code: str
    path: str = ""
    line: int | None = None
    detail: str = ""

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path}:{self.line}"
        return " ".join(part for part in (self.code.replace("_", " "), where, self.detail) if part)


@dataclass(frozen=True, slots=True)
class Allowed:
    """The change may be pushed; `flags` are shown on the card and in the pull request."""

    flags: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class NeedsApproval:
    """The push waits for an admin's word on exactly this tree, because of `reasons`."""

    reasons: tuple[Finding, ...]
    flags: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class RefusedChange:
    """The change is never pushed; nobody can approve it."""

    reason: Finding


Verdict = Allowed | NeedsApproval | RefusedChange


def judge(changes: Sequence[Change], policy: GatePolicy, secrets: Sequence[str] = ()) -> Verdict:
    """The verdict on a change. `secrets` are values known to us that must never leave (shorter than 6 are ignored)."""
    too_big = _over_limits(changes, policy)
    if too_big is not None:
        return RefusedChange(too_big)
    known = [secret.encode() for secret in secrets if len(secret) >= 6]
    for change in changes:
        refused = _refusal(change, known)
        if refused is not None:
            return RefusedChange(refused)
    flags = (*_twins(changes), *_collect(changes, _flags))
    reasons = _collect(changes, lambda change: _reasons(change, policy))
    return NeedsApproval(reasons, flags[:_MOST_FINDINGS]) if reasons else Allowed(flags[:_MOST_FINDINGS])


def _over_limits(changes: Sequence[Change], policy: GatePolicy) -> Finding | None:
    if len(changes) > policy.max_files:
        return Finding("too_many_files", detail=f"{len(changes)} > {policy.max_files}")
    total = sum(change.size for change in changes)
    if total > policy.max_bytes:
        return Finding("too_large", detail=f"{total} > {policy.max_bytes} bytes")
    return None


def _refusal(change: Change, secrets: Sequence[bytes]) -> Finding | None:
    if change.new_mode not in _MODES:
        return Finding("file_mode", change.path, detail=change.new_mode)
    if any(is_git_name(part) for part in change.path.split("/")):
        return Finding("nested_git", change.path)
    if change.attributes.get("filter") == "lfs":
        return Finding("lfs", change.path)
    if fold_path(change.path).rpartition("/")[2] == ".gitmodules" and new_submodule_urls(change.old, change.new):
        return Finding("submodule_url", change.path)
    path = change.path.encode("utf-8", "surrogateescape")
    if any(secret in path or (change.new is not None and secret in change.new) for secret in secrets):
        return Finding("known_secret", change.path)
    return None


def _reasons(change: Change, policy: GatePolicy) -> Iterable[Finding]:
    if matches_any(change.path, policy.protected):
        yield Finding("protected_path", change.path)
    for section in changed_script_sections(change.path, change.old, change.new):
        yield Finding("package_scripts", change.path, detail=section)
    if change.new_mode == SYMLINK and change.new is not None:
        target = change.new.decode("utf-8", "surrogateescape")
        if leaves_tree(change.path, target):
            yield Finding("symlink_out", change.path, detail=target[:200])
        return
    for number, line in _new_text(change):
        if looks_like_token(line):
            yield Finding("token_shaped", change.path, number)


def _flags(change: Change) -> Iterable[Finding]:
    if change.new_mode == EXECUTABLE != change.old_mode:
        yield Finding("new_executable", change.path)
    if has_hidden_characters(change.path):
        yield Finding("hidden_characters", change.path)
    if change.attributes.get("diff") == "unset" or change.attributes.get("linguist-generated") in ("set", "true"):
        yield Finding("hidden_diff", change.path)
    if change.new_mode == SYMLINK or change.new is None:
        return
    if decode_text(change.new) is None:
        yield Finding("binary", change.path)
    for number, line in _new_text(change):
        if has_hidden_characters(line):
            yield Finding("hidden_characters", change.path, number)


def _new_text(change: Change) -> Iterable[tuple[int, str]]:
    return added_lines(change.old, change.new) if change.new is not None else ()


def _twins(changes: Sequence[Change]) -> tuple[Finding, ...]:
    """Names that are one file on a case-insensitive disk."""
    seen: dict[str, str] = {}
    twins: list[Finding] = []
    for change in changes:
        if change.new_mode == ABSENT:
            continue
        folded = unicodedata.normalize("NFC", change.path).casefold()
        if folded in seen:
            twins.append(Finding("case_twins", change.path, detail=seen[folded]))
        seen.setdefault(folded, change.path)
    return tuple(twins)


def _collect(changes: Sequence[Change], find: Callable[[Change], Iterable[Finding]]) -> tuple[Finding, ...]:
    found: list[Finding] = []
    for change in changes:
        for finding in find(change):
            if len(found) == _MOST_FINDINGS:
                return tuple(found)
            found.append(finding)
    return tuple(found)
