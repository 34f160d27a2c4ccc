"""F4, intake: two processes hear everything, and hear it again: one suggestion, one code task, one card, one line."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.core.suggestions import FILED, OPEN, SKIPPED, WAITING
from platforms.slack.simulator.state import StoredMessage
from tests.faults.conftest import Urls
from tests.faults.intake import CANARY, CHATTER, ON, WISH, check_silence, items, lines, settled, turn_on, until
from tests.faults.invariants import check_leftovers, check_secrets
from tests.faults.process import CLOCK, Nursery
from tests.faults.site import Site, site

pytestmark = [pytest.mark.fault, pytest.mark.timeout(900)]

ROUNDS, ROUNDS_LONG = 1, 20
LATER = timedelta(hours=7)


async def two_listen(place: Site) -> None:
    """Slack sends to one of the two connections in turn: what is sent again goes to the other."""
    place.start("serve")
    place.start("serve")
    await place.slack.wait_for(lambda: len(place.slack.connections) == 2, 60)


def said_to_both(place: Site, who: str, text: str) -> StoredMessage:
    message = place.slack.user_says(who, text)
    place.slack.redeliver(message, times=3)
    return message


async def suggested(place: Site) -> StoredMessage:
    """The line of the wish that is in the channel. Somebody else speaks, so that the wish is judged at once."""
    said_to_both(place, "bo", CHATTER)
    await until(place, lambda found: found and found[0].state is OPEN)
    return (await place.slack.wait_for(lambda: lines(place), 30))[0]


async def stop_all(place: Site) -> None:
    await settled(place)
    for proc in place.procs:
        if not proc.exited.done():
            assert await proc.stop() == 0, proc.said[-2000:]


async def files_once(folder: Path, nursery: Nursery, database_url: str, number: int, *, shown: bool) -> None:
    """Every door of one message at the same moment, each heard by both; before there is a line, or below it."""
    async with site(folder, nursery, database_url, **ON) as place:
        await turn_on(place)
        await two_listen(place)
        slack, wish = place.slack, said_to_both(place, "ana", WISH)
        doors = [
            lambda: slack.user_edits(wish, f"{WISH} Every single month."),
            lambda: slack.reacts("bo", wish, "bulb"),
            lambda: slack.redeliver(slack.uses_shortcut("cy", wish)),
        ]
        if shown:
            line = await suggested(place)
            doors.append(lambda: slack.redeliver(slack.clicks("ana", line, "File as code task")))
        else:
            await until(place, lambda found: [item.state for item in found] == [WAITING])
            doors.append(lambda: said_to_both(place, "bo", CHATTER))
        first = number % len(doors)
        for door in doors[first:] + doors[:first]:
            door()
        slack.redeliver(wish, times=2)
        assert all(connection.delivered for connection in slack.connections)
        await slack.wait_for(lambda: place.cards(), 30)
        await stop_all(place)
        found = (await items(place))[0]
        assert (found.state, found.code_task_id) == (FILED, 1), found
        assert await place.task(2) is None, "filed twice"
        said = [place.shown(one) for one in slack.sent]
        assert len(place.cards()) == 1 and len(lines(place)) in ((1,) if shown else (0, 1)), said
        assert all("Filed as CT-1" in place.shown(one) for one in lines(place)), said
        check_silence(place, CANARY)
        check_secrets(place)
        assert await place.store.run(lambda tx: tx.people.audit_broken_at()) is None


@pytest.mark.parametrize("shown", [True, False], ids=["below-the-line", "before-it"])
async def test_every_door_at_once_files_one(
    tmp_path: Path, nursery: Nursery, postgres_urls: Urls, long_run: bool, shown: bool
) -> None:
    for number in range(ROUNDS_LONG if long_run else ROUNDS):
        await files_once(tmp_path / str(number), nursery, postgres_urls(1)[0], number, shown=shown)


async def told_again(place: Site, wish: StoredMessage) -> None:
    """Slack tells of the message again, as it was told and as something new; nothing comes of it."""
    before, sent, edits = await items(place), len(place.slack.sent), len(place.slack.edits)
    told = place.slack.deliveries_of(wish)[0]
    for delivery_id in (told.event_id, "Ev0LATER"):
        for _ in range(2):
            place.slack.delivers("events_api", {**told.payload, "event_id": delivery_id})
    await place.slack.wait_for(lambda: all(one.over for one in place.slack.deliveries), 30)
    await stop_all(place)
    assert (len(place.slack.sent), len(place.slack.edits)) == (sent, edits)
    assert await items(place) == before
    assert [line.thread_ts for line in lines(place)] == [wish.ts]
    check_silence(place, CANARY)
    await check_leftovers(place)


async def test_two_processes_suggest_once(tmp_path: Path, nursery: Nursery, postgres_urls: Urls) -> None:
    async with site(tmp_path / "site", nursery, postgres_urls(1)[0], **ON) as place:
        await turn_on(place)
        await two_listen(place)
        wish = said_to_both(place, "ana", WISH)
        await suggested(place)
        await settled(place)
        assert [item.members for item in await items(place)] == [1, 1]
        await told_again(place, wish)


async def test_hours_later_nothing_comes_of_it(tmp_path: Path, nursery: Nursery, sqlite_urls: Urls) -> None:
    """Seven hours later on every clock, after a restart; by then the other message has been judged too."""
    clock = tmp_path / "clock"
    wrong: dict[str, Any] = {CLOCK: clock}
    async with site(tmp_path / "site", nursery, sqlite_urls(1)[0], **ON) as place:
        await turn_on(place)
        first = place.start("serve")
        await place.connected()
        wish = said_to_both(place, "ana", WISH)
        await suggested(place)
        await settled(place)
        assert await first.stop() == 0
        clock.write_text(str(LATER.total_seconds()))
        place.slack.advance(LATER)
        place.start("serve", **wrong)
        await place.slack.wait_for(lambda: place.slack.connections_opened > 1 and place.slack.connections, 30)
        await until(place, lambda found: [item.state for item in found] == [OPEN, SKIPPED])
        await told_again(place, wish)
