"""The pages behind the demo's links: each pull request of the local forge with its diff and a button that merges it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import jinja2
from aiohttp import web

from bot.ports import ForgeRetry, ForgeTrouble, PullRequest, Repo
from bot.worker.forges.local import LocalForge
from bot.worker.forges.local_store import LocalPull

MAX_LINES: Final = 5_000
"""Lines of a diff that the page shows."""
MERGER: Final = "ana"
TRIES: Final = 5
_PATH: Final = r"/local/{alias}/pull/{number:[1-9]\d{0,8}}"
RowKind = Literal["add", "cut", "hunk", "same"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a diff: its sign and text, and its numbers in the old and the new file ("" where it is not in it)."""

    kind: RowKind
    sign: str
    text: str
    old: str = ""
    new: str = ""


@dataclass(frozen=True, slots=True)
class FileDiff:
    name: str
    rows: tuple[Row, ...]

    @property
    def added(self) -> int:
        return sum(row.kind == "add" for row in self.rows)

    @property
    def cut(self) -> int:
        return sum(row.kind == "cut" for row in self.rows)


@dataclass(slots=True)
class PullPages:
    """Shows and merges the pull requests of `forge` once it and its repository are known."""

    templates: jinja2.Environment
    forge: LocalForge | None = None
    repo: Repo | None = None

    def register(self, router: web.UrlDispatcher) -> None:
        """Adds the routes. Whoever serves them checks who is asking."""
        router.add_get(_PATH, self.show)
        router.add_post(_PATH + "/merge", self.merge)

    async def show(self, request: web.Request) -> web.Response:
        """One pull request, or 404."""
        return await self._page(request, "")

    async def merge(self, request: web.Request) -> web.Response:
        """Merges it for ana and shows it again; why it could not be merged stands on the page."""
        forge, repo, number = self._asked(request)
        merged = await merge_pull(forge, repo, number, MERGER)
        if isinstance(merged, PullRequest):
            return web.Response(status=303, headers={"Location": f"/local/{repo.alias}/pull/{number}"})
        return await self._page(request, str(getattr(merged, "say", "That did not work. Try again.")))

    async def _page(self, request: web.Request, trouble: str) -> web.Response:
        forge, repo, number = self._asked(request)
        pull = await forge.stored(repo, number)
        diff = await forge.diff(repo, number)
        if not isinstance(pull, LocalPull) or not isinstance(diff, str):
            raise web.HTTPNotFound
        text = self.templates.get_template("pull.html").render(
            pull=pull, repo=repo.alias, files=list(read_diff(diff)), trouble=trouble, merger=MERGER
        )
        return web.Response(status=409 if trouble else 200, text=text, content_type="text/html")

    def _asked(self, request: web.Request) -> tuple[LocalForge, Repo, int]:
        if self.forge is None or self.repo is None or request.match_info["alias"] != self.repo.alias:
            raise web.HTTPNotFound
        return self.forge, self.repo, int(request.match_info["number"])


async def merge_pull(forge: LocalForge, repo: Repo, number: int, by: str) -> PullRequest | ForgeTrouble:
    """Merges; tried again when another merge moved the base meanwhile."""
    merged = await forge.merge(repo, number, by)
    for _ in range(TRIES):
        if not isinstance(merged, ForgeRetry):
            break
        merged = await forge.merge(repo, number, by)
    return merged


def read_diff(diff: str) -> Iterator[FileDiff]:
    """The files of a unified diff, at most `MAX_LINES` lines in all; a last row says where it was cut."""
    name, rows = "", list[Row]()
    old = new = 0
    inside = False
    lines = diff.split("\n")
    for line in lines[:MAX_LINES]:
        if line.startswith("diff --git "):
            if name:
                yield FileDiff(name, tuple(rows))
            name, rows, inside = line.rpartition(" b/")[2], [], False
        elif line.startswith("@@"):
            old, new = _starts(line)
            inside = True
            rows.append(Row("hunk", "", line))
        elif not inside:
            continue
        elif line.startswith("+"):
            rows.append(Row("add", "+", line[1:], new=str(new)))
            new += 1
        elif line.startswith("-"):
            rows.append(Row("cut", "−", line[1:], old=str(old)))
            old += 1
        elif line.startswith(" "):
            rows.append(Row("same", "", line[1:], str(old), str(new)))
            old, new = old + 1, new + 1
    if len(lines) > MAX_LINES:
        rows.append(Row("hunk", "", f"… {len(lines) - MAX_LINES} lines more"))
    if name:
        yield FileDiff(name, tuple(rows))


def _starts(hunk: str) -> tuple[int, int]:
    """The first line numbers of `@@ -1,2 +3,4 @@`."""
    numbers = [word[1:].partition(",")[0] for word in hunk.split()[1:3]]
    old, new = (int(number) if number.isdigit() else 0 for number in [*numbers, "", ""][:2])
    return old, new
