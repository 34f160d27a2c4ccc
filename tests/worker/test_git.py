"""How git is started on the host: arguments, environment, limits, and what its failures mean."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.branches import is_branch
from bot.ports import GitAccess
from bot.worker.git import (
    MIN_VERSION,
    Git,
    GitCall,
    GitFailed,
    explain,
    flags_as_env,
    is_sha,
    protocol_of,
)
from tests.faults.corpus.trap import Listener, serve

TOKEN = "Basic Y2FuYXJ5OmNhbmFyeS10b2tlbg=="


@pytest.fixture
def git_dir(tmp_path: Path) -> Path:
    return tmp_path / "repo.git"


@pytest.fixture
async def git(tmp_path: Path, git_dir: Path) -> Git:
    home = tmp_path / "home"
    home.mkdir()
    made = Git(home)
    assert await made.run(GitCall(["init", "-q", "--bare", "--template=", "--", os.fspath(git_dir)], git_dir)) == b""
    return made


@pytest.fixture
async def server() -> AsyncIterator[Listener]:
    """Answers 403 to everything."""
    listener = Listener()
    async with serve(listener.answer) as port:
        listener.url = f"http://127.0.0.1:{port}/x.git"
        yield listener


@pytest.fixture
def spy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a `git` first in the path that writes down how it was called."""
    folder = tmp_path / "spy"
    folder.mkdir()
    script = folder / "git"
    script.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {folder}/argv\nenv > {folder}/env\npwd > {folder}/cwd\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


async def test_version_is_known_and_new_enough(git: Git) -> None:
    version = await git.version()
    assert version is not None
    assert version[:2] >= MIN_VERSION


async def test_environment_is_built_from_nothing(tmp_path: Path, spy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "canary")
    monkeypatch.setenv("GIT_SSH_COMMAND", "canary")
    monkeypatch.setenv("HTTPS_PROXY", "http://canary")
    await Git(tmp_path).run(GitCall(["status"], tmp_path / "g"))
    env = dict(line.split("=", 1) for line in (spy / "env").read_text().splitlines() if "=" in line)
    assert "canary" not in (spy / "env").read_text()
    assert env["GIT_DIR"] == os.fspath(tmp_path / "g")
    assert env["HOME"] == os.fspath(tmp_path)
    assert env["GIT_ALLOW_PROTOCOL"] == "none"
    assert env["GIT_CONFIG_GLOBAL"] == "/dev/null"
    assert (spy / "cwd").read_text().strip() == "/"
    argv = (spy / "argv").read_text().splitlines()
    assert {"core.hooksPath=/dev/null", "protocol.allow=never", "credential.helper=", "http.proxy="} <= set(argv)


async def test_a_credential_is_in_the_environment_of_one_call_and_nowhere_else(tmp_path: Path, spy: Path) -> None:
    access = GitAccess(authorization=TOKEN)
    call = GitCall(["ls-remote"], tmp_path / "g", url="https://forge.example:8443/o/r.git", access=access)
    await Git(tmp_path).run(call)
    env = (spy / "env").read_text()
    assert "GIT_CONFIG_KEY_0=http.https://forge.example:8443/.extraHeader" in env
    assert f"GIT_CONFIG_VALUE_0=Authorization: {TOKEN}" in env
    assert "GIT_ALLOW_PROTOCOL=https" in env
    assert "Y2Fu" not in (spy / "argv").read_text()
    assert "Y2Fu" not in repr(call)
    await Git(tmp_path).run(replace(call, url="file:///x"))
    assert "Y2Fu" not in (spy / "env").read_text()


async def test_an_ssh_key_gets_a_fixed_command(tmp_path: Path, spy: Path) -> None:
    access = GitAccess(ssh_key=tmp_path / "my key")
    await Git(tmp_path).run(GitCall(["fetch"], tmp_path, url="ssh://git@forge.example/o/r.git", access=access))
    env = (spy / "env").read_text()
    assert f"GIT_SSH_COMMAND=ssh -F /dev/null -i '{tmp_path}/my key' -o IdentitiesOnly=yes -o BatchMode=yes" in env
    assert "GIT_ALLOW_PROTOCOL=ssh" in env


def texts_below(folder: Path) -> list[str]:
    return [path.read_text("latin-1") for path in folder.rglob("*") if path.is_file()]


async def test_a_refused_credential_is_auth_and_never_shown(git: Git, git_dir: Path, server: Listener) -> None:
    call = GitCall(
        ["ls-remote", "--end-of-options", server.url], git_dir, url=server.url, access=GitAccess(authorization=TOKEN)
    )
    failed = await git.run(call)
    assert isinstance(failed, GitFailed)
    assert failed.kind == "auth"
    assert TOKEN.split()[1] not in failed.say
    assert TOKEN.encode() in server.heard[0]
    assert not any(TOKEN.split()[1] in text for text in texts_below(git_dir))


async def test_a_silent_server_is_a_timeout(git: Git, git_dir: Path) -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serve(hold) as port:
        url = f"http://127.0.0.1:{port}/x.git"
        call = GitCall(["ls-remote", url], git_dir, url=url, limit=timedelta(milliseconds=300))
        failed = await git.run(call)
    assert isinstance(failed, GitFailed)
    assert failed.kind == "timeout"
    assert failed.passing


async def test_no_server_is_network(git: Git, git_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/x.git"
    failed = await git.run(GitCall(["ls-remote", url], git_dir, url=url))
    assert isinstance(failed, GitFailed)
    assert failed.kind == "network"


async def test_too_much_output_ends_the_call(git: Git, git_dir: Path) -> None:
    failed = await git.run(GitCall(["help", "--all"], git_dir, max_output=100))
    assert isinstance(failed, GitFailed)
    assert "more than it may" in failed.say


async def test_large_input_and_output_do_not_block_each_other(git: Git, git_dir: Path) -> None:
    names = "".join(f"{number:040x}\n" for number in range(30_000)).encode()
    answer = await git.run(GitCall(["cat-file", "--batch-check"], git_dir, stdin=names))
    assert isinstance(answer, bytes)
    assert answer.count(b" missing\n") == 30_000


async def test_a_cancelled_call_leaves_no_process(git: Git, git_dir: Path) -> None:
    heard = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set()
        await reader.read()
        ended.set()

    ended = asyncio.Event()
    async with serve(hold) as port:
        url = f"http://127.0.0.1:{port}/x.git"
        call = asyncio.create_task(git.run(GitCall(["ls-remote", url], git_dir, url=url)))
        await heard.wait()
        call.cancel()
        async with asyncio.timeout(10):
            assert isinstance((await asyncio.gather(call, return_exceptions=True))[0], asyncio.CancelledError)
            await ended.wait()


@pytest.mark.parametrize(
    ("url", "protocol"),
    [
        ("https://github.com/o/r.git", "https"),
        ("http://127.0.0.1:8080/r.git", "http"),
        ("http://localhost/r.git", "http"),
        ("http://[::1]:1/r.git", "http"),
        ("file:///srv/r.git", "file"),
        ("ssh://git@github.com/o/r.git", "ssh"),
    ],
)
def test_urls_that_are_accepted(url: str, protocol: str) -> None:
    assert protocol_of(url) == protocol


BAD_URLS = [
    "", "r.git", "/srv/r.git", "../r", "-u", "--upload-pack=touch pwn", "ext::sh -c touch% pwn", "http://evil.example/r",
    "git://github.com/o/r", "https://user:pw@github.com/o/r", "https://tok@github.com/o/r", "file://host/r", "ftp://x/y",
    "ssh://-oProxyCommand=touch/x", "https://github.com/o/r\n", "https://[bad", "fd::17", "ssh://git:pw@h/x",
    "git@github.com:o/r.git", "https://github.com/o r",
]  # fmt: skip


@pytest.mark.parametrize("url", BAD_URLS)
async def test_urls_that_are_refused_start_nothing(url: str, tmp_path: Path, spy: Path) -> None:
    assert isinstance(protocol_of(url), GitFailed)
    if url:
        assert isinstance(await Git(tmp_path).run(GitCall(["fetch", url], tmp_path, url=url)), GitFailed)
    assert not (spy / "argv").exists()


BAD_BRANCHES = [
    "", "-x", "--upload-pack=touch pwn", "a..b", "a:b", "+a", "a b", "a~1", "a^", "a?", "a*", "a[", "a\\b", "/a", "a/",
    "a//b", ".a", "a/.b", "a.lock", "a/b.lock/c", "a.", "@{x}", "@", "a\n", "a\0", "é", "a/-b", "x" * 300,
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_BRANCHES)
def test_branch_names_that_are_refused(name: str) -> None:
    assert not is_branch(name)


@pytest.mark.parametrize(
    "name", ["main", "code-worker/CT-42", "code-worker/CT-42-2", "release/1.2", "feature_x", "a.b"]
)
async def test_branch_names_that_are_accepted_are_valid_to_git(name: str, git: Git, git_dir: Path) -> None:
    assert is_branch(name)
    assert await git.run(GitCall(["check-ref-format", "--branch", name], git_dir)) == name.encode() + b"\n"


def test_object_names() -> None:
    assert is_sha("a" * 40) and is_sha("0" * 64)
    assert not any(is_sha(text) for text in ("", "a" * 39, "A" * 40, "a" * 40 + "\n", "--exec=x", "HEAD"))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("fatal: unable to access 'https://h/': Could not resolve host: h", "network"),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 503", "network"),
        ("error: RPC failed; curl 56 Recv failure: Connection reset by peer", "network"),
        ("fatal: the remote end hung up unexpectedly", "network"),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 429", "network"),
        ("fatal: Authentication failed for 'https://h/'", "auth"),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", "auth"),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 403", "auth"),
        ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", "auth"),
        ("remote: Repository not found.\nfatal: repository 'https://h/' not found", "not_found"),
        ("fatal: couldn't find remote ref refs/heads/nope", "not_found"),
        ("fatal: something nobody has seen", "other"),
        ("", "other"),
    ],
)
def test_what_failures_mean(said: str, kind: str) -> None:
    assert explain("fetch", 128, said.encode()).kind == kind


def test_failure_texts_hold_no_credentials_and_are_short() -> None:
    said = f"fatal: https://bob:pw123456@h/ said {TOKEN} " + "x" * 2_000
    failed = explain("fetch", 128, said.encode(), GitAccess(authorization=TOKEN))
    assert "pw123456" not in failed.say
    assert TOKEN.split()[1] not in failed.say
    assert len(failed.say) < 400


def test_a_rejected_push_is_rejected() -> None:
    said = b"To https://h/\n!\tabc:refs/heads/x\t[remote rejected] (protected branch hook declined)\nDone\n"
    assert explain("push", 1, said).kind == "rejected"


def test_configuration_rows_as_environment() -> None:
    assert flags_as_env([("a.b", "c")]) == {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "a.b",
        "GIT_CONFIG_VALUE_0": "c",
    }
