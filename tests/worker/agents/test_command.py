"""The `command` agent: an argv template, the prompt on stdin or in a file, never through a shell."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from bot.ports import Output, Sandbox, Started
from bot.worker.agents.command import CommandAgent
from bot.worker.gateway import Gateway
from bot.worker.sandbox import NoSandbox
from tests.simulators.model import KEY, ModelServer, Scene, Step
from tests.worker.agents.harness import Ended, processes_of, read_out, short, spec_for

PYTHON = str(Path(sys.executable).resolve())
NASTY = "-rf $(touch pwned) `touch pwned` \"'; touch pwned\n--version\n"


async def run_command(argv: list[str], checkout: Path, prompt: str = NASTY, sandbox: Sandbox | None = None) -> Ended:
    spec = spec_for(sandbox or NoSandbox(), checkout, prompt, limits=short(idle=30, wall=30))
    ended = await read_out(await CommandAgent(argv).start(spec))
    assert processes_of(spec.run) == []
    return ended


async def test_the_prompt_comes_on_stdin(sandbox: Sandbox, checkout: Path) -> None:
    ended = await run_command(["/bin/sh", "-c", "cat > got.txt; echo done"], checkout, sandbox=sandbox)
    assert (checkout / "got.txt").read_text() == NASTY
    assert ended.result.stop == "completed" and ended.result.exit_code == 0
    assert ended.events == [Started(None, "command"), Output("done")]


async def test_the_prompt_comes_in_a_file(sandbox: Sandbox, checkout: Path) -> None:
    argv = ["/bin/cp", "--", "{prompt_file}", "got file.txt"]
    ended = await run_command(argv, checkout, sandbox=sandbox)
    assert ended.result.stop == "completed", ended.result
    assert (checkout / "got file.txt").read_text() == NASTY
    assert not (checkout / "pwned").exists()


async def test_words_of_the_template_are_never_shell(checkout: Path) -> None:
    script = "import sys; print(sys.argv[1:-1])"
    ended = await run_command([PYTHON, "-c", script, "a b", "$HOME;*", "", "{prompt_file}"], checkout)
    assert ended.events[1:] == [Output("['a b', '$HOME;*', '']")]


ASK = """
import json, os, urllib.request
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
body = {"model": os.environ["LLM_MODEL"], "messages": [{"role": "user", "content": "hello"}], "tools": TOOLS}
headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}
request = urllib.request.Request(url, json.dumps(body).encode(), headers)
print(json.load(urllib.request.urlopen(request, timeout=20))["choices"][0]["message"]["content"])
""".replace("TOOLS", '[{"type": "function", "function": {"name": "write"}}]')


async def test_the_model_is_reached_from_inside_and_the_real_key_is_not(
    sandbox: Sandbox, checkout: Path, gateway: Gateway, model: ModelServer, sockets: Path
) -> None:
    model.scenes.append(Scene("hello", [Step("Hello from the model.")]))
    run = await gateway.open_run("r1", None, sockets, loopback=not sandbox.isolates)
    who = "*" if sandbox.isolates else "self"
    script = ASK + f"\nimport glob\nfor p in glob.glob('/proc/{who}/environ') + glob.glob('/proc/{who}/cmdline'):\n"
    script += "    try: open('seen', 'ab').write(open(p, 'rb').read())\n    except OSError: pass\n"
    spec = spec_for(sandbox, checkout, "", binds=[run.bind], model=run.endpoint)
    ended = await read_out(await CommandAgent([PYTHON, "-I", "-c", script]).start(spec))
    assert ended.events[1:] == [Output("Hello from the model.")], ended.result
    assert run.usage().tokens.total == model.tokens == 1050
    seen = (checkout / "seen").read_bytes()
    assert run.endpoint.key.encode() in seen and KEY.encode() not in seen
    assert processes_of(spec.run) == []


async def test_a_failing_command_keeps_its_code_and_stderr(checkout: Path) -> None:
    ended = await run_command(["/bin/sh", "-c", "echo 'HTTP 401 unauthorized' >&2; exit 4"], checkout)
    assert (ended.result.stop, ended.result.cause, ended.result.exit_code) == ("failed", "auth", 4)
    assert "401" in ended.result.stderr_tail


@pytest.mark.parametrize("argv", [["no-such-program-at-all"], ["--version"]])
async def test_a_wrong_program_is_a_config_result(argv: list[str], checkout: Path) -> None:
    ended = await run_command(argv, checkout)
    assert (ended.result.stop, ended.result.cause) == ("failed", "config")
    info = await CommandAgent(argv).check(NoSandbox())
    assert info.problem == ended.result.text


async def test_a_cancel_takes_everything_along(sandbox: Sandbox, checkout: Path) -> None:
    argv = ["/bin/sh", "-c", "trap '' INT TERM; setsid sleep 777 & echo up; while :; do sleep 776; done"]
    spec = spec_for(sandbox, checkout, "x")
    run = await CommandAgent(argv).start(spec)
    async with asyncio.timeout(20):
        async for event in run.events:
            if isinstance(event, Output):
                break
    assert processes_of(spec.run)
    await run.cancel()
    assert (await run.result()).stop == "cancelled"
    assert processes_of(spec.run) == []


async def test_silence_and_the_wall_end_it(checkout: Path) -> None:
    spec = spec_for(NoSandbox(), checkout, "x", limits=short(idle=0.3))
    assert (await read_out(await CommandAgent(["/bin/sleep", "60"]).start(spec))).result.stop == "idle"
    spec = spec_for(NoSandbox(), checkout, "x", limits=short(wall=0.5))
    argv = ["/bin/sh", "-c", "while :; do echo x; sleep 0.05; done"]
    assert (await read_out(await CommandAgent(argv).start(spec))).result.stop == "timed_out"
    assert processes_of(spec.run) == []


async def test_a_line_without_end_arrives_in_pieces(checkout: Path) -> None:
    ended = await run_command(["/bin/sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"], checkout)
    outputs = [e for e in ended.events if isinstance(e, Output)]
    assert outputs and all(len(e.text) <= 4000 for e in outputs)
    assert ended.result.stop == "completed"
