"""One name for an emoji, whichever platform it came from: `bulb` for Slack's `bulb`, Discord's 💡 and Lark's lamp.

Slack names emojis in words, Discord sends the character, Lark a type of its own. The names here are Slack's; the table
holds what people mark requests with. Whatever is not in it keeps the name the platform gave it.
"""

import re
from typing import Final

_TONE: Final = re.compile(r"::?skin-tone-[2-6]|[\U0001f3fb-\U0001f3ff]|[\ufe0e\ufe0f]")
"""Skin tones and the marks that choose between a coloured and a plain picture: the emoji is the same without them."""

_CHARACTERS: Final = {
    "💡": "bulb",
    "📝": "memo",
    "📌": "pushpin",
    "📍": "round_pushpin",
    "👀": "eyes",
    "✅": "white_check_mark",
    "✔": "heavy_check_mark",
    "☑": "ballot_box_with_check",
    "➕": "heavy_plus_sign",
    "👍": "+1",
    "👎": "-1",
    "👌": "ok_hand",
    "🙏": "pray",
    "🙋": "raising_hand",
    "✋": "raised_hand",
    "👏": "clap",
    "💪": "muscle",
    "🚀": "rocket",
    "🎫": "ticket",
    "📥": "inbox_tray",
    "📋": "clipboard",
    "🐛": "bug",
    "🐞": "beetle",
    "✨": "sparkles",
    "⭐": "star",
    "🔥": "fire",
    "❤": "heart",
    "🔨": "hammer",
    "🔧": "wrench",
    "🛠": "hammer_and_wrench",
    "⚙": "gear",
    "🤖": "robot_face",
    "🔖": "bookmark",
    "🏷": "label",
    "🚩": "triangular_flag_on_post",
    "❓": "question",
    "❗": "exclamation",
    "⚠": "warning",
    "📦": "package",
    "🚧": "construction",
    "🎉": "tada",
    "⚡": "zap",
    "🆕": "new",
    "🎯": "dart",
    "💻": "computer",
    "✏": "pencil2",
    "📎": "paperclip",
    "🔔": "bell",
    "⏰": "alarm_clock",
    "📣": "mega",
    "📢": "loudspeaker",
    "❌": "x",
    "💯": "100",
    "🏆": "trophy",
    "💣": "bomb",
}
_OTHER_NAMES: Final = {
    "thumbsup": "+1",
    "thumbsdown": "-1",
    "light_bulb": "bulb",
    "idea": "bulb",
    "statusflashofinspiration": "bulb",
    "glance": "eyes",
    "done": "white_check_mark",
    "checkmark": "heavy_check_mark",
    "crossmark": "x",
    "pin": "pushpin",
    "alarm": "alarm_clock",
    "hundred": "100",
    "minusone": "-1",
    "robot": "robot_face",
    "check_mark_button": "white_check_mark",
    "pencil": "memo",
}
"""Other words for the same: Slack's own second names, and Lark's types in lower case."""


def emoji_name(told: str) -> str:
    """The name of an emoji as a platform or a setting tells it: a word, a word between colons, or the character.

    Names of a workspace's own emojis stay as they are, in lower case."""
    bare = _TONE.sub("", told.strip()).strip(":").casefold()
    return _CHARACTERS.get(bare) or _OTHER_NAMES.get(bare) or bare
