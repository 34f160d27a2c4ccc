"""The 42 pitfalls of the design. `WHERE` says which test holds each; those without a better home stand here.

Pitfalls of platforms that are not there yet are in `COMING`: they leave it with the platform that brings their test.
"""

import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

from bot.core.cards import Button, Card, Doc, Step
from bot.core.inbound import ButtonPress, Command, MessageEdited, MessageRef, Person, ThreadRef
from bot.ports import Gone
from platforms.slack.cards import render
from platforms.slack.inbound import read
from platforms.slack.simulator import SlackSimulator
from tests.platforms.slack.payloads import ME, NOW, envelope, message
from tests.platforms.slack.rig import Rig, rigged

ROOT: Final = Path(__file__).parents[2]
ITEMS: Final = "tests/contracts/items"
SUPERVISION: Final = "tests/platforms/slack/test_adapter_supervision.py"
LARK: Final = "tests/platforms/lark"
HERE: Final = "tests/platforms/test_pitfalls.py"
DISCORD: Final = "tests/platforms/discord"

WHERE: Final = {
    1: f"{ITEMS}/storing.py::acks_only_what_is_stored",
    2: f"{ITEMS}/storing.py::what_nobody_knows_is_acked",
    3: f"{ITEMS}/arriving.py::one_message_by_every_way_is_one_code_task",
    4: f"{HERE}::test_p04_a_ts_keeps_every_digit",
    5: f"{ITEMS}/connecting.py::a_bad_setup_ends_the_process",
    6: f"{ITEMS}/delivering.py::an_effect_whose_answer_was_lost_happens_once",
    7: f"{SUPERVISION}::test_bolts_own_environment_variables_change_nothing",
    8: f"{ITEMS}/threads.py::a_bot_that_is_not_in_the_channel_asks_for_an_invitation",
    9: f"{ITEMS}/arriving.py::edits_deletes_and_previews_start_nothing",
    10: f"{DISCORD}/test_adapter_supervision.py::test_a_payload_that_the_sdk_cannot_read_does_not_end_the_connection",
    11: f"{DISCORD}/test_adapter_supervision.py::test_a_crash_loop_does_not_waste_the_sessions_of_the_day",
    12: f"{ITEMS}/threads.py::an_expired_private_answer_goes_by_the_bot",
    13: f"{DISCORD}/test_adapter_supervision.py::test_a_channel_that_nobody_told_of_is_looked_up_once",
    14: f"{DISCORD}/test_adapter.py::test_an_edit_beyond_the_budget_of_old_messages_is_gone",
    15: f"{DISCORD}/test_adapter_supervision.py::test_of_two_only_the_holder_of_the_lease_listens_and_both_send",
    16: f"{LARK}/test_pitfalls.py::test_p16_the_sdk_s_global_loop_does_not_matter_and_each_loop_ends_clean",
    17: f"{LARK}/test_pitfalls.py::test_p17_a_slow_inbox_holds_up_no_other_ack_and_no_type_is_refused",
    18: f"{LARK}/test_pitfalls.py::test_p18_the_sdk_s_blocking_client_is_never_asked",
    19: f"{LARK}/test_adapter.py::test_a_message_that_comes_again_under_another_id_is_one_event",
    20: f"{LARK}/test_adapter.py::test_a_card_of_thirteen_days_is_given_up_a_day_before_lark_does",
    21: f"{LARK}/test_adapter.py::test_a_change_of_the_card_waits_for_the_answer_to_the_press",
    22: f"{ITEMS}/connecting.py::only_the_platforms_own_requests_come_in",
    23: f"{LARK}/test_adapter_supervision.py::test_the_connection_loads_a_small_part_of_the_sdk_and_prints_nothing",
    24: f"{ITEMS}/delivering.py::nothing_that_is_said_pings_or_links_by_itself",
    25: f"{HERE}::test_p25_the_sdks_get_the_versions_they_work_with",
    26: f"{HERE}::test_p26_the_command_line_loads_no_chat_sdk",
    27: f"{HERE}::test_p27_the_simulator_has_a_loop_of_its_own",
    28: "tests/journeys/test_slack_thread.py::test_from_the_first_word_to_the_merge",
    29: f"{LARK}/test_pitfalls.py::test_p29_frames_of_type_card_are_acked_too",
    30: f"{LARK}/test_adapter_supervision.py::test_lark_may_close_at_any_time_and_refuse_a_handshake",
    31: f"{HERE}::test_p31_an_edit_keeps_the_blocks",
    32: f"{HERE}::test_p32_a_whisper_is_shown_also_where_the_thread_has_no_replies",
    33: f"{HERE}::test_p33_a_deleted_parent_is_gone_and_not_a_fault",
    34: f"{DISCORD}/test_adapter.py::test_a_busy_platform_says_when_to_come_back_and_nothing_waits",
    35: f"{DISCORD}/test_adapter_supervision.py::test_two_servers_in_one_process_do_not_mix",
    36: f"{HERE}::test_p36_no_old_connection_lives_on_after_a_rebuild",
    37: f"{ITEMS}/arriving.py::the_whole_ladder_of_redeliveries_is_one_code_task",
    38: f"{HERE}::test_p38_steps_are_complete_and_every_edit_has_new_block_ids",
    39: f"{ITEMS}/storing.py::a_person_is_told_at_once_when_nothing_was_saved",
    40: f"{ITEMS}/connecting.py::deafness_is_noticed_and_nothing_is_missed",
    41: f"{LARK}/test_pitfalls.py::test_p41_one_app_id_at_two_services_has_two_tokens",
    42: f"{ITEMS}/arriving.py::the_bots_own_words_are_not_heard",
}


def test_every_pitfall_has_its_place() -> None:
    assert set(WHERE) == set(range(1, 43))


@pytest.mark.parametrize("number", sorted(WHERE), ids=lambda number: f"p{number:02}")
def test_the_place_exists(number: int) -> None:
    path, _, name = WHERE[number].partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


@pytest.fixture
def simulator() -> Iterator[SlackSimulator]:
    with SlackSimulator(seed=5) as running:
        yield running


@pytest.fixture
async def rig(simulator: SlackSimulator) -> AsyncIterator[Rig]:
    async with rigged(simulator) as running:
        yield running


def place(rig: Rig, root: str | None = None) -> ThreadRef:
    channel = rig.simulator.channel("dev").id
    return ThreadRef(platform="slack", workspace_id=rig.simulator.team_id, channel_id=channel, root=root)


def ana(rig: Rig) -> Person:
    return Person(platform="slack", workspace_id=rig.simulator.team_id, id=rig.simulator.user("ana").id)


CARD: Final = Card(
    key="CT-1",
    title="CT-1 Add a CSV export",
    summary="CT-1 queued",
    steps=(Step(label="Queued", state="done"), Step(label="Writing", state="active")),
    buttons=(Button(label="Cancel", name="Cancel CT-1", value="codetask:cancel:CT-1"),),
)


@pytest.mark.parametrize("ts", ["1772805720.000100", "1772805720.123456", "1772805720.100000", "9999999999.999999"])
def test_p04_a_ts_keeps_every_digit(ts: str) -> None:
    event = read(envelope(message("!codetask fix it", ts=ts)), ME, NOW)
    assert isinstance(event, Command)
    assert (event.message_id, event.thread.root) == (ts, ts)
    assert event.key.endswith(f":{ts}")
    assert event.sent_at.microsecond == int(ts.partition(".")[2])


async def test_p08_a_slash_command_in_a_thread_never_reaches_the_bot_but_plain_text_does(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    refused = rig.simulator.runs_command("ana", "/codetask fix the export", "dev", thread_ts=root.ts)
    rig.simulator.user_says("ana", "!codetask fix the export", "dev", thread_ts=root.ts)
    events = await rig.seen(2)
    assert refused.state == "refused"
    (command,) = [event for event in events if isinstance(event, Command)]
    assert (command.door, command.thread.root) == ("bang", root.ts)


async def test_p09_the_bots_own_edits_are_no_events(rig: Rig) -> None:
    sent = await rig.platform.post(place(rig), CARD, "a" * 24)
    assert isinstance(sent, MessageRef)
    await rig.platform.edit(sent, CARD.model_copy(update={"summary": "CT-1 running"}), "b" * 24)
    await rig.simulator.wait_for(lambda: all(one.acked for one in rig.simulator.deliveries))
    assert not [event for event in rig.inbox.said if isinstance(event, MessageEdited)]


def test_p25_the_sdks_get_the_versions_they_work_with() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    needed = {Requirement(line).name: Requirement(line) for extra in ("discord", "lark") for line in extras[extra]}
    assert not needed["websockets"].specifier.contains("16.0"), "lark-oapi 1.7 breaks on it"
    assert not needed["lark-oapi"].specifier.contains("1.8.0"), "its private names are used"
    marker = needed["audioop-lts"].marker
    assert marker is not None
    assert marker.evaluate({"python_version": "3.13"}), "Python 3.13 has no audioop, which discord.py imports"
    assert not marker.evaluate({"python_version": "3.11"})


def test_p26_the_command_line_loads_no_chat_sdk() -> None:
    program = "import bot.cli, sys; print(' '.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert not {"slack_bolt", "slack_sdk", "discord", "lark_oapi"} & set(ran.stdout.split())


def test_p27_the_simulator_has_a_loop_of_its_own(simulator: SlackSimulator) -> None:
    """A blocking client in the caller's only thread gets its answer: nothing waits for the caller's loop."""
    import urllib.request

    asked = urllib.request.Request(f"{simulator.api_url}auth.test", headers={"Authorization": "Bearer wrong"})
    with urllib.request.urlopen(asked, timeout=5) as answer:
        assert b"invalid_auth" in answer.read()
    assert any(thread.name == "slack-simulator" for thread in threading.enumerate())


async def test_p31_an_edit_keeps_the_blocks(rig: Rig) -> None:
    sent = await rig.platform.post(place(rig), CARD, "a" * 24)
    assert isinstance(sent, MessageRef)
    await rig.platform.edit(sent, CARD.model_copy(update={"summary": "CT-1 running"}), "b" * 24)
    (shown,) = rig.simulator.sent
    assert {"section", "plan", "actions"} <= {block["type"] for block in shown.blocks}
    assert shown.text == "CT-1 running"
    assert shown.edited is None


async def test_p32_a_whisper_is_shown_also_where_the_thread_has_no_replies(rig: Rig) -> None:
    root = rig.simulator.user_says("bo", "The export is broken", "dev")
    assert isinstance(
        await rig.platform.whisper(ana(rig), place(rig, root.ts), Doc(text="only you"), None, "a" * 24), MessageRef
    )
    rig.simulator.user_says("bo", "Anyone?", "dev", thread_ts=root.ts)
    await rig.platform.whisper(ana(rig), place(rig, root.ts), Doc(text="only you"), None, "b" * 24)
    assert [(one.shown, one.thread_ts) for one in rig.simulator.whispers] == [(True, None), (True, root.ts)]


async def test_p33_a_deleted_parent_is_gone_and_not_a_fault(rig: Rig) -> None:
    for code in ("thread_not_found", "invalid_thread_ts"):
        rig.simulator.fail_next("chat.postMessage", error=code)
        assert await rig.platform.post(place(rig, "1772805720.000100"), CARD, "a" * 24) == Gone("thread", code)


async def test_p36_no_old_connection_lives_on_after_a_rebuild(rig: Rig) -> None:
    for number in range(1, 4):
        rig.simulator.server_says_reconnect()
        await rig.inbox.until(lambda: len(rig.inbox.gaps) == number + 1)  # noqa: B023
    await rig.simulator.wait_for(lambda: len(rig.simulator.connections) == 1)
    assert rig.simulator.connections_opened == 4
    said = rig.simulator.user_says("ana", "hello", "dev")
    await rig.seen()
    assert [len(one.attempts) for one in rig.simulator.deliveries_of(said)] == [1]


def test_p38_steps_are_complete_and_every_edit_has_new_block_ids() -> None:
    first, second = render(CARD, "a" * 24).blocks, render(CARD, "b" * 24).blocks
    plan = next(block for block in first if block["type"] == "plan")
    assert [task["status"] for task in plan["tasks"]] == ["complete", "in_progress"]
    ids = {block["block_id"] for block in first}
    assert len(ids) == len(first)
    assert not ids & {block["block_id"] for block in second}


async def test_p39_a_press_is_delivered_once_and_kept(rig: Rig) -> None:
    await rig.platform.post(place(rig), CARD, "a" * 24)
    press = rig.simulator.clicks("ana", rig.simulator.sent[0], "Cancel")
    (event,) = await rig.seen()
    assert isinstance(event, ButtonPress)
    await rig.simulator.wait_for(lambda: press.acked)
    rig.simulator.advance(timedelta(minutes=10))
    assert len(press.attempts) == 1
