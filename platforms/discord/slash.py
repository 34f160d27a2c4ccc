"""The application commands: built from the table of `bot.core.verbs`, and read back into the text that it parses.

`/codetask` has one subcommand per verb and `new` for filing; typed options become the words and `--options` that a
person could have typed. Limits: docs.discord.com/developers/interactions/application-commands (25 options, 25 choices,
names 32, descriptions 100).
"""

from collections.abc import Mapping
from typing import Any, Final, assert_never

from bot.core.commands import FileTask, NotYet, Options, Send, parse
from bot.core.texts import Texts
from bot.core.verbs import FILTERS, FLAGS, FOLLOW_UP_FLAGS, SETTING_WORDS, VERBS, Flag, Verb

Json = dict[str, Any]

SUB_COMMAND, STRING, BOOLEAN = 1, 3, 5
CHAT_INPUT, MESSAGE_MENU = 1, 3
FILE_MENU: Final = "File as code task"
LATER_MENU: Final = "Follow up later"
MENUS: Final[Mapping[str, str]] = {FILE_MENU: "codetask", LATER_MENU: "followup"}
"""Message menu entry -> command."""
NEW: Final = "new"
FILES: Final = "--draft=no"
"""An option that changes nothing, but in a code task's thread makes a text a new code task, not words to its agent."""
APART: Final = "--"
"""Between a time and what to do then: typed apart, read apart."""
MAX_TEXT: Final = 6000
"""Characters of one text option: Discord's limit."""
MAX_ID: Final = 101
MAX_WHEN: Final = 200
"""Characters of a time, which may have its options before it (ours)."""
MAX_CHOICES: Final = 25
COMPLETED: Final = frozenset({"repo", "agent", "id", "when"})
"""Options whose values are completed while they are typed."""
EVERYWHERE: Final = {"contexts": [0, 1], "integration_types": [0]}
"""In servers and in direct messages with the bot; installed to servers. Left out, the SDK would send null."""


def build_commands(texts: Texts | None = None) -> list[Json]:
    """The body of the bulk PUT: both slash commands and both message menu entries, described in one language."""
    texts = texts or Texts.load()
    about = {name: texts.say(f"discord.command.{name}") for name in ("codetask", "followup", "what")}
    what = _string("text", about["what"], max_length=MAX_TEXT)
    flags = [_flag(flag, texts) for flag in FOLLOW_UP_FLAGS if flag.offered]
    return [
        _command("codetask", about["codetask"], [_new(texts), *_verbs(texts)]),
        _command("followup", about["followup"], [_when(texts), what, *flags]),
        _menu(FILE_MENU),
        _menu(LATER_MENU),
    ]


def _command(name: str, description: str, options: list[Json]) -> Json:
    told = {"name": name, "type": CHAT_INPUT, "description": _short(description), "options": options}
    return {**told, "default_member_permissions": None, "nsfw": False, **EVERYWHERE}


def _menu(name: str) -> Json:
    return {"name": name, "type": MESSAGE_MENU, "default_member_permissions": None, "nsfw": False, **EVERYWHERE}


def _short(text: str) -> str:
    line = " ".join(text.replace("`", "").split())
    return line if len(line) <= 100 else line[:99].rstrip() + "…"


def _string(name: str, description: str, *, required: bool = False, **more: Any) -> Json:
    told = {"type": STRING, "name": name, "description": _short(description), "required": required}
    return {**told, **({"autocomplete": True} if name in COMPLETED else {}), **more}


def _choices(values: tuple[str, ...]) -> list[Json]:
    return [{"name": value, "value": value} for value in values[:MAX_CHOICES]]


def _subcommand(name: str, description: str, options: list[Json]) -> Json:
    return {"type": SUB_COMMAND, "name": name, "description": _short(description), "options": options}


def _when(texts: Texts) -> Json:
    return _string("when", texts.say("discord.command.when"), required=True, max_length=MAX_WHEN)


def _new(texts: Texts) -> Json:
    text = _string("text", texts.say("discord.command.text"), required=True, max_length=MAX_TEXT)
    return _subcommand(
        NEW, texts.say("discord.command.new"), [text, *(_flag(flag, texts) for flag in FLAGS if flag.offered)]
    )


def _flag(flag: Flag, texts: Texts) -> Json:
    about = texts.say(flag.help_key)
    if flag.switch:
        return {"type": BOOLEAN, "name": flag.name, "description": _short(about), "required": False}
    if flag.values:
        return _string(flag.name, about, choices=_choices(flag.values))
    return _string(flag.name, about, max_length=200)


def _verbs(texts: Texts) -> list[Json]:
    return [_subcommand(verb.name, texts.say(verb.help_key), _options(verb, texts)) for verb in VERBS if verb.offered][
        : MAX_CHOICES - 1
    ]


def _options(verb: Verb, texts: Texts) -> list[Json]:
    id = _string("id", texts.say("discord.command.id"), max_length=MAX_ID)
    text = _string("text", texts.say("discord.command.text"), max_length=MAX_TEXT)
    match verb.shape:
        case "alone":
            return []
        case "filter":
            words = tuple(dict.fromkeys(FILTERS.values()))
            return [_string("which", texts.say("discord.command.which"), choices=_choices(words))]
        case "verb":
            offered = tuple(other.name for other in VERBS if other.offered)
            return [_string("verb", texts.say("discord.command.verb"), choices=_choices(offered))]
        case "target":
            return [id]
        case "retry":
            return [id, _string("with", texts.say("discord.command.with"), max_length=MAX_TEXT)]
        case "send":
            return [{**text, "required": True}, id]
        case "edit":
            return [{**id, "required": True}, _when(texts) if verb.name == "change" else {**text, "required": True}]
        case "when":
            return [_when(texts), _string("text", texts.say("discord.command.what"), max_length=MAX_TEXT)]
        case "setting":
            keys = _choices(tuple(dict.fromkeys(SETTING_WORDS.values())))
            return [
                _string("key", texts.say("discord.command.key"), choices=keys),
                _string("value", texts.say("discord.command.value"), max_length=200),
            ]
        case _:
            assert_never(verb.shape)


# --- Reading back -----------------------------------------------------------------------------------------------------


def slash_text(data: Mapping[str, Any], in_thread: bool = False) -> str:
    """The text behind the command that a person could have typed instead. Raises KeyError, TypeError on nonsense.

    Who chose `new` means a new code task, in a code task's thread too, and who chose a verb never does."""
    options = data.get("options") or []
    if data["name"] == "followup":
        return _later(_given(options))
    if not options:
        return ""
    (chosen,) = (option for option in options if option["type"] == SUB_COMMAND)
    given = _given(chosen.get("options") or [])
    if chosen["name"] == NEW:
        return _filing(given, in_thread)
    if "when" in given and "text" in given:
        given["text"] = f"{APART} {given['text']}"
    text = " ".join([chosen["name"], *(_word(name, value) for name, value in given.items())])
    return text if _reads_as(chosen["name"], text, in_thread) else f"help {chosen['name']}"


def _reads_as(verb: str, text: str, in_thread: bool) -> bool:
    """Whether a verb with its options is read as that verb, not as the words of a request."""
    match parse(text, door="slash", in_task_thread=in_thread):
        case FileTask():
            return False
        case Send() | NotYet(verb="send"):
            return verb == "send"
        case _:
            return True


def _given(options: list[Mapping[str, Any]]) -> dict[str, str | bool]:
    given: dict[str, str | bool] = {}
    for option in options:
        value = option["value"]
        if not isinstance(value, str | bool):
            raise TypeError("an option that is neither text nor a switch")
        given[str(option["name"])] = value
    order = ("id", "which", "verb", "key", "value", "when", "with", "text")
    return {name: given[name] for name in (*order, *given) if name in given}


def _word(name: str, value: str | bool) -> str:
    return f"with {value}" if name == "with" else str(value)


def _later(given: dict[str, str | bool]) -> str:
    """`--remind tomorrow 9am -- look again`: no word of the text is taken for a part of the time."""
    when, text = str(given.pop("when", "")).strip(), str(given.pop("text", "")).strip()
    options = [_option(name, value) for name, value in given.items() if value is not False]
    return " ".join([*options, *([when] if when else []), *([APART, text] if text else [])])


def _filing(given: dict[str, str | bool], in_thread: bool) -> str:
    """`--repo=x -- text`; the text alone where it cannot be taken for anything else."""
    text = str(given.get("text", "")).strip()
    options = [_option(name, value) for name, value in given.items() if name != "text" and value is not False]
    if not options and in_thread:
        options = [FILES]
    if not options and parse(text, door="slash", in_task_thread=False) == FileTask(text, Options()):
        return text
    return " ".join([*options, "--", text])


def _option(name: str, value: str | bool) -> str:
    if value is True:
        return f"--{name}"
    plain = str(value).replace('"', "'")
    return f'--{name}="{plain}"' if any(letter.isspace() for letter in plain) else f"--{name}={plain}"
