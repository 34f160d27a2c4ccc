"""How an agent's process is brought to its end: politely first, and in any case completely."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

from bot.ports import SandboxProcess

STEP_S = 2.0
"""How long each polite step may take. Source: the cancel ladder of the agents design."""


async def ends_within(work: Awaitable[object], limit_s: float) -> bool:
    """Whether `work` ended, well or badly, within the limit. It is cancelled and awaited otherwise."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=limit_s)
    if not done:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task
    return bool(done)


async def end_process(process: SandboxProcess, *, hurry: bool = False, interrupt: bool = False) -> int | None:
    """Closes stdin, then SIGTERM, each with 2 s, then kills the sandbox. Returns the exit code; nothing is left then.

    `hurry` skips the polite steps; `interrupt` sends SIGINT with the closed stdin."""
    with contextlib.suppress(OSError):
        process.stdin.close()
    if interrupt:
        process.interrupt()
    if not hurry and not await ends_within(process.wait(), STEP_S):
        process.terminate()
        await ends_within(process.wait(), STEP_S)
    code = process.returncode
    await process.kill()
    with contextlib.suppress(OSError):
        await process.stdin.wait_closed()
    return code if code is not None else process.returncode
