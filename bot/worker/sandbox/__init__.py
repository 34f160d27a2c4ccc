"""Ways to fence a process in: one file per kind, all with the shape of `bot.ports.Sandbox`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bot.ports import Sandbox, SandboxRefused
from bot.worker.sandbox.bubblewrap import BubblewrapSandbox
from bot.worker.sandbox.none import NoSandbox
from bot.worker.sandbox.refusals import refuse

Factory = Callable[[Sequence[Path], Sequence[Path]], Sandbox]

KINDS: Final[Mapping[str, Factory]] = MappingProxyType(
    {
        "bubblewrap": lambda tools, hidden: BubblewrapSandbox(tools, hidden=hidden),
        "none": lambda tools, hidden: NoSandbox(),
    }
)
LADDER: Final = ("bubblewrap",)
"""What `auto` tries, strongest first. `none` is never chosen by itself."""

NOT_YET: Final = frozenset({"docker", "kubernetes", "srt", "landlock"})


async def choose_sandbox(
    kind: str, *, tools: Sequence[Path] = (), hidden: Sequence[Path] = ()
) -> Sandbox | SandboxRefused:
    """The sandbox that SANDBOX=`kind` names, after its live self-test; `auto` takes the strongest that passes.

    `tools` are extra folders that processes may read at the same path (a Node installation, a virtual environment).
    `hidden` are host folders that the self-test must not find inside (the workspace root)."""
    if kind in NOT_YET:
        return refuse("sandbox.unavailable", kind=kind)
    names = LADDER if kind == "auto" else (kind,)
    refused = refuse("sandbox.unknown", kind=kind)
    for name in names:
        factory = KINDS.get(name)
        if factory is None:
            continue
        sandbox = factory(tools, hidden)
        answer = await sandbox.self_test()
        if answer is None:
            return sandbox
        refused = answer
    return refused
