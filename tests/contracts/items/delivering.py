"""What goes out: items 9, 10, 11, 15, 16, 21, 33."""

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Final

from bot.core.cards import Button, Card, Content, Doc, Step
from bot.core.inbound import MessageRef, Person
from bot.core.tasks import FailureReason, Stage
from tests.contracts.items.register import item
from tests.contracts.rig import FaultKind, Rig

WISH: Final = "Add a CSV export to the report"
GOLDEN: Final = Path(__file__).parents[2] / "golden" / "contracts"
HOSTILE: Final = (
    "<!channel> <!here> <!everyone> @everyone @here @channel",
    "<@U00000BOB> <@{bo}> <@{bo}|bo> <@!{bo}> <@&123> <#C123>",
    "<!subteam^S123|@devs> <!date^1^x|y> &lt;!channel&gt;",
    "[Click](https://evil.example/x) <https://evil.example/x|https://good.example/>",
    "```\n<!channel> <@{bo}>\n```  `<!here>` ",
    '<at user_id="all">all</at> <at id=all></at> < at user_id="ou_1">x</at>',
    "\u202e<!channel>\u202c @\u200beveryone <\u200b!channel>",
    "* <!channel>\n| a | b |\n|---|---|\n| <!here> | <@{bo}> |",
)


@item(9)
async def an_effect_whose_answer_was_lost_happens_once(rig: Rig) -> None:
    app = await rig.start()
    rig.fail("post", "lost_answer")
    rig.mention("ana", WISH)
    await rig.settle(30)
    (card,) = rig.posts
    rig.fail("edit", "lost_answer")
    await app.move(1, Stage.RUNNING)
    await rig.settle(30)
    assert "Writing the change" in rig.posts[0].text
    rig.fail("post", "lost_answer")
    rig.fail("react", "lost_answer")
    await app.move(1, Stage.REVIEW, pr_url="https://git.example/1", pr_number=1)
    await app.move(1, Stage.MERGED)
    await rig.settle(30)
    assert len(rig.posts) == 2
    assert rig.posts[1].root == (card.root or card.id)
    assert [where for where, _ in rig.marks] == [card.id]
    assert await app.parked() == 0


@item(9)
async def an_effect_that_never_happened_is_repeated(rig: Rig) -> None:
    app = await rig.start()
    rig.fail("post", "down", times=2)
    rig.mention("ana", WISH)
    await rig.settle(30)
    assert len(rig.posts) == 1
    assert len(rig.calls("post")) == 3
    assert await app.parked() == 0


@item(10)
async def a_busy_platform_is_left_alone_as_long_as_it_asks(rig: Rig) -> None:
    app = await rig.start()
    rig.fail("post", "busy", after=30)
    rig.mention("ana", WISH)
    await rig.until(lambda: rig.calls("post"))
    await rig.settle(30, timedelta(seconds=2))
    first, second = rig.calls("post")
    assert second - first >= timedelta(seconds=30)
    assert len(rig.posts) == 1
    rig.fail("edit", "busy", after=20)
    await app.move(1, Stage.RUNNING)
    await rig.until(lambda: rig.calls("edit"))
    await rig.settle(30, timedelta(seconds=2))
    first, second = rig.calls("edit")
    assert second - first >= timedelta(seconds=20)
    assert "Writing the change" in rig.posts[0].text


@item(11)
async def what_will_not_change_is_not_tried_again(rig: Rig) -> None:
    app = await rig.start()
    kinds: tuple[FaultKind, ...] = ("thread_gone", "channel_gone", "not_allowed")
    wishes = ("Add a CSV export to the report", "Sign people out after an hour", "Show prices with taxes in the shop")
    for wish, kind in zip(wishes, kinds, strict=True):
        await rig.until(lambda: rig.webhook or rig.connections)  # ten minutes may have cost the connection
        before, audited = len(rig.calls("post")), len(_undelivered(rig))
        rig.fail("post", kind, times=None)
        rig.mention("ana", wish, "dev")
        await rig.settle(30)
        await rig.advance(timedelta(minutes=10))
        await rig.settle(30)
        rig.heal()
        assert 1 <= len(rig.calls("post")) - before <= 5, kind
        assert len(_undelivered(rig)) == audited + 1, kind
    assert [task.stage for task in await app.tasks()] == [Stage.QUEUED] * 3, "the code tasks go on"
    rig.mention("ana", "Let the calendar begin on Mondays", "dev")
    await rig.settle()
    assert len([post for post in rig.posts if "CT-4" in post.text]) == 1


def _undelivered(rig: Rig) -> list[object]:
    return rig.app.rows("SELECT 1 FROM audit WHERE action IN ('undeliverable', 'not_allowed')")


@item(11)
async def a_vanished_message_is_not_edited_for_ever(rig: Rig) -> None:
    app = await rig.start()
    rig.mention("ana", WISH)
    await rig.settle()
    rig.fail("edit", "gone", times=None)
    await app.move(1, Stage.RUNNING)
    await rig.settle(30)
    assert len(rig.calls("edit")) <= 5
    assert len(rig.posts) == 2


@item(11)
async def refused_credentials_end_the_process(rig: Rig) -> None:
    app = await rig.start()
    rig.mention("ana", WISH)
    await rig.settle()
    before = len(rig.calls("post"))
    rig.fail("any", "auth", times=None)
    await app.move(1, Stage.FAILED, failure_reason=FailureReason.NO_CHANGES, error="nothing")
    fatal = await app.outcome()
    assert fatal is not None
    assert rig.auth_code in fatal.why
    assert fatal.fix
    assert app.platform.health().state == "failed"
    assert len(rig.calls("post")) - before <= 5
    rig.heal()
    await rig.crash()
    app = await rig.start()
    await rig.advance(timedelta(minutes=2))
    await rig.settle(30)
    assert len(rig.posts) == 2, "the delivery waited"
    assert await app.parked() == 0


@item(15)
async def nothing_that_is_said_pings_or_links_by_itself(rig: Rig) -> None:
    app = await rig.start()
    bo = rig.person("bo").id
    texts = [text.format(bo=bo) for text in HOSTILE]
    rig.say("ana", " ".join(texts), "dev")
    for number, text in enumerate(texts):
        rig.mention("ana", f"Change {number}: {text}", ("dev", "general")[number % 2])
    await rig.settle(60)
    for task in await app.tasks():
        values = {"error": task.description[:400], "test_tail": task.description, "branch": "x/<!channel>"}
        await app.move(task.id or 0, Stage.FAILED, failure_reason=FailureReason.AGENT_FAILED, **values)
    await rig.settle(60)
    assert len(rig.posts) == 2 * len(texts)
    for post in rig.posts:
        assert rig.pings(post) <= {"ana"}, post.text
        assert not any("evil" in link for link in rig.links(post) if link not in post.text), post.text
    for one in rig.whispers:
        assert "everyone" not in rig.pings(_as_post(one))


def _as_post(whispered: object) -> object:
    return type("Shown", (), {"native": whispered.native})()  # type: ignore[attr-defined]


@item(16)
async def long_texts_are_split_below_every_limit(rig: Rig) -> None:
    code = "\n".join(f"line {number} & <more>" for number in range(400))
    text = f"Before\n\n```python\n{code}\n```\n\n" + "word " * 2_000
    pieces = rig.pieces(Doc(text=text))
    assert len(pieces) > 2
    for piece, limit in pieces:
        assert len(piece) <= limit
        assert piece.count("```") % 2 == 0, "a fence is closed where it is cut"
    joined = "".join(piece for piece, _ in pieces)
    numbers = [f"line {number} " in joined for number in range(400)]
    assert all(numbers)
    assert joined.count("word") == 2_000
    assert rig.problems(Doc(text=text)) == []


def _person(rig: Rig) -> Person:
    return rig.person("ana")


def worst_cases(rig: Rig) -> list[Content]:
    """Contents at and beyond every limit."""
    nasty = "<@U1>&\"'`*_~|>\u202e\u0000🙂" * 600
    steps = tuple(Step(label=words, state="active", detail=words) for words in [nasty] * 6 + ["Tests"] * 24)
    buttons = tuple(
        Button(label=words, name=words, value=f"codetask:cancel:{number}", confirm=words)
        for number, words in enumerate([nasty] * 6 + ["Cancel"] * 34)
    )
    link = Button(label="x", name="x", url="https://git.example/" + "a" * 5_000)
    bodies = [
        nasty,
        "a" * 60_000,
        "",
        " ",
        "\n" * 9_000,
        "```" * 3_000,
        "> " * 5_000,
        "[x](" * 3_000,
        "|a|b|\n" * 2_000,
    ]
    found: list[Content] = [Doc(text=body, mention=_person(rig), buttons=(*buttons[:3], link)) for body in bodies]
    found.extend(
        Card(
            key="CT-1",
            title=body.strip() or "CT-1",
            summary=body.strip() or "CT-1",
            meta=body,
            steps=steps,
            body=body,
            buttons=(*buttons, link),
            foot=body,
        )
        for body in bodies
    )
    return found


@item(33)
async def the_worst_input_stays_inside_the_limits(rig: Rig) -> None:
    for number, content in enumerate(worst_cases(rig)):
        assert rig.problems(content) == [], (number, content.kind)


@item(21)
async def every_kind_of_content_is_taken(rig: Rig) -> None:
    app = await rig.start()
    for number, content in enumerate(worst_cases(rig)):
        sent = await app.platform.post(rig.place("dev"), content, f"{number:a>24}".replace("0", "b"))
        assert isinstance(sent, MessageRef), sent
        assert isinstance(await app.platform.edit(sent, content, "c" * 24), MessageRef)
    assert rig.surprises == []


def _cards(rig: Rig) -> list[tuple[str, Stage, dict[str, object]]]:
    ready = {"pr_url": "https://git.example/pull/1", "pr_number": 1, "branch": "code-worker/CT-1", "insertions": 12}
    ready |= {"deletions": 3, "tests_passed": True, "test_summary": "12 passed"}
    cases: list[tuple[str, Stage, dict[str, object]]] = [
        ("queued", Stage.QUEUED, {}),
        ("running", Stage.RUNNING, {"attempt": 1}),
        ("testing", Stage.TESTING, {"attempt": 1, "insertions": 12, "deletions": 3}),
        ("review", Stage.REVIEW, ready),
        ("review_red", Stage.REVIEW, {**ready, "tests_passed": False, "pr_draft": True, "test_exit_code": 1}),
        ("merged", Stage.MERGED, ready),
    ]
    for reason in FailureReason:
        values: dict[str, object] = {"failure_reason": reason, "failed_at_stage": Stage.RUNNING, "error": "It broke"}
        cases.append((f"failed_{reason.value}", Stage.FAILED, values))
    return cases


@item(33)
async def cards_look_as_agreed_in_every_stage(rig: Rig) -> None:
    import os
    from datetime import UTC, datetime

    from bot.core.task_cards import task_card
    from bot.core.tasks import CodeTask
    from bot.core.texts import Texts

    at = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    seen: list[str] = []
    for (name, stage, values), language in itertools.product(_cards(rig), ("en", "zh")):
        known = {"id": 1, "uuid": "u", "name": "n", "requester_platform": rig.platform_name, "requester_id": "U1"}
        known |= {"requester_name": "ana", "title": WISH, "description": WISH, "repo": "invoices", "base": "main"}
        known |= {"agent": "demo", "created_at": at, "updated_at": at, "started_at": at, "testing_at": at}
        task = CodeTask.model_validate({**known, "stage": stage, "review_at": at, "finished_at": at, **values})
        card = task_card(task, run=None, texts=Texts.load(language), now=at + timedelta(minutes=5))
        assert rig.problems(card) == []
        seen.append(f"=== {name} ({language})\n{rig.shown(card)}\n")
    golden = GOLDEN / f"{rig.platform_name}_cards.txt"
    if os.environ.get("UPDATE_GOLDENS"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text("\n".join(seen))
    assert "\n".join(seen) == golden.read_text()


@item(33)
async def recorded_payloads_are_read_as_expected(rig: Rig) -> None:
    for payload, kind in rig.fixtures():
        event = rig.read(payload)
        assert (event.kind if event else None) == kind
        if event is not None:
            assert event.platform == rig.platform_name
            assert event.key.startswith(event.app_id)
            again = rig.read(payload)
            assert again is not None
            assert (again.key, again.kind) == (event.key, event.kind)
