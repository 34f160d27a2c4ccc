"""Each message in its reader's language: the person's, the channel's, its workspace's, or all of them at once."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.app import wire
from bot.core.cards import CONTENT, Card, Doc, dump_content
from bot.core.inbound import BotAdded, Person, ThreadRef
from bot.core.tasks import FailureReason, Stage
from bot.ports import NotAllowed
from bot.services.languages import SETTING, WHOLE_WORKSPACE
from bot.services.outbox import plain
from bot.settings import SettingsError
from platforms.registry import load_settings
from storage.engine import Database
from tests.clock import FakeClock
from tests.services.test_chat_commands import ANA, BO, CHANNEL, Desk
from tests.storage.world import Chat

WORKSPACE = CHANNEL.model_copy(update={"channel_id": WHOLE_WORKSPACE})
MEI = BO.model_copy(update={"id": "U9", "name": "mei", "locale": "zh-CN"})


class Everyone(Chat):
    """A platform on which one message holds every language."""

    capabilities = replace(Chat.capabilities, every_language=True)


@pytest.fixture
def open_desk(store: Database, tmp_path: Path) -> Callable[..., Desk]:
    def open_desk(platforms: Mapping[str, Any] | None = None, **settings: Any) -> Desk:
        chosen = {
            "codetask_data": tmp_path,
            "repos": {"web": {"url": "file:///nowhere/web.git", "forge": "none"}},
            "default_agent": "demo",
            "filers": "member",
            **settings,
        }
        return Desk(wire(load_settings(**chosen), store, platforms or {}, {}))

    return open_desk


async def choose(desk: Desk, place: ThreadRef, language: str | None) -> None:
    await desk.app.store.run(lambda tx: tx.people.set_setting(place, SETTING, language))


async def card(desk: Desk) -> Card:
    shown = (await desk.sent("post"))[0]
    assert isinstance(shown, Card)
    return shown


async def whisper(desk: Desk) -> Doc:
    said = (await desk.sent("whisper"))[-1]
    assert isinstance(said, Doc)
    return said


@pytest.mark.parametrize(
    ("default", "workspace", "channel", "expected"),
    [
        ("en", None, None, "en"),
        ("zh", None, None, "zh"),
        ("en", "zh-CN", None, "zh"),
        ("en", "zh", "en", "en"),
        ("en", None, "zh", "zh"),
        ("zh", "fr", "de", "zh"),
    ],
)
async def test_what_a_channel_sees_is_in_the_channels_language(
    open_desk: Callable[..., Desk], default: str, workspace: str | None, channel: str | None, expected: str
) -> None:
    desk = open_desk(default_language=default)
    await choose(desk, CHANNEL, channel)
    await choose(desk, WORKSPACE, workspace)
    await desk.says("Fix the login redirect", MEI)
    shown = await card(desk)
    assert (shown.language, shown.translations) == (expected, {})
    assert shown.steps[0].label == {"en": "Queued", "zh": "已排队"}[expected]
    assert shown.title == "CT-1 Fix the login redirect"


@pytest.mark.parametrize(
    ("locale", "channel", "expected"),
    [("zh-CN", "en", "zh"), ("en-GB", "zh", "en"), ("fr", "zh", "zh"), (None, "zh", "zh"), (None, None, "en")],
)
async def test_what_one_person_sees_is_in_their_language_else_the_channels(
    open_desk: Callable[..., Desk], locale: str | None, channel: str | None, expected: str
) -> None:
    desk = open_desk()
    await choose(desk, CHANNEL, channel)
    await desk.says("列表", BO.model_copy(update={"locale": locale}))
    said = await whisper(desk)
    assert said.language == expected
    assert ("没有" in said.text) == (expected == "zh")


async def test_a_language_told_once_is_remembered(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    await desk.says("help", MEI)
    await desk.says("help", MEI.model_copy(update={"locale": None}))
    assert (await whisper(desk)).language == "zh"


async def test_a_workspace_says_its_language_and_may_change_it(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    for locale, expected in (("zh-CN", "zh"), (None, "zh"), ("fr", "en"), ("zh-TW", "zh"), ("en-US", "en")):
        await desk.says("list", workspace_locale=locale)
        assert (await whisper(desk)).language == expected


async def test_a_workspace_is_greeted_in_its_language(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    now = desk.app.store.now()
    await desk._handle(
        BotAdded(
            platform="slack", app_id="A1", workspace_id="T1", key="A1:a:C1", sent_at=now, received_at=now,
            thread=CHANNEL, workspace_locale="zh-CN",
        )
    )  # fmt: skip
    (hello,) = await desk.sent("post")
    assert isinstance(hello, Doc)
    assert hello.text == "我把需求变成合并请求。试试 `/codetask 修复…`，或在话题里提及我。"


async def test_where_a_message_holds_every_language_all_are_sent(
    open_desk: Callable[..., Desk], clock: FakeClock
) -> None:
    desk = open_desk({"slack": Everyone(clock)})
    await desk.says("Fix the login redirect", MEI)
    await desk.says("list", MEI)
    await desk.says("list", ANA.model_copy(update={"locale": "fr"}))
    shown = await card(desk)
    assert (shown.language, shown.steps[0].label, shown.buttons[0].label) == ("en", "Queued", "Cancel")
    chinese = shown.translations["zh"]
    assert (chinese.language, chinese.steps[0].label, chinese.buttons[0].label) == ("zh", "已排队", "取消")
    assert [button.value for button in chinese.buttons] == [button.value for button in shown.buttons]
    to_mei, to_ana = await desk.sent("whisper")
    assert (to_mei.language, list(to_mei.translations)) == ("zh", ["en"])
    assert (to_ana.language, list(to_ana.translations)) == ("en", ["zh"])


async def test_replies_name_their_thread_and_are_in_its_language(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    await choose(desk, CHANNEL, "zh")
    await desk.says("Fix the login redirect token=ghp_" + "a1B2c3D4e5F6" * 3)

    def fail(tx: Any) -> None:
        moved = tx.tasks.move(
            1, {Stage.QUEUED}, Stage.FAILED, actor="worker:w", failure_reason=FailureReason.TIMED_OUT,
            error="Coding agent timed out after 10 min",
        )  # fmt: skip
        desk.app.tasks.announcer.moved(tx, moved, None)

    await desk.app.store.run(fail)
    _, reply = await desk.sent("post")
    assert isinstance(reply, Doc)
    assert reply.topic == "CT-1 Fix the login redirect token=***"
    assert reply.text.startswith("CT-1 失败：智能体运行 10 分钟后超时。用 `重试 CT-1` 再试一次")


async def test_refusals_say_stages_and_verbs_in_the_readers_language(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    await desk.says("Fix the login redirect", ANA)
    await desk.says("取消1", MEI)
    assert (await whisper(desk)).text == "你不能取消 CT-1：它由 @ana 创建。请联系 @ana 或管理员。"
    await desk.says("重试1", ANA.model_copy(update={"locale": "zh-CN"}))
    assert (await whisper(desk)).text == "CT-1 的阶段是“已排队”，不能重试。只有失败的编码任务可以重试。"
    await desk.says("cancel 1", BO)
    assert (await whisper(desk)).text == "You can't cancel CT-1: @ana filed it. Ask @ana or an admin."
    await desk.says("--repo nope Fix the login redirect", MEI)
    assert (await whisper(desk)).text == "没有仓库 nope。可用的有：web。"


async def test_what_a_person_has_to_do_is_said_in_their_language(
    open_desk: Callable[..., Desk], clock: FakeClock
) -> None:
    class Outside(Chat):
        async def post(self, to: ThreadRef, content: Any, key: str) -> Any:
            return NotAllowed("Invite the bot to the channel: /invite @codetask", "not_in_channel")

    chat = Outside(clock)
    desk = open_desk({"slack": chat})
    await desk.says("Fix the login redirect", MEI)
    await desk.app.relay.drain()
    assert [doc.text for _, doc in chat.whispers] == ["请把机器人邀请到频道：/invite @codetask"]


def test_a_body_is_stored_short_and_read_back_whole() -> None:
    mention = Person(platform="slack", workspace_id="T1", id="U1", roles=frozenset({"owner"}))
    chinese = Doc(text="好", language="zh")
    for content in (
        Doc(text="x"),
        Doc(text='"', mention=mention, topic="CT-1", language="zh", translations={"en": Doc(text="ok")}),
        Card(key="CT-1", title="t", summary="s", translations={"zh": Card(key="CT-1", title="题", summary="述")}),
        Doc(text="ok", translations={"zh": chinese}),
    ):
        assert CONTENT.validate_json(dump_content(content)) == content
    assert dump_content(Doc(text="x")) == '{"kind":"doc","text":"x"}'


def test_without_layout_every_language_is_kept() -> None:
    one = Card(
        key="CT-1", title="t", summary="s", translations={"zh": Card(key="k", title="题", summary="述", language="zh")}
    )
    assert plain(one) == Doc(text="s", translations={"zh": Doc(text="述", language="zh")})


def test_a_default_language_without_texts_is_refused() -> None:
    with pytest.raises(SettingsError, match="DEFAULT_LANGUAGE"):
        load_settings(default_language="tlh")
