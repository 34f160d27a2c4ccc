"""The one table of verbs and options, and the values that a command can turn out to be.

Slack hints, the CLI's help, the manifests and the help text are made from `VERBS` and `FLAGS`; `bot.core.commands`
reads text by them. Light to import on purpose: `codetask --help` shows it.
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["CT", "FU", "RQ"]
"""Code task, follow-up, suggestion."""

ListFilter = Literal["open", "mine", "all", "queued", "running", "testing", "review", "merged", "failed", "cancelled"]
PriorityName = Literal["low", "normal", "high"]

Shape = Literal["alone", "filter", "verb", "target", "retry", "send", "edit", "when", "setting"]
"""What may follow a verb.

`alone` nothing · `filter` a list filter · `verb` the name of a verb · `target` one id or nothing · `retry` an id, then
`with` and a text · `send` an id and a text · `edit` likewise · `when` a time · `setting` a key and a value.
"""


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: its name, its other names, what may follow, and a hint of its use.

    The help text key is `help.verb.<name>`. `offered` says whether this version answers it; a verb that is not offered
    is still recognised, so that it is never filed as a code task by accident.
    """

    name: str
    shape: Shape
    hint: str
    aliases: tuple[str, ...] = ()
    chinese: tuple[str, ...] = ()
    offered: bool = False

    @property
    def help_key(self) -> str:
        return f"help.verb.{self.name}"


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of filing. `values` lists all allowed values, or is empty when any is. `switch`: takes no value."""

    name: str
    hint: str
    values: tuple[str, ...] = ()
    switch: bool = False
    offered: bool = False

    @property
    def help_key(self) -> str:
        return f"help.flag.{self.name}"


VERBS: Final[tuple[Verb, ...]] = (
    Verb("help", "verb", "help [verb]", ("?",), ("帮助",), offered=True),
    Verb("list", "filter", "list [mine|all|STAGE]", ("ls",), ("列表",), offered=True),
    Verb("show", "target", "show [ID]", ("get",), ("查看",), offered=True),
    Verb("cancel", "target", "cancel [ID]", (), ("取消",), offered=True),
    Verb("retry", "retry", "retry [ID] [with TEXT]", (), ("重试",), offered=True),
    Verb("status", "target", "status [ID]", ("stat",), ("状态",), offered=True),
    Verb("logs", "target", "logs [ID]", ("log",), ("日志",), offered=True),
    Verb("whoami", "alone", "whoami", offered=True),
    Verb("send", "send", "send [ID] TEXT", ("say",), ("发送",)),
    Verb("stop", "target", "stop [ID]", (), ("停止",)),
    Verb("undo", "target", "undo [ID]"),
    Verb("merged", "target", "merged [ID]"),
    Verb("edit", "edit", "edit ID TEXT"),
    Verb("later", "when", "later WHEN [TEXT]", (), ("稍后",)),
    Verb("followups", "alone", "followups"),
    Verb("top", "alone", "top"),
    Verb("suggestions", "alone", "suggestions"),
    Verb("settings", "setting", "settings [KEY [VALUE]]", (), ("设置",)),
)

FLAGS: Final[tuple[Flag, ...]] = (
    Flag("repo", "NAME", offered=True),
    Flag("base", "BRANCH", offered=True),
    Flag("agent", "NAME", offered=True),
    Flag("priority", "low|normal|high", ("low", "normal", "high"), offered=True),
    Flag("name", "SLUG", offered=True),
    Flag("draft", "", switch=True, offered=True),
    Flag("template", "NAME"),
    Flag("preset", "NAME"),
    Flag("at", "WHEN"),
    Flag("quiet", "", switch=True),
)

OFFERED: Final = frozenset(verb.name for verb in VERBS if verb.offered)
OFFERED_FLAGS: Final = tuple(flag.name for flag in FLAGS if flag.offered)

FILTERS: Final[dict[str, ListFilter]] = {
    "open": "open",
    "mine": "mine",
    "all": "all",
    "queued": "queued",
    "running": "running",
    "testing": "testing",
    "review": "review",
    "merged": "merged",
    "failed": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "我的": "mine",
    "全部": "all",
    "已排队": "queued",
    "编写中": "running",
    "测试中": "testing",
    "待评审": "review",
    "已合并": "merged",
    "失败": "failed",
    "已取消": "cancelled",
}
"""What may follow `list`. Nothing = `open`: your own open ones. `mine`: yours in any stage. `all`: everyone's."""

SETTING_KEYS: Final = frozenset(
    ["repo", "base", "agent", "intake", "quiet", "reviews", "language", "timezone", "reaction", "tz", "pings"]
)


@dataclass(frozen=True, slots=True)
class TaskId:
    """`CT-42`."""

    kind: Kind
    number: int

    def __str__(self) -> str:
        return f"{self.kind}-{self.number}"


@dataclass(frozen=True, slots=True)
class TaskName:
    """A name, `requester/name`, or a uuid."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ThisThread:
    """No id was given: the code task of the thread the command was written in."""

    def __str__(self) -> str:
        return ""


Target = TaskId | TaskName | ThisThread


@dataclass(frozen=True, slots=True)
class Options:
    """Options of filing, as written; None where not given. Whether a repository or an agent exists is checked later."""

    repo: str | None = None
    base: str | None = None
    agent: str | None = None
    priority: PriorityName | None = None
    name: str | None = None
    draft: bool = False


@dataclass(frozen=True, slots=True)
class FileTask:
    """File a new code task. `text` is as written, in NFC and trimmed; pass it to `check_description`."""

    text: str
    options: Options = Options()


@dataclass(frozen=True, slots=True)
class ListTasks:
    filter: ListFilter = "open"


@dataclass(frozen=True, slots=True)
class ShowTask:
    id: Target


@dataclass(frozen=True, slots=True)
class StatusOf:
    id: Target


@dataclass(frozen=True, slots=True)
class LogsOf:
    """`run` is the attempt when one was named (`logs CT-42#2`), else None: the latest."""

    id: Target
    run: int | None = None


@dataclass(frozen=True, slots=True)
class CancelTask:
    id: Target


@dataclass(frozen=True, slots=True)
class RetryTask:
    """`instruction` is the text after `with`, or None."""

    id: Target
    instruction: str | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """A text for the agent of a code task."""

    id: Target
    text: str


@dataclass(frozen=True, slots=True)
class Help:
    """`verb` is the canonical name of the verb asked about, or None."""

    verb: str | None = None


@dataclass(frozen=True, slots=True)
class WhoAmI:
    pass


@dataclass(frozen=True, slots=True)
class NearMiss:
    """Probably a mistyped command. `suggestion` is the command in its canonical form, `meant` the same, parsed;

    `original` is what was written, to be filed if the person says so."""

    suggestion: str
    meant: "Command"
    original: str


@dataclass(frozen=True, slots=True)
class BadFlag:
    """An option that cannot be read.

    `why`: `unknown` (allowed = the known names), `not_yet` (not offered in this version; the same), `missing` (no value
    given), `value` (not an allowed value; allowed = those, empty when they cannot be listed), `twice`.
    """

    name: str
    why: Literal["unknown", "not_yet", "missing", "value", "twice"]
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotYet:
    """A verb of the full grammar that this version does not offer."""

    verb: str


@dataclass(frozen=True, slots=True)
class Empty:
    """Nothing was written: show the help and the person's latest code tasks."""


@dataclass(frozen=True, slots=True)
class TaskWord:
    """The text starts with a bare "task". `text` is all of it, to be filed if the person says so."""

    text: str


Command = ListTasks | ShowTask | StatusOf | LogsOf | CancelTask | RetryTask | Send | Help | WhoAmI
Parsed = FileTask | Command | NearMiss | BadFlag | NotYet | Empty | TaskWord
