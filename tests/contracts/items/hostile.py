"""Payloads that no platform sends: item 32."""

import copy
import gc
import json
import random
import tracemalloc
from typing import Any, Final

from tests.contracts.items.register import item
from tests.contracts.rig import Rig

ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    2**70,
    1.5,
    float("inf"),
    "",
    "\x00",
    "\ud800",
    "𝕏" * 300,
    "<!channel>",
    "1e999",
    [],
    [[]],
    {},
    {"": {}},
    [None] * 50,
)
FUZZ, FUZZ_LONG = 300, 10_000
"""Mutated payloads per rig: some hundreds, and in the long check thousands more whose memory is measured (F25)."""
MEMORY_PER_PAYLOAD: Final = 600
"""Bytes that may stay behind per payload, on average (ours): caches fill, nothing grows with every event."""


def _mutate(payload: Any, dice: random.Random) -> Any:
    """A copy in which one to four values were removed, replaced by something odd, or put elsewhere."""
    changed = json.loads(json.dumps(payload))
    for _ in range(dice.randint(1, 4)):
        holder: Any = changed
        for _ in range(dice.randint(0, 4)):
            inner = [one for one in (holder.values() if isinstance(holder, dict) else holder) if _is_full(one)]
            if not inner:
                break
            holder = dice.choice(inner)
        keys = sorted(holder) if isinstance(holder, dict) else range(len(holder))
        if not len(keys):
            break
        key = dice.choice(keys)
        if isinstance(holder, dict) and dice.random() < 0.4:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(dice.choice(ODD))
    return changed


def _is_full(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


async def _play(rig: Rig, times: int) -> None:
    app = await rig.start()
    await rig.settle()
    dice = random.Random(20_260_306)
    samples = rig.samples()
    for _ in range(FUZZ):
        assert await rig.inject(app, _mutate(dice.choice(samples), dice)) in (True, False)
    if times > FUZZ:
        payloads = [_mutate(dice.choice(samples), dice) for _ in range(times)]
        assert await _grown(rig, payloads) < MEMORY_PER_PAYLOAD * times
    await app.app.inbox.drain()
    assert app.platform.health().state == "ready"
    said = rig.mention("ana", "Add a CSV export to the report", "dev")
    await rig.acked(*rig.deliveries(said))


async def _grown(rig: Rig, payloads: list[Any]) -> int:
    """Bytes that are held longer than the payloads; counting them takes three times as long as handling them."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for payload in payloads:
            await rig.inject(rig.app, payload)
        await rig.app.app.inbox.drain()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before - 2_000_000
    finally:
        tracemalloc.stop()


@item(32)
async def hundreds_of_mutated_payloads_harm_nothing(rig: Rig) -> None:
    await _play(rig, FUZZ)


@item(32, long=True)
async def ten_thousand_mutated_payloads_harm_nothing(rig: Rig) -> None:
    await _play(rig, FUZZ_LONG)
