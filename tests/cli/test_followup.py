"""Follow-ups from the command line, against a real server in a process of its own."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from platforms.slack.simulator import SlackSimulator
from tests.cli.conftest import LOCAL
from tests.cli.terminal import Terminal

TEXT = "check the deploy"
BEGUN = count()
BERLIN = ("--tz", "Europe/Berlin")


@pytest.fixture(autouse=True)
def below_the_quota(request: pytest.FixtureRequest) -> None:
    """Every tenth test of the shared server begins by ending what the others left."""
    if "served" in request.fixturenames and next(BEGUN) % 10 == 9:
        served = request.getfixturevalue("served")
        left = served.run("followup", "list", "-q", "--state", "pending,running").stdout.split()
        assert not left or served.run("followup", "stop", "-y", *left).returncode == 0


def put(served: Terminal, *args: str, time: str = "2h") -> str:
    done = served.run("followup", "create", TEXT, "--time", time, "-q", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def put_now(served: Terminal) -> str:
    """One that runs: there is no worker that would end it."""
    done = served.run("followup", "create", TEXT, "--run-now", "-q")
    assert done.returncode == 0, done.stderr
    ref = done.stdout.strip()
    for _ in range(50):
        told = served.run("followup", "run", ref)
        if "already running" in told.stderr:
            return ref
        assert told.returncode == 0, told.stderr
    raise AssertionError(f"{ref} did not start")


def shown(served: Terminal, ref: str) -> Any:
    return json.loads(served.run("followup", "show", ref, "--json").stdout)


class TestCreate:
    def test_p29_it_echoes_the_absolute_time_with_its_zone(self, served: Terminal) -> None:
        done = served.run("followup", "create", TEXT, "--time", "tomorrow 9am", *BERLIN)
        assert done.returncode == 0, done.stderr
        ref, time, title = done.stdout.strip().split(" · ")
        assert (ref[:3], title) == ("FU-", TEXT)
        assert " 09:00 (Berlin, in " in time
        assert "codetask followup show" in done.stderr

    @pytest.mark.parametrize("args", [["-q"], ["-o", "json"], ["--json"]])
    def test_data_goes_to_stdout_and_the_echo_to_stderr(self, served: Terminal, args: list[str]) -> None:
        done = served.run("followup", "create", TEXT, "--at", "tomorrow 9am", *BERLIN, *args)
        ref = done.stdout.strip() if args == ["-q"] else json.loads(done.stdout)["id"]
        assert done.stderr.startswith(f"{ref} · ")
        assert " 09:00 (Berlin, in " in done.stderr

    @pytest.mark.parametrize("args", [["-"], ["--stdin"], []])
    def test_it_reads_stdin(self, served: Terminal, args: list[str]) -> None:
        text = "check é 🎉\nand more"
        done = served.run("followup", "create", *args, "--time", "2h", "--json", stdin=text)
        assert done.returncode == 0, done.stderr
        assert (json.loads(done.stdout)["message"], json.loads(done.stdout)["title"]) == (text, "check é 🎉")

    def test_message_is_the_text_where_none_is_given(self, served: Terminal) -> None:
        done = served.run("followup", "create", "--message", TEXT, "--time", "2h", "--json")
        assert json.loads(done.stdout)["message"] == TEXT

    def test_p29_it_takes_every_option(self, served: Terminal) -> None:
        args = ["--title", "Deploy", "--agent", " Patch", "--if-missed", "run", "--if-busy", "skip", *BERLIN]
        made = json.loads(served.run("followup", "create", TEXT, "--time", "2h", *args, "--json").stdout)
        assert (made["title"], made["agent"], made["if_missed"], made["if_busy"]) == ("Deploy", "patch", "run", "skip")
        assert (made["zone"], made["kind"], made["channel"]) == ("Europe/Berlin", "agent", None)

    def test_a_reminder_at_once(self, served: Terminal) -> None:
        done = served.run("followup", "create", TEXT, "--remind", "--run-now", "--json")
        made = json.loads(done.stdout)
        assert (made["kind"], "(" in made["when"]) == ("message", True)
        followed = served.run("followup", "logs", made["id"], "-f")
        assert (followed.returncode, followed.stdout) == (0, "")
        assert shown(served, made["id"])["state"] == "success"

    @pytest.mark.parametrize("factor", [1, 1000])
    def test_p36_an_epoch_in_seconds_or_milliseconds(self, served: Terminal, factor: int) -> None:
        at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
        ref = put(served, time=str(int(at.timestamp()) * factor))
        assert datetime.fromisoformat(shown(served, ref)["due_at"]) == at

    def test_a_time_without_a_zone_is_read_in_the_terminals(self, served: Terminal) -> None:
        done = served.run("followup", "create", TEXT, "--time", "tomorrow 9am", TZ="Asia/Kolkata")
        assert " 09:00 (Kolkata, in " in done.stdout

    def test_a_key_sets_nothing_twice(self, served: Terminal) -> None:
        key = ["--idempotency-key", uuid.uuid4().hex]
        assert put(served, *key) == put(served, *key)
        done = served.run("followup", "create", "else", "--time", "2h", *key)
        assert (done.returncode, done.stdout) == (3, "")

    def test_for_someone_else(self, served: Terminal) -> None:
        me = json.loads(served.run("whoami", "--json").stdout)
        who = f"{me['platform']}:{me['workspace_id']}:{me['id']}"
        assert shown(served, put(served, "--requester", who))["requester"]["id"] == me["id"]
        done = served.run("followup", "create", TEXT, "--time", "2h", "--owner", "slack:T1:U404")
        assert (done.returncode, "Nobody is known" in done.stderr) == (2, True)

    @pytest.mark.parametrize(
        ("args", "says"),
        [
            ([TEXT], "Missing option --time"),
            ([TEXT, "--time", "soon"], "couldn't read a time"),
            ([TEXT, "--time", "2020-01-01"], "has passed"),
            ([TEXT, "--time", "400 days"], "more than 366 days"),
            ([TEXT, "--time", "tomorrow at 5", *BERLIN], "T05:00:00"),
            ([TEXT, "--time", "2h", "--tz", "Nowhere/Land"], "no time zone Nowhere/Land"),
            (["--time", "2h"], "The text is empty"),
            (["-", "--time", "2h"], "The text is empty"),
            (["  ", "--time", "2h"], "The text is empty"),
            ([TEXT, "--stdin", "--time", "2h"], "not both"),
            ([TEXT, "--message", TEXT, "--time", "2h"], "once"),
            ([TEXT, "--time", "2h", "--agent", "gpt"], "demo, patch"),
            ([TEXT, "--time", "2h", "--if-missed", "queue"], "--if-missed takes run or skip"),
            ([TEXT, "--time", "2h", "--if-busy", "run"], "--if-busy takes queue or skip"),
            ([TEXT, "--time", "2h", "--channel", "C1"], "Channel not found in configured workspaces"),
            ([TEXT, "--time", "2h", "--thread", "1.2"], "--thread needs --channel"),
            ([TEXT, "--time", "2h", "--nope"], "No such option: --nope"),
            (["x" * 8001, "--time", "2h"], "8,000 characters"),
        ],
    )
    def test_wrong_input_is_named_and_exits_with_2(self, served: Terminal, args: list[str], says: str) -> None:
        done = served.run("followup", "create", *args)
        assert (done.returncode, done.stdout) == (2, "")
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1


class TestVerbs:
    @pytest.mark.parametrize("form", ["{id}", "{number}", "#{number}", "{uuid}"])
    def test_ids_have_many_forms(self, served: Terminal, form: str) -> None:
        ref = put(served)
        names = {"id": ref, "number": ref.removeprefix("FU-"), "uuid": shown(served, ref)["uuid"]}
        assert shown(served, form.format(**names))["id"] == ref

    def test_p29_show_list_cancel_delete(self, served: Terminal) -> None:
        first, second = put(served), put(served, *BERLIN, time="tomorrow 9am")
        told = served.run("followup", "get", second)
        assert f"id         {second}\n" in told.stdout
        assert "09:00 (Berlin, in " in told.stdout
        both = served.run("followup", "cancel", first, second, first, "-y")
        assert both.stdout == f"{first} is cancelled.\n{second} is cancelled.\n"
        assert served.run("followup", "cancel", first, "-q").stdout == f"{first}\n"
        gone = served.run("followup", "rm", first, second, "-y")
        assert (gone.returncode, gone.stdout, gone.stderr) == (0, "", f"Deleted {first}.\nDeleted {second}.\n")
        assert served.run("followup", "show", first).returncode == 4

    def test_p34_update_changes_what_is_named(self, served: Terminal) -> None:
        ref = put(served, "--title", "Deploy")
        done = served.run("followup", "update", ref, "--time", "tomorrow 9am", *BERLIN, "--agent", "patch")
        assert (done.returncode, " 09:00 (Berlin, in " in done.stdout) == (0, True)
        served.run("followup", "update", ref, "-", "--if-missed", "run", "--if-busy", "skip", stdin="else")
        now = shown(served, ref)
        assert (now["title"], now["message"], now["agent"]) == ("Deploy", "else", "patch")
        assert (now["if_missed"], now["if_busy"], now["due_local"][11:16]) == ("run", "skip", "09:00")
        assert json.loads(served.run("followup", "update", ref, "--title", "New", "--json").stdout)["title"] == "New"
        assert served.run("followup", "update", ref).returncode == 2
        served.run("followup", "cancel", ref)
        refused = served.run("followup", "update", ref, "--title", "Newer")
        assert (refused.returncode, "state: cancelled" in refused.stderr) == (3, True)

    def test_p38_a_running_one_is_stopped_not_cancelled(self, served: Terminal) -> None:
        ref = put_now(served)
        refused = served.run("followup", "cancel", ref)
        assert (refused.returncode, refused.stderr) == (3, f"{ref} is running: use `stop {ref}`.\n")
        assert served.run("followup", "delete", ref, "-y").returncode == 3
        assert served.run("followup", "logs", ref).stderr == f"{ref} has no log yet.\n"
        assert served.run("followup", "stop", ref).stdout == f"{ref} is stopped.\n"
        assert shown(served, ref)["state"] == "cancelled"
        forced = put_now(served)
        assert served.run("followup", "cancel", forced, "--force").stdout == f"{forced} is cancelled.\n"

    def test_p29_run_starts_a_pending_one(self, served: Terminal) -> None:
        ref = put(served)
        assert served.run("followup", "run", ref).stdout == f"{ref} runs now.\n"
        served.run("followup", "stop", ref)

    @pytest.mark.parametrize(
        ("args", "code", "says"),
        [
            (["show", "FU-99999"], 4, "There is no follow-up FU-99999 here. `codetask followup list`"),
            (["logs", "nope"], 4, "nope"),
            (["logs", "nope", "-f"], 4, "nope"),
            (["logs", "{id}", "--run", "2"], 4, "no attempt 2"),
            (["retry", "{id}"], 3, "Only a failed follow-up can"),
            (["cancel", "{id}", "FU-99999", "-y"], 4, "FU-99999"),
            (["stop", "{id}", "FU-99999", "-y"], 4, "FU-99999"),
            (["delete", "{id}", "FU-99999", "-y"], 4, "FU-99999"),
            (["cancel", "{id}", "{id2}"], 2, "Cancel 2 follow-ups? Nobody is there to answer."),
            (["delete", "{id}"], 2, "Say --yes"),
            (["update", "{id}"], 2, "Nothing to change"),
            (["update", "{id}", "--time", "soon"], 2, "couldn't read a time"),
            (["list", "--state", "queued"], 2, "There is no state queued. Known: pending"),
            (["list", "-c", "nope"], 2, "There is no column nope"),
            (["list", "--thread", "1.2"], 2, "--thread needs --channel"),
            (["cancel"], 2, "Missing argument"),
        ],
    )
    def test_refusals_have_their_exit_code(self, served: Terminal, args: list[str], code: int, says: str) -> None:
        ids = {"id": put(served), "id2": put(served) if "{id2}" in args else ""} if "{id}" in args else {}
        done = served.run("followup", *(arg.format(**ids) for arg in args))
        assert (done.returncode, done.stdout) == (code, "")
        assert says.format(**ids) in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not ids or shown(served, ids["id"])["state"] == "pending"


class TestList:
    def test_p35_pending_ones_by_their_time(self, served: Terminal) -> None:
        late, soon = put(served, time="50 h"), put(served, time="1 minute")
        listed = served.run("followup", "ls", "-q", "--state", "pending", "--limit", "200").stdout.split()
        assert listed.index(soon) < listed.index(late)
        assert listed[0] == soon

    def test_it_shows_what_was_asked_for(self, served: Terminal) -> None:
        ref = put(served, *BERLIN, time="tomorrow 9am")
        served.run("followup", "cancel", ref)
        args = ["followup", "list", "--status", "cancelled,failed", "--mine", "--limit", "1"]
        table = served.run(*args).stdout.splitlines()
        assert table[0].split() == ["ID", "STATE", "DUE", "TITLE", "WHERE", "REQUESTER"]
        assert table[1].split()[:2] == [ref, "cancelled"]
        assert " 09:00 +0" in table[1]
        assert json.loads(served.run(*args, "-o", "json").stdout)["items"][0]["id"] == ref
        few = served.run(*args, "-c", "id,kind", "-c", "requester").stdout.splitlines()
        assert (few[0].split(), few[1].split()[:2]) == (["ID", "KIND", "REQUESTER"], [ref, "prompt"])
        nothing = served.run("followup", "list", "--channel", "C404")
        assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "No follow-ups.\n")


@pytest.fixture
def slack() -> Iterator[SlackSimulator]:
    with SlackSimulator(seed=7) as running:
        yield running


def test_p37_a_channel_and_a_thread_of_slack(tmp_path_factory: pytest.TempPathFactory, slack: SlackSimulator) -> None:
    env = {name.upper(): value for name, value in slack.settings.items()}
    terminal, dev = Terminal(tmp_path_factory.mktemp("home"), LOCAL | env), slack.channel("dev").id
    root = slack.user_says("ana", "The deploy is running", "dev").ts
    with terminal.start("serve") as process:
        process.until("API: ")
        at = ("--channel", f"{slack.team_id}::{dev}", "--thread", root)
        made = json.loads(terminal.run("followup", "create", TEXT, "--time", "2h", *at, "--json").stdout)
        assert (made["thread"]["channel_id"], made["thread"]["thread_id"]) == (dev, root)
        assert terminal.run("followup", "list", "-q", *at).stdout == f"{made['id']}\n"
        assert terminal.run("followup", "list", "-q", "--channel", dev).stdout == f"{made['id']}\n"
        refused = terminal.run("followup", "create", TEXT, "--time", "2h", "--channel", f"T0OTHER::{dev}")
        assert (refused.returncode, refused.stderr) == (2, "Channel not found in configured workspaces\n")
        assert process.stop() == 0


def test_without_a_server_the_exit_code_is_5(terminal: Terminal) -> None:
    done = terminal.run("followup", "list")
    assert (done.returncode, done.stdout) == (5, "")
    assert "Cannot reach" in done.stderr


def test_where_the_feature_is_off_it_says_so(terminal: Terminal) -> None:
    with terminal.start("serve", FEATURES="codetasks web", GIT_REPO_URL="https://github.com/acme/web.git") as process:
        process.until("API: ")
        done = terminal.run("followup", "create", TEXT, "--time", "2h")
        assert (done.returncode, done.stderr) == (4, "Follow-ups are disabled here.\n")
        assert process.stop() == 0
