"""The demo agent's table of recipes: what a request says -> which files are written, worked out from the code there.

A new recipe is one row of `RECIPES` and one function that reads the checkout. Standard library only.
"""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from bot.worker.agents.patches import NewContent

_MAX_SOURCE_BYTES = 200_000
_NOTE_CHARS = 2_000


@dataclass(frozen=True)
class Recipe:
    """`plan` returns the files to write, empty when the checkout is not what the recipe knows."""

    name: str
    pattern: re.Pattern[str]
    plan: Callable[[Path], list[NewContent]]
    done: str


def add_csv_export(root: Path) -> list[NewContent]:
    """`invoices/export.py` with `to_csv(lines)` and its test, with the columns that `total` in `report.py` works on."""
    source = _read(root, "invoices/report.py")
    columns, by_key = _line_fields(source)
    if not columns:
        return []
    fields = ", ".join(f'"{name}"' for name in columns) + ("," if len(columns) == 1 else "")
    cell = "line[name]" if by_key else "getattr(line, name)"
    export = f'''"""Invoice lines as CSV."""

import csv
import io

COLUMNS = ({fields})


def to_csv(lines):
    """The lines as CSV text: a header, then one row for each line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\\n")
    writer.writerow(COLUMNS)
    for line in lines:
        writer.writerow([{cell} for name in COLUMNS])
    return out.getvalue()
'''
    return [NewContent("invoices/export.py", export), NewContent("tests/test_export.py", _export_test(columns, by_key))]


def _export_test(columns: list[str], by_key: bool) -> str:
    values = {name: str(2 + index) for index, name in enumerate(columns)}
    pairs = ", ".join(f'"{k}": {v}' if by_key else f"{k}={v}" for k, v in values.items())
    line = f"{{{pairs}}}" if by_key else f"SimpleNamespace({pairs})"
    expected = ",".join(columns) + "\\n" + ",".join(values.values()) + "\\n"
    extra = "" if by_key else "from types import SimpleNamespace\n"
    return f'''import unittest
{extra}
from invoices.export import to_csv


class ExportTest(unittest.TestCase):
    def test_one_row_for_each_line(self):
        line = {line}
        self.assertEqual(to_csv([line]), "{expected}")

    def test_no_lines_leave_only_the_header(self):
        self.assertEqual(to_csv([]), "{",".join(columns)}\\n")


if __name__ == "__main__":
    unittest.main()
'''


def change_greeting(root: Path) -> list[NewContent]:
    """Every "Hello" in a string of the package becomes "Welcome", in the first file that has one."""
    for path in sorted(root.glob("*/*.py")) + sorted(root.glob("*.py")):
        name = path.relative_to(root).as_posix()
        source = _read(root, name)
        changed = re.sub(r"""(?<=["'])(Hello|Hi|Good day)\b""", "Welcome", source)
        if changed != source and not name.startswith("tests/"):
            return [NewContent(name, changed), *_in_tests(root)]
    return []


def _in_tests(root: Path) -> list[NewContent]:
    edits: list[NewContent] = []
    for path in sorted(root.glob("tests/*.py")):
        name = path.relative_to(root).as_posix()
        source = _read(root, name)
        changed = re.sub(r"""(?<=["'])(Hello|Hi|Good day)\b""", "Welcome", source)
        if changed != source:
            edits.append(NewContent(name, changed))
    return edits


def add_reminder(root: Path) -> list[NewContent]:
    """`reminder(name, days)` at the end of `invoices/letter.py`, with a test in a file of its own."""
    source = _read(root, "invoices/letter.py")
    if not source or "def reminder(" in source:
        return []
    added = '''

def reminder(name, days):
    """The letter for an invoice that is overdue by so many days."""
    late = "1 day" if days == 1 else f"{days} days"
    return f"Dear {name}, your invoice is {late} overdue."
'''
    test = """import unittest

from invoices.letter import reminder


class ReminderTest(unittest.TestCase):
    def test_it_names_the_customer_and_the_delay(self):
        self.assertEqual(reminder("Ana", 3), "Dear Ana, your invoice is 3 days overdue.")

    def test_one_day_is_no_plural(self):
        self.assertIn("1 day overdue", reminder("Ana", 1))


if __name__ == "__main__":
    unittest.main()
"""
    return [
        NewContent("invoices/letter.py", source.rstrip("\n") + "\n" + added),
        NewContent("tests/test_reminder.py", test),
    ]


def add_note(root: Path, request: str) -> list[NewContent]:
    """The request as a file of its own below notes/, so that two requests never change the same lines."""
    entry = " ".join(request.split())[:_NOTE_CHARS] or "(an empty request)"
    words = "-".join(re.findall(r"[a-z0-9]+", entry.lower())[:6])[:40].strip("-") or "note"
    name = f"notes/{words}-{sha256(entry.encode()).hexdigest()[:6]}.md"
    return [] if _read(root, name) else [NewContent(name, f"{entry}\n")]


RECIPES = (
    Recipe(
        "csv",
        re.compile(r"\bcsv\b", re.I),
        add_csv_export,
        "Added invoices/export.py with to_csv(lines), and tests for it.",
    ),
    Recipe(
        "greeting",
        re.compile(r"\b(greet(ing)?|welcome|hello)\b", re.I),
        change_greeting,
        "Changed the greeting to Welcome.",
    ),
    Recipe(
        "reminder",
        re.compile(r"\breminder letters?\b", re.I),
        add_reminder,
        "Added reminder(name, days) to invoices/letter.py, and tests for it.",
    ),
)


def _line_fields(source: str) -> tuple[list[str], bool]:
    """The fields of a line that `total(lines)` reads, and whether they are keys (else attributes)."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return [], False
    total = next((n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "total"), None)
    if total is None or not total.args.args:
        return [], False
    loops = [n for n in ast.walk(total) if isinstance(n, ast.For | ast.comprehension)]
    names = {n.target.id for n in loops if isinstance(n.target, ast.Name)}
    keys: list[str] = []
    attributes: list[str] = []
    for node in ast.walk(total):
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))) if name in names:
                keys.append(key)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in names:
                attributes.append(attribute)
            case _:
                pass
    found = keys or attributes
    return [field for field in dict.fromkeys(found) if field.isidentifier()], bool(keys)


def _read(root: Path, name: str) -> str:
    """A file's text, or "" when it is not an ordinary file of a sane size inside the checkout."""
    path = root / name
    try:
        inside = path.resolve().is_relative_to(root.resolve())
        if not inside or not path.is_file() or path.stat().st_size > _MAX_SOURCE_BYTES:
            return ""
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
