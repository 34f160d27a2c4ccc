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

    `chinese` are its names in Chinese, the first one shown; `chinese_hint` is the hint in Chinese. The help text key is
    `help.verb.<name>`. `offered` says whether this version answers it; a verb that is not offered is still recognised,
    so that it is never filed as a code task by accident.
    """

    name: str
    shape: Shape
    hint: str
    aliases: tuple[str, ...] = ()
    chinese: tuple[str, ...] = ()
    chinese_hint: str = ""
    offered: bool = False

    @property
    def help_key(self) -> str:
        return f"help.verb.{self.name}"

    def words(self, language: str = "en") -> tuple[str, ...]:
        """Its names in a language, the one to show first. Every one is understood, whatever language a person reads."""
        return self.chinese if language == "zh" else (self.name, *self.aliases)

    def usage(self, language: str = "en") -> str:
        """The hint in a language: `cancel [ID]`, `取消 [编号]`."""
        return self.chinese_hint if language == "zh" else self.hint


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of filing. `values` lists all allowed values, or is empty when any is. `switch`: takes no value.

    `chinese` is its name in Chinese: `--仓库 web`, `仓库=web`."""

    name: str
    hint: str
    values: tuple[str, ...] = ()
    chinese: str = ""
    chinese_hint: str = ""
    switch: bool = False
    offered: bool = False

    @property
    def help_key(self) -> str:
        return f"help.flag.{self.name.replace('-', '_')}"

    def word(self, language: str = "en") -> str:
        """Its name in a language."""
        return self.chinese if language == "zh" else self.name

    def usage(self, language: str = "en") -> str:
        """How it is written in a language: `--repo NAME`, `--仓库 名称`."""
        hint = self.chinese_hint if language == "zh" else self.hint
        return f"--{self.word(language)} {hint}".rstrip()


VERBS: Final[tuple[Verb, ...]] = (
    Verb("help", "verb", "help [verb]", ("?",), ("帮助",), "帮助 [命令]", offered=True),
    Verb("list", "filter", "list [mine|all|STAGE]", ("ls",), ("列表", "列出"), "列表 [我的|全部|阶段]", offered=True),
    Verb("show", "target", "show [ID]", ("get",), ("查看", "显示"), "查看 [编号]", offered=True),
    Verb("cancel", "target", "cancel [ID]", (), ("取消",), "取消 [编号]", offered=True),
    Verb("retry", "retry", "retry [ID] [with TEXT]", (), ("重试", "再试"), "重试 [编号] [附言 文字]", offered=True),
    Verb("status", "target", "status [ID]", ("stat",), ("状态", "进度"), "状态 [编号]", offered=True),
    Verb("logs", "target", "logs [ID]", ("log",), ("日志",), "日志 [编号]", offered=True),
    Verb("whoami", "alone", "whoami", (), ("我是谁",), "我是谁", offered=True),
    Verb("send", "send", "send [ID] TEXT", ("say",), ("发送",), "发送 [编号] 文字", offered=True),
    Verb("stop", "target", "stop [ID]", (), ("停止",), "停止 [编号]", offered=True),
    Verb("undo", "target", "undo [ID]", (), ("撤销",), "撤销 [编号]", offered=True),
    Verb("merged", "target", "merged [ID]", (), ("已合并", "标为已合并"), "已合并 [编号]"),
    Verb("edit", "edit", "edit ID TEXT", (), ("编辑",), "编辑 编号 文字", offered=True),
    Verb("later", "when", "later WHEN [TEXT]", (), ("稍后",), "稍后 时间 [文字]", offered=True),
    Verb("followups", "alone", "followups", (), ("跟进",), "跟进", offered=True),
    Verb("run", "target", "run FU-7", (), ("运行",), "运行 FU-7", offered=True),
    Verb("change", "edit", "change FU-7 WHEN", (), ("修改",), "修改 FU-7 时间", offered=True),
    Verb("delete", "target", "delete ID", ("rm",), ("删除",), "删除 编号"),
    Verb("top", "alone", "top", (), ("热门",), "热门", offered=True),
    Verb("suggestions", "alone", "suggestions", (), ("需求建议", "建议列表"), "需求建议", offered=True),
    Verb(
        "settings",
        "setting",
        "settings [KEY [VALUE]]",
        (),
        ("设置",),
        "设置 [名称 [值]]",
        offered=True,
    ),
)


def verb_word(name: str, language: str = "en") -> str:
    """The verb as it is shown in a language."""
    return next(verb.words(language)[0] for verb in VERBS if verb.name == name)


FLAGS: Final[tuple[Flag, ...]] = (
    Flag("repo", "NAME", (), "仓库", "名称", offered=True),
    Flag("base", "BRANCH", (), "基准分支", "分支", offered=True),
    Flag("agent", "NAME", (), "智能体", "名称", offered=True),
    Flag("priority", "low|normal|high", ("low", "normal", "high"), "优先级", "低|普通|高", offered=True),
    Flag("name", "SLUG", (), "名称", "短名称", offered=True),
    Flag("draft", "", (), "草稿", switch=True, offered=True),
    Flag("template", "NAME", (), "模板", "名称"),
    Flag("preset", "NAME", (), "预设", "名称"),
    Flag("at", "WHEN", (), "时间", "时间"),
    Flag("quiet", "", (), "安静", switch=True),
)

FOLLOW_UP_FLAGS: Final[tuple[Flag, ...]] = (
    Flag("agent", "NAME", (), "智能体", "名称", offered=True),
    Flag("remind", "", (), "提醒", switch=True, offered=True),
    Flag("if-missed", "run|skip", ("run", "skip"), "错过", "运行|跳过", offered=True),
    Flag("if-busy", "queue|skip", ("queue", "skip"), "忙时", "排队|跳过", offered=True),
    Flag("title", "TEXT", (), "标题", "文字", offered=True),
)
"""The options of a follow-up, before its time, between time and text, or at the end."""

FLAG_VALUES: Final = {
    "低": "low",
    "普通": "normal",
    "高": "high",
    "是": "yes",
    "否": "no",
    "运行": "run",
    "跳过": "skip",
    "排队": "queue",
}
"""Chinese values of options, and what they mean."""

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
    "未完成": "open",
    "我的": "mine",
    "全部": "all",
    "所有": "all",
    "已排队": "queued",
    "排队": "queued",
    "排队中": "queued",
    "编写中": "running",
    "运行中": "running",
    "测试中": "testing",
    "待评审": "review",
    "评审": "review",
    "已合并": "merged",
    "失败": "failed",
    "已失败": "failed",
    "已取消": "cancelled",
}
"""What may follow `list`. Nothing = `open`: your own open ones. `mine`: yours in any stage. `all`: everyone's."""

SHOWN_FILTERS: Final[dict[str, dict[ListFilter, str]]] = {
    "zh": {meant: word for word, meant in reversed(FILTERS.items()) if not word.isascii()}
}
"""How each filter is written in a language other than English: the first of its words."""

FOLLOW_UP_VERBS: Final = ("show", "status", "logs", "cancel", "stop", "run", "retry", "change", "delete")
"""What can be done with one follow-up."""

FollowUpFilterName = Literal["open", "mine", "all", "pending", "running", "success", "failed", "cancelled"]

FOLLOW_UP_FILTERS: Final[dict[str, FollowUpFilterName]] = {
    "open": "open",
    "mine": "mine",
    "all": "all",
    "pending": "pending",
    "running": "running",
    "success": "success",
    "done": "success",
    "failed": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "未完成": "open",
    "我的": "mine",
    "全部": "all",
    "所有": "all",
    "待执行": "pending",
    "运行中": "running",
    "已完成": "success",
    "失败": "failed",
    "已取消": "cancelled",
}
"""What may follow `followups` and `/followup list`. Nothing = `open`: your own that are pending or running."""

SHOWN_FOLLOW_UP_FILTERS: Final[dict[str, dict[FollowUpFilterName, str]]] = {
    "zh": {meant: word for word, meant in reversed(FOLLOW_UP_FILTERS.items()) if not word.isascii()}
}

SETTING_KEYS: Final = frozenset(
    ["repo", "base", "agent", "intake", "quiet", "reviews", "language", "timezone", "reaction", "tz", "pings"]
)

SettingKey = Literal["tz", "pings", "timezone", "intake", "reaction", "repo", "base", "agent", "language"]
SETTING_WORDS: Final[dict[str, SettingKey]] = {
    "tz": "tz",
    "时区": "tz",
    "pings": "pings",
    "提及": "pings",
    "timezone": "timezone",
    "频道时区": "timezone",
    "intake": "intake",
    "需求收集": "intake",
    "reaction": "reaction",
    "表情": "reaction",
    "repo": "repo",
    "仓库": "repo",
    "base": "base",
    "基准分支": "base",
    "agent": "agent",
    "智能体": "agent",
    "language": "language",
    "语言": "language",
}
"""Settings that this version answers, by their words: a person's own zone and pings, the others a channel's."""

PINGS_WORDS: Final = {
    "results": "results",
    "questions": "questions",
    "none": "none",
    "off": "none",
    "结果": "results",
    "问题": "questions",
    "无": "none",
    "关闭": "none",
}
"""Values of the setting `pings`."""

MODE_WORDS: Final = {
    "off": "off",
    "observe": "observe",
    "suggest": "suggest",
    "auto": "auto",
    "关闭": "off",
    "观察": "observe",
    "建议": "suggest",
    "自动": "auto",
}
"""Values of the setting `intake`."""


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
class FollowUpOptions:
    """Options of a follow-up, as written; None where not given. Whether the agent exists is checked later."""

    agent: str | None = None
    remind: bool = False
    if_missed: Literal["run", "skip"] | None = None
    if_busy: Literal["queue", "skip"] | None = None
    title: str | None = None


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
class Stop:
    """Ends the work on a code task or a follow-up."""

    id: Target


@dataclass(frozen=True, slots=True)
class SetFollowUp:
    """Set a follow-up. `text` begins with the time, in words; what is behind it is what to do (`core.when` divides
    them). Where a form asked for both apart, `text` is the time alone and `what` the rest."""

    text: str
    options: FollowUpOptions = FollowUpOptions()
    what: str | None = None


@dataclass(frozen=True, slots=True)
class ListFollowUps:
    filter: FollowUpFilterName = "open"


@dataclass(frozen=True, slots=True)
class RunNow:
    """Make a pending follow-up due now."""

    id: Target


@dataclass(frozen=True, slots=True)
class ChangeFollowUp:
    """Give a follow-up another time. `when` is the time in words, empty when it was left out."""

    id: Target
    when: str


@dataclass(frozen=True, slots=True)
class DeleteFollowUp:
    id: Target


@dataclass(frozen=True, slots=True)
class Setting:
    """Show a setting (`value` None), or change it; without a key, all that there are."""

    key: SettingKey | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class EditText:
    """Another text for a suggestion, or for a code task that is still queued."""

    id: Target
    text: str


@dataclass(frozen=True, slots=True)
class Undo:
    """Take back what was filed without a person."""

    id: Target


@dataclass(frozen=True, slots=True)
class Top:
    """What most people ask for."""


@dataclass(frozen=True, slots=True)
class ListSuggestions:
    pass


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
    `of` is what the option was given for.
    """

    name: str
    why: Literal["unknown", "not_yet", "missing", "value", "twice"]
    allowed: tuple[str, ...] = ()
    of: Literal["task", "follow_up"] = "task"


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


OnTask = ListTasks | ShowTask | StatusOf | LogsOf | CancelTask | RetryTask | Stop | Send
"""What code tasks know; most of it follow-ups too."""

OnFollowUp = SetFollowUp | ListFollowUps | RunNow | ChangeFollowUp | DeleteFollowUp
"""What only follow-ups know."""

OnIntake = EditText | Undo | Top | ListSuggestions
"""What suggestions brought along."""

Command = (
    ListTasks
    | ShowTask
    | StatusOf
    | LogsOf
    | CancelTask
    | RetryTask
    | Stop
    | Send
    | Help
    | WhoAmI
    | OnFollowUp
    | OnIntake
    | Setting
)
Parsed = FileTask | Command | NearMiss | BadFlag | NotYet | Empty | TaskWord
