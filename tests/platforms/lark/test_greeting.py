"""What a group reads when the bot joins it: a command that works there, in every language."""

from pathlib import Path

from platforms.lark.simulator import render_text
from tests.contracts.rig_lark import LarkRig


async def test_the_greeting_names_a_door_that_lark_has(tmp_path: Path) -> None:
    rig = LarkRig(tmp_path, "long")
    try:
        await rig.start()
        rig.add_bot("lounge")
        (hello,) = await rig.until(lambda: rig.posts)
        english, chinese = (render_text(hello.native, language, rig.simulator.names) for language in ("en", "zh"))
        assert english == "I turn requests into pull requests. Try `@codetask fix …` or mention me in a thread."
        assert chinese == "我把需求变成合并请求。试试 `@codetask 修复…`，或在话题里提及我。"
    finally:
        await rig.close()
