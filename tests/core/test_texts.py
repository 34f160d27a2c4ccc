"""The texts: complete, used, well formed; the code asks only for what exists, with what it needs."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.core.texts import TextError, Texts

ROOT = Path(__file__).parents[2]
TEXTS = Texts.load()
AWAITED = frozenset(
    [
        "cli.confirm_cancel",
        "cli.missing_variable",
        "cli.unreachable",
        "error.short_version",
        "refused.no_worker",
        "refused.not_in_channel",
        "refused.stale_button",
        "reply.filed",
    ]
)
"""Keys written ahead of the code that will say them. Take a key off when it is said."""

CALLS = {"say": 0, "say_doc": 1, "say_markdown": 1, "Refused": 0, "Word": 0, "_say": 2}
"""Functions that take a key, and at which position."""


@dataclass(frozen=True)
class Use:
    where: str
    key: str
    given: frozenset[str] | None
    """Placeholders given, None when they are not written out."""


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for folder in ("bot", "platforms", "storage"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text("utf-8"))


def name_of(call: ast.Call) -> str:
    match call.func:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def given_to(call: ast.Call) -> frozenset[str] | None:
    if name_of(call) in ("Refused", "Word"):
        values = call.args[1] if len(call.args) > 1 else ast.Dict([], [])
        if not isinstance(values, ast.Dict) or not all(isinstance(key, ast.Constant) for key in values.keys):
            return None
        return frozenset(str(key.value) for key in values.keys if isinstance(key, ast.Constant))
    names = [keyword.arg for keyword in call.keywords]
    return None if None in names else frozenset(name for name in names if name)


def uses() -> Iterator[Use]:
    for path, tree in sources():
        for node in ast.walk(tree):
            at = CALLS.get(name_of(node), -1) if isinstance(node, ast.Call) else -1
            if isinstance(node, ast.Call) and 0 <= at < len(node.args):
                key = node.args[at]
                dotted = isinstance(key, ast.Constant) and re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", str(key.value))
                if isinstance(key, ast.Constant) and (dotted or str(key.value) in TEXTS.known):
                    yield Use(f"{path}:{node.lineno}", str(key.value), given_to(node))


def mentioned() -> frozenset[str]:
    """Keys that stand in the code as a string, or that an f-string there can make."""
    literals: set[str] = set()
    patterns: set[str] = set()
    for _, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                literals.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [re.escape(part.value) if isinstance(part, ast.Constant) else "[a-z_]+" for part in node.values]
                pattern = "".join(str(part) for part in parts)
                if re.match(r"[a-z_]+\\\.", pattern) or pattern.endswith("_nobody"):
                    patterns.add(pattern.replace("[a-z_]+_nobody", "[a-z_.]+_nobody"))
    made = {key for key in TEXTS.known for pattern in patterns if re.fullmatch(pattern, key)}
    return frozenset(literals | made)


def test_every_text_that_code_asks_for_exists_and_gets_its_placeholders() -> None:
    found = list(uses())
    assert len(found) > 100
    for use in found:
        assert use.key in TEXTS.known, use
        assert use.given is None or use.given == TEXTS.placeholders(use.key), use


def test_no_text_is_unused() -> None:
    read_back = {key for key in TEXTS.known if key.split(".")[0] in ("stored", "finding", "fix")}
    unused = TEXTS.known - mentioned() - read_back
    assert sorted(unused - AWAITED) == []
    assert TEXTS.known >= AWAITED


def forms() -> Iterator[tuple[str, str]]:
    for key, entry in TEXTS.entries.items():
        for form in [entry] if isinstance(entry, str) else entry.values():
            yield key, form


def test_the_style_of_the_texts() -> None:
    for key, text in forms():
        assert text, key
        assert text == text.strip(), key
        assert "!" not in text, key
        assert not re.search(r"\b(?:above|below|left|right)\b", text), f"directional words in {key}"
        for sentence in re.split(r"(?<=[.?;:])\s+", text):
            assert len(sentence.split()) <= 20 or key == "fix.discord_invite", f"{key}: {sentence}"


def test_plural_forms_agree() -> None:
    for key, entry in TEXTS.entries.items():
        if not isinstance(entry, str):
            assert {"one", "other"} <= set(entry), key
            names = {frozenset(re.findall(r"\{(\w+)\}", form)) for form in entry.values()}
            assert len(names) == 1, key


def test_saying() -> None:
    assert TEXTS.say("refused.too_long", n=9000).endswith("(yours: 9000). Nothing was filed.")
    assert TEXTS.say("reply.hidden", n=1).startswith("I removed 1 invisible character from")
    assert TEXTS.say("reply.hidden", n=2).startswith("I removed 2 invisible characters from")
    assert [TEXTS.say("place", n=n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th",
    ]  # fmt: skip


def test_values_are_not_read_as_placeholders() -> None:
    assert TEXTS.say("refused.stale_button", ref="{stage}", stage="{ref}") == "{stage} is already {ref}."


def test_bugs_of_the_caller_raise() -> None:
    with pytest.raises(TextError):
        TEXTS.say("no.such_text")
    with pytest.raises(TextError):
        TEXTS.say("refused.stale_button", ref="CT-1")
    with pytest.raises(TextError):
        TEXTS.say("reply.hidden")


def test_a_language_falls_back_to_english_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "en.toml").write_text('a = "one"\n[b]\nc = "two {n}"\n')
    (tmp_path / "zh.toml").write_text('a = "一"\n')
    chinese = Texts.load("zh-CN", tmp_path)
    assert (chinese.language, chinese.say("a"), chinese.say("b.c", n=2)) == ("zh", "一", "two 2")
    assert Texts.load("fr", tmp_path).say("a") == "one"
    assert Texts.load("../../etc/passwd", tmp_path).language == "en"
