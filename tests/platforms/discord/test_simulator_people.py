"""The Discord simulator without an SDK: reading messages as people do, clocks, forms, planned faults."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from platforms.discord.simulator import DiscordSimulator, StoredMessage, buttons, plain_text, render_text
from platforms.registry import create_simulator


@pytest.fixture
def sim() -> Iterator[DiscordSimulator]:
    with DiscordSimulator(seed=5) as simulator:
        yield simulator
        assert simulator.surprises == []


def test_the_registry_knows_it() -> None:
    simulator = create_simulator("discord", seed=1)
    assert isinstance(simulator, DiscordSimulator)
    assert simulator.surprises == []


def test_plain_text_resolves_what_clients_resolve() -> None:
    names = {"1": "ana", "2": "dev"}
    assert plain_text("<@1> in <#2> at <t:1700000000:R>", names) == "@ana in #dev at 2023-11-14 22:13 UTC"
    assert (
        plain_text("[PR #7](https://x.org/7) [https://x.org](https://x.org)") == "PR #7 (https://x.org/7) https://x.org"
    )
    assert plain_text("<@9>", names) == "@9"


def test_a_message_is_read_in_order() -> None:
    go: dict[str, Any] = {"type": 2, "style": 2, "label": "Go", "custom_id": "go", "disabled": True}
    choose = {"type": 3, "custom_id": "pick", "options": []}
    inner: list[dict[str, Any]] = [
        {"type": 9, "components": [{"type": 10, "content": "left"}], "accessory": go},
        {"type": 14},
        {"type": 1, "components": [choose]},
    ]
    components: list[dict[str, Any]] = [{"type": 17, "components": inner}]
    message = StoredMessage("1", "2", "3", "hello", datetime.now(UTC), components=components)
    message.embeds = [{"title": "A page", "description": "about"}]
    assert render_text(message).splitlines() == ["hello", "A page", "about", "left", "[Go]", "", "[Choose ▾]"]
    assert buttons(message) == [("Go", "go", "", True)]


def test_ids_are_snowflakes_of_the_clock(sim: DiscordSimulator) -> None:
    one, two = sim.user_says("ana", "one"), sim.user_says("ana", "two")
    assert int(one.id) < int(two.id)
    born = datetime(2015, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(two.id) >> 22)
    assert abs(born - two.at) < timedelta(seconds=1)
    sim.advance(timedelta(days=2))
    assert (int(sim.user_says("ana", "three").id) >> 22) - (int(two.id) >> 22) >= 2 * 86_400_000


def test_people_write_only_where_they_may(sim: DiscordSimulator) -> None:
    assert sim.user_says("gus", "hello").user == sim.user("gus").id
    with pytest.raises(LookupError, match="cannot write"):
        sim.user_says("gus", "hello", sim.direct("ana"))
    thread = sim.starts_thread("ana", sim.user_says("ana", "please"), "Details")
    sim.archives_thread(thread, locked=True)
    with pytest.raises(LookupError, match="locked"):
        sim.user_says("bo", "hello", thread)
    with pytest.raises(LookupError, match="no user"):
        sim.user_says("nobody", "hello")
    with pytest.raises(LookupError, match="no channel"):
        sim.user_says("ana", "hello", "nowhere")


def test_an_idle_thread_is_archived_and_a_word_reopens_it(sim: DiscordSimulator) -> None:
    thread = sim.starts_thread("ana", sim.user_says("ana", "please"), "Details")
    sim.advance(timedelta(days=2))
    sim.user_says("bo", "still on it", thread)
    sim.advance(timedelta(days=2))
    assert not thread.archived
    sim.advance(timedelta(days=1, seconds=1))
    assert thread.archived
    sim.user_says("bo", "and again", thread)
    assert not thread.archived


def test_a_form_can_be_closed(sim: DiscordSimulator) -> None:
    field = {"type": 4, "custom_id": "description", "style": 1, "label": "What", "max_length": 5}
    form = sim.shows_form(
        "ana", {"title": "File", "custom_id": "f", "components": [{"type": 1, "components": [field]}]}
    )
    with pytest.raises(LookupError, match="does not take that text"):
        sim.submits_form("ana", form, {"What": "too long a text"})
    sim.user_closes_form("ana", form)
    with pytest.raises(LookupError, match="closed"):
        sim.submits_form("ana", form, {"What": "x"})
    assert sim.interactions == []


def test_a_fault_for_an_unknown_operation_is_a_mistake(sim: DiscordSimulator) -> None:
    with pytest.raises(LookupError, match="no operation 'chat_post_message'"):
        sim.fail_next("chat_post_message", status=500)
    sim.fail_next("*", status=500, times=None)
    sim.heal()


async def test_waiting_tells_what_was_there_instead(sim: DiscordSimulator) -> None:
    with pytest.raises(TimeoutError, match="sockets 0"):
        await sim.wait_for(lambda: sim.connections, timeout=0.01)


def test_the_story_is_told(sim: DiscordSimulator) -> None:
    said = sim.user_says("ana", "please @bo", "dev")
    sim.user_edits(said, "pretty please")
    sim.reacts("bo", said, "🎫")
    sim.reacts("bo", said, "🎫")
    sim.user_deletes(said)
    assert [h.kind for h in sim.happenings] == ["said", "edited", "reacted", "deleted"]
    assert sim.names[said.user] == "ana"
    assert sim.pings(said) == {"bo"}
    assert sim.said_in("dev") == []
