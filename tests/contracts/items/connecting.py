"""Connections: items 12, 13, 14, 17, 18, 22, 26."""

import asyncio
import gc
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from bot.core.inbound import Command
from bot.ports import AuthFailed, Identity, NotAllowed
from tests.contracts.items.register import item
from tests.contracts.rig import Rig, Said

WISH: Final = "Add a CSV export to the report"
ROOT: Final = Path(__file__).parents[3]
Loss = Literal["clean", "abort", "blackhole", "server", "session"]


@item(12)
async def no_loss_of_a_connection_loses_or_doubles_anything(rig: Rig) -> None:
    app = await rig.start()
    losses: tuple[Loss, ...] = ("clean", "abort", "server", "session", "blackhole")
    said: list[Said] = []
    for number, how in enumerate(losses):
        said.append(rig.mention("ana", f"{WISH} before loss {number}"))
        opened = rig.connections_opened
        rig.drop(how)
        said.append(rig.mention("ana", f"{WISH} after loss {number}", "dev"))
        await rig.until(lambda: rig.webhook or rig.connections_opened > opened)  # noqa: B023
        await rig.until(lambda: app.platform.health().state == "ready")
    for _ in range(16):
        await rig.advance(timedelta(seconds=30))
        await rig.until(lambda: not rig.in_flight)
    await rig.settle(60)
    tasks = await app.tasks()
    assert len(tasks) == len(said)
    assert len({task.description for task in tasks}) == len(said)
    assert len(rig.posts) == len(said)


@item(12)
async def what_was_said_while_nobody_listened_is_read_later(rig: Rig) -> None:
    await rig.start()
    rig.mention("ana", f"{WISH} first", "dev")
    await rig.settle()
    await rig.stop()
    said = rig.mention("ana", f"{WISH} unheard", "dev")
    await rig.until(lambda: not rig.in_flight)
    app = await rig.start()
    late = rig.mention("bo", f"{WISH} heard at once", "dev")
    await rig.acked(*rig.deliveries(late))
    await rig.settle()
    await rig.backfill()
    await rig.settle()
    assert len(await app.tasks()) == 3
    for one in rig.redeliver(said):
        await rig.acked(one)
    await rig.settle()
    assert len(await app.tasks()) == 3


@item(13)
async def a_bad_setup_is_named_within_ten_seconds(rig: Rig) -> None:
    app = rig.make_platform(rig.settings())
    assert isinstance(await app.preflight(), Identity)
    await app.aclose()
    for setup in rig.bad_setups():
        setup.prepare()
        platform = rig.make_platform(rig.settings(**setup.change))
        began = time.monotonic()
        refused = await platform.preflight()
        assert time.monotonic() - began < 10, setup.name
        assert isinstance(refused, AuthFailed | NotAllowed), setup.name
        assert setup.says in refused.fix, (setup.name, refused.fix)
        await platform.aclose()
        setup.repair()


@item(13)
async def a_bad_setup_ends_the_process(rig: Rig) -> None:
    setup = rig.bad_setups()[0]
    app = await rig.start(**setup.change)
    fatal = await app.outcome()
    assert fatal is not None
    assert setup.says in fatal.fix
    assert len(rig.calls("any")) < 10, "no loop"


@item(14)
async def only_the_platforms_own_requests_come_in(rig: Rig) -> None:
    app = await rig.start()
    await rig.settle()
    cases = rig.requests()
    assert len(cases) >= 40
    before = await app.told()
    for case in cases:
        answer = await app.platform.receive("/webhooks/" + rig.platform_name, case.headers, case.body)
        assert answer.status == case.status, case.name
        assert b"Traceback" not in answer.body
    await rig.settle()
    if not rig.webhook:
        assert {case.status for case in cases} == {404}, "no door where none was opened, however well signed"
    assert await app.told() - before <= (2 if rig.webhook else 0), "a replay is one event"


@item(17)
async def nothing_is_left_after_stop_and_it_starts_again(rig: Rig) -> None:
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    for number in range(2):
        app = await rig.start()
        rig.mention("ana", f"{WISH} {number}")
        await rig.settle()
        rig.drop("server")
        began = time.monotonic()
        await rig.stop(app)
        assert time.monotonic() - began < 5
        await rig.until(lambda: rig.connections == 0)
        gc.collect()
        mine = [task for task in asyncio.all_tasks() - tasks if "web_protocol" not in repr(task)]
        assert mine == []
        left = [thread for thread in threading.enumerate() if thread not in threads]
        assert [thread.name for thread in left if not thread.name.startswith("asyncio_")] == []
    await rig.start()
    assert len(await rig.app.tasks()) == 2


@item(18)
async def two_replicas_handle_each_event_once(rig: Rig) -> None:
    first, second = await rig.start(), await rig.start()
    if not first.platform.capabilities.exclusive_ingress:
        await rig.until(lambda: rig.webhook or rig.connections == 2)
    said = [rig.mention("ana", f"{WISH} number {number}") for number in range(6)]
    for one in said:
        rig.redeliver(one)
    await rig.settle(60)
    assert len(await second.tasks()) == 6
    assert len(rig.posts) == 6
    assert len({post.text.split()[0] for post in rig.posts}) == 6
    await rig.stop(first)
    rig.mention("bo", f"{WISH} for the one that is left")
    await rig.settle(30)
    assert len(await second.tasks()) == 7
    assert len([event for event in await second.events() if isinstance(event, Command)]) == 7


def _python(program: str) -> str:
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@item(22)
async def a_missing_extra_is_named(rig: Rig) -> None:
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in rig.sdk_modules)
    told = await asyncio.to_thread(
        _python,
        f"import sys; {blocked}\n"
        "from platforms.registry import MissingExtra, create_platform\n"
        f"try: create_platform({rig.platform_name!r}, None, None)\n"
        "except MissingExtra as error: print(error)",
    )
    assert f"pip install {rig.extra}" in told


@item(22)
async def only_configured_platforms_are_imported(rig: Rig) -> None:
    loaded = await asyncio.to_thread(_python, "import bot.app, platforms.registry, sys; print(' '.join(sys.modules))")
    assert not set(rig.sdk_modules) & set(loaded.split())


@item(26)
async def deafness_is_noticed_and_nothing_is_missed(rig: Rig) -> None:
    if rig.webhook:
        await _unreachable(rig)
        return
    app = await rig.start()
    rig.mention("ana", f"{WISH} first", "dev")
    await rig.settle()
    rig.go_deaf()
    opened = rig.connections_opened
    rig.mention("ana", f"{WISH} unheard", "dev")
    rig.mention("bo", f"{WISH} in a channel that was quiet so far", "general")
    await rig.advance(timedelta(minutes=12))
    await rig.until(lambda: rig.connections_opened > opened)
    await rig.until(lambda: app.platform.health().state == "ready")
    await rig.settle()
    await rig.backfill()
    await rig.settle()
    texts = sorted(task.description for task in await app.tasks())
    assert texts == sorted([f"{WISH} first", f"{WISH} unheard", f"{WISH} in a channel that was quiet so far"])
    assert len(rig.posts) == 3


async def _unreachable(rig: Rig) -> None:
    """A webhook has no connection of ours that could be deaf and be built anew. What can happen is that the platform
    does not reach us and gives up in the end: the probe notices, the look back finds what was said, and nobody ends."""
    app = await rig.start()
    rig.mention("ana", f"{WISH} first", "dev")
    await rig.settle()
    with socket.create_server(("127.0.0.1", 0)) as found:
        closed = found.getsockname()[1]
    rig.use_webhook(closed)
    said = [rig.mention("ana", f"{WISH} unheard", "dev"), rig.mention("bo", f"{WISH} where it was quiet", "general")]
    await rig.until(lambda: all(one.attempts for what in said for one in rig.deliveries(what)))
    await rig.advance(timedelta(minutes=12))
    async with asyncio.timeout(30):
        while len(await app.tasks()) < 3 or await app.unfinished():
            await app.wait_for_change(0.02)
            await rig.advance(timedelta(seconds=1))
    for _ in range(12):
        await rig.advance(timedelta(hours=1))
    assert not any(one.acked for what in said for one in rig.deliveries(what))
    await rig.attach(app)
    said.append(rig.mention("bo", f"{WISH} when all is well", "general"))
    await rig.settle()
    assert app.platform.health().state == "ready"
    texts = {f"{WISH} first", f"{WISH} unheard", f"{WISH} where it was quiet", f"{WISH} when all is well"}
    assert {task.description for task in await app.tasks()} == texts
    assert len(rig.posts) == 4


@item(26)
async def three_deaf_connections_in_a_row_end_the_process(rig: Rig) -> None:
    if rig.webhook:
        return  # nothing of ours to build anew: see _unreachable
    app = await rig.start()
    rig.go_deaf(forever=True)
    for number in range(3):
        opened = rig.connections_opened
        rig.say("ana", f"is anybody there {number}", "dev")
        await rig.advance(timedelta(minutes=11))
        if number < 2:
            await rig.until(lambda: rig.connections_opened > opened)  # noqa: B023
            await rig.until(lambda: app.platform.health().state == "ready")
    fatal = await app.outcome()
    assert fatal is not None
    assert "no events" in fatal.why
