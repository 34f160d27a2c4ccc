"""The patterns behind `bot.core.intake.guard`: for each reason, anchors and what they may stand in.

A text is in lower case and NFKC here. Every gap is bounded and stays on one line, so the search is linear.
"""

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rule:
    """One group of patterns of a reason."""

    key: str
    anchors: tuple[str, ...]
    """Literals of which one is in every match; looked for first, because that is fast."""
    pattern: re.Pattern[str]


def _rule(key: str, anchors: str, *patterns: str) -> Rule:
    return Rule(key, tuple(anchors.split()), re.compile("|".join(patterns)))


def _near(first: str, second: str, gap: int) -> str:
    """Both in this order, on one line, at most `gap` characters apart."""
    return rf"(?:{first})[^\n]{{0,{gap}}}?(?:{second})"


def _verbs(stems: str) -> str:
    """The words that begin so: `delet` is delete, deletes, deleted, deleting."""
    return rf"\b(?:{'|'.join(stems.split())})(?:e|es|ed|s|d|ing|[a-z]ing)?\b"


_WIPES: Final = _verbs("delet wip eras destroy nuk purg remov")
_STORES: Final = (
    r"(?:databases?|db|tables?|schemas?|user ?data|customer ?data|production data|data|records|rows|backups?|buckets?|"
    r"volumes?|branch(?:es)?|repo(?:sitor(?:y|ies))?s?|git history|home director(?:y|ies)|file ?systems?|disks?|files|"
    r"user accounts|customers|users)\b"
)
_EVERY: Final = r"\b(?:all|every|everything|entire|whole|any)\b(?: of)?(?: (?:the|our|their|your|my))?(?: \w{1,20})? "
_DESTRUCTIVE: Final = (
    _rule(
        "destructive",
        "rm -rf mkfs dd --force -f force git shred chmod drop truncate format curl wget :() delete",
        r"\brm +-[a-z]{0,4}[rf][a-z]{0,4}\b",
        r"\bmkfs\b|\bdd +if=|\bshred +-|:\(\) ?\{|\bchmod +-r +777",
        r"\bgit +push\b[^\n]{0,60}?(?:--force|-f\b)|\bforce[ -]?push|\bgit +reset +--hard|\bgit +clean +-[a-z]{0,3}f",
        r"\b(?:curl|wget)\b[^\n|]{0,200}\| ?(?:sudo )?(?:ba|z)?sh\b",
        r"\bdrop (?:the )?(?:\w{1,30} )?(?:tables?|databases?|schemas?)\b|\btruncate (?:the )?(?:\w{1,30} )?tables?\b",
        r"\bdelete from\b|\bformat (?:the )?(?:disk|drive|hard)",
    ),
    _rule(
        "destructive",
        "delet wip eras destroy nuk purg remov",
        _near(_WIPES, _EVERY + _STORES, 30),
        _near(_WIPES, r"\b(?:prod(?:uction)?|live|staging) (?:db|databases?|data|servers?|tables?)\b", 30),
        _near(_WIPES, r"\b(?:the|our) (?:whole |entire )?(?:database|db|backups?|git history|repository)\b", 12),
    ),
)

_ZH_DATA: Final = "数据库|数据|用户|客户|文件|备份|仓库|分支|磁盘|硬盘|表"
_ZH_DESTRUCTIVE: Final = _rule(
    "destructive",
    "删 清 格式化 强推 强制推 抹 销毁",
    "删库|强制推送?|强推",
    "格式化.{0,6}(?:硬盘|磁盘|分区)",
    rf"清空.{{0,4}}(?:所有|全部|整个|生产|线上|数据库).{{0,6}}(?:{_ZH_DATA})?",
    rf"(?:删除|删掉|抹掉|清除|销毁).{{0,4}}(?:所有|全部|整个|生产|线上).{{0,6}}(?:{_ZH_DATA})",
    rf"(?:所有|全部|整个|生产|线上).{{0,8}}(?:{_ZH_DATA}).{{0,4}}(?:删掉|删除|删了|清空|清掉|抹掉|销毁)",
)

_SECRET: Final = (
    r"\b(?:secrets?|credentials?|passwords?|api[ _-]?keys?|access[ _-]?keys?|private[ _-]?keys?|ssh[ _-]?keys?|"
    r"(?:access |api |auth |bot |deploy |github |slack )?tokens?|env(?:ironment)? ?var(?:iable)?s?)\b"
)
_ZH_SECRET: Final = "密钥|秘钥|私钥|密码|令牌|凭证|凭据|环境变量|token|api ?key|secret"
_SECRETS: Final = (
    _rule(
        "secrets",
        "print dump echo cat reveal leak expos hard commit harvest steal extract past base64",
        _near(
            _verbs("print dump echo cat reveal leak expos harvest steal extract past commit base64")
            + r"|\bhard[ -]?cod\w{1,4}\b",
            _SECRET,
            40,
        ),
    ),
    _rule(
        "secrets",
        ".env id_ .pem .ssh .aws .npmrc .netrc _token _key _secret _password /etc/ -----begin "
        "environ printenv kubeconfig",
        r"(?<![\w/])\.env\b(?!\.example)|\bid_(?:rsa|ed25519|ecdsa)\b|\.pem\b|\.ssh/|\.aws/|\.npmrc\b|\.netrc\b",
        r"/etc/(?:passwd|shadow)|/proc/[\w*]{1,10}/environ|-----begin [a-z ]{0,40}private key|\bkubeconfig\b",
        r"(?<!\w)[a-z0-9_]{1,60}_(?:api_key|secret_key|access_key|private_key|token|secret|password)\b",
        r"\bprocess\.env\b|\bos\.environ\b|\bprintenv\b",
    ),
    _rule(
        "secrets",
        "密 秘钥 私钥 令牌 凭 环境变量 token key secret",
        rf"(?:打印|输出|导出|写死|硬编码|提交|泄露|泄漏|贴到|发出|发给|读取|读出|记录到日志|明文).{{0,12}}(?:{_ZH_SECRET})",
        rf"(?:{_ZH_SECRET}).{{0,8}}(?:打印|输出到|导出|写死|硬编码|提交到|泄露|泄漏|发给|发到|写进代码|写到代码|明文)",
    ),
)

_CI_NAMES: Final = (
    r"\bci(?:/cd)?\b|\bgithub actions?\b|\b(?:ci|actions?) workflows?\b|"
    r"\b(?:build|deploy|deployment|release) pipelines?\b|"
    r"\bjenkins\b|\bcircleci\b|\bbuildkite\b|\bgitlab pipelines?\b|\bbranch protections?\b|\bprotected branch(?:es)?\b|"
    r"\brequired (?:checks|reviews?)\b|\bpre-?commit hooks?\b"
)
_CHANGES: Final = (
    _verbs("add chang edit updat modify rewrit disabl remov delet skip bypass drop relax configur ignor tweak replac")
    + r"|\b(?:turn|switch|set)(?:s|ting|ing)? (?:off|up)\b"
)
_CI: Final = (
    _rule(
        "ci",
        ".github .gitlab-ci jenkinsfile .circleci .buildkite azure-pipelines codeowners .pre-commit .husky no-verify "
        "[skip [ci",
        r"\.github/|\.gitlab-ci|\bjenkinsfile\b|\.circleci\b|\.buildkite\b|\bazure-pipelines\b|\bcodeowners\b",
        r"\.pre-commit|\.husky\b|--no-verify\b|\[(?:skip ci|ci skip)\]",
    ),
    _rule(
        "ci",
        "ci action workflow pipeline jenkins buildkite branch required pre-commit precommit",
        _near(_CHANGES, _CI_NAMES, 40),
        _near(_CI_NAMES, r"\b(?:settings?|config(?:uration)?s?|secrets?|variables|runners?|permissions?|ya?ml)\b", 20),
        _near(_CI_NAMES, r"\bbe (?:disabled|skipped|turned off|removed|bypassed|optional)\b", 30),
    ),
    _rule(
        "ci",
        "test lint check review",
        r"\b(?:skip|disable|turn off|bypass|comment out|ignore) (?:all |the |our |failing |flaky |those ){0,3}"
        r"(?:tests?|test suite|lint(?:er|ing)?|checks|code reviews?)\b",
        r"\bmerge without (?:an? |any )?(?:tests?|reviews?|checks|approval)\b",
    ),
    _rule(
        "ci",
        "ci 流水线 工作流 测 持续集成 分支 评审 检查",
        r"(?:修改|更改|改一下|改掉|改下|跳过|关闭|关掉|禁用|停用|删除|去掉|绕过|更新|新增|加个|加一个|调整|配置).{0,8}"
        r"(?:(?<![a-z])ci(?![a-z])|流水线|持续集成|构建流程|分支保护|保护分支|合并检查)",
        r"(?:(?<![a-z])ci(?:/cd)?(?![a-z])|流水线|持续集成).{0,6}(?:配置|设置|脚本|密钥|变量|权限|关掉|关闭|跳过|禁用)",
        r"(?:跳过|关掉|关闭|禁用|屏蔽|注释掉|绕过).{0,6}(?:单元测试|单测|测试用例|自动化测试|全部测试|所有测试|代码评审|代码检查)",
    ),
)

_WEAKENS: Final = (
    _verbs("disabl bypass skip remov circumvent weaken drop ignor")
    + r"|\b(?:(?:turn|switch)(?:ing)? off|get(?:ting)? rid of|comment(?:ing)? out|without|no longer requires?)\b"
)
_CHECKS: Final = (
    r"\b(?:auth(?:entication|orization|orisation)?|(?:log-?in|sign-?in|password|permission|access|role) checks?|"
    r"access controls?|2fa|mfa|two-?factor|csrf|xsrf|cors|captchas?|rate[ -]?limit(?:s|ing|er)?|"
    r"(?:tls|ssl|certificate|signature|token) (?:checks?|validation|verif\w{0,8}))\b"
)
_AUTH: Final = (
    _rule(
        "auth",
        "auth check control 2fa mfa factor csrf xsrf cors captcha limit verif validation",
        _near(_WEAKENS, _CHECKS, 30),
    ),
    _rule(
        "auth",
        "admin root sudo superuser owner back privilege permission rights without password certificate token signature",
        r"\bback ?doors?\b|\b(?:master|universal) password\b|\bhard[ -]?cod\w{1,4}\b[^\n]{0,20}?\badmin\b",
        r"\b(?:make|give|grant|promote)\b[^\n]{0,40}?"
        r"\b(?:admin(?:istrator)?|root|sudo|superuser|owner) ?(?:rights?|access|role|privileges?|permissions?)\b",
        r"\b(?:make|promote) (?:me|him|her|them|everyone|everybody|anyone|all users|this user|<?@[\w.-]{1,40}>?) "
        r"(?:to |an? |the ){0,2}(?:admin|root|superuser|owner)\b",
        r"\b(?:elevate|escalat\w{1,5})\b[^\n]{0,20}?\b(?:privileges?|permissions?|rights)\b",
        r"\b(?:anyone|everyone|everybody|any user|all users|the public)\b[^\n]{0,30}?\bwithout (?:an? |any )?"
        r"(?:log(?:ging)?[ -]?in|sign(?:ing)?[ -]?in|password|auth\w{0,12}|account|permissions?)\b",
        r"\b(?:accept|allow)\b[^\n]{0,15}?\bany (?:password|token|certificate|signature|credentials?)\b",
    ),
    _rule(
        "auth",
        "登录 鉴权 认证 权限 校验 验证 2fa mfa 双因素 管理员 后门 root 密码",
        r"(?:绕过|跳过|关闭|关掉|禁用|去掉|取消|不做|移除|屏蔽|放开|放宽).{0,5}"
        r"(?:登录(?:校验|验证|检查|认证|限制)|鉴权|身份认证|身份验证|权限(?:校验|检查|控制|限制|验证)|双因素|两步验证|2fa|mfa|"
        r"签名校验|签名验证|证书校验|证书验证|验证码|访问控制|密码校验|密码验证)",
        r"[留加].{0,3}后门|后门(?:账号|接口|密码)|万能密码",
        r"(?:给|把|让|将).{1,15}(?:管理员|超管|root).{0,3}(?:权限|角色|身份)|(?:设为|设成|提升为|升级为|改成)(?:超级)?管理员",
        r"(?:不登录|无需登录|不用登录|免登录|没有权限|不需要权限).{0,6}(?:就能|就可以|也能|也可以|直接).{0,4}"
        r"(?:访问|下载|查看|修改|删除|操作|调用)",
    ),
)

_LOOT: Final = (
    r"\b(?:source code|code ?base|repositor(?:y|ies)|(?:customer|user|personal|private|production) "
    r"(?:data|records|lists?|e-?mails?)|databases?|env(?:ironment)?(?: ?var(?:iable)?s?)?|secrets?|credentials?|"
    r"passwords?|tokens?|api[ _-]?keys?|cookies|ssh[ _-]?keys?)\b"
)
_OUTSIDE: Final = (
    r"\bhttps?://|\bmy (?:own )?(?:server|site|e-?mail|inbox|endpoint|bucket|machine|address)\b|"
    r"\b(?:external|outside|remote|third[ -]party|foreign) "
    r"(?:server|site|host|url|endpoint|address|service|bucket|e-?mail)\b|\b\d{1,3}(?:\.\d{1,3}){3}\b"
)
_EXFILTRATION: Final = (
    _rule(
        "exfiltration",
        "webhook.site requestbin pastebin ngrok transfer.sh burpcollab interact.sh oast. pipedream exfil 0x0.st "
        "requestcatcher nc curl wget /dev/tcp",
        r"\bwebhook\.site\b|\brequestbin\b|\bpastebin\b|\bngrok\b|\btransfer\.sh\b|\bburpcollaborator\b|\boast\.|\bexfil",
        r"\binteract\.sh\b|\bpipedream\b|\b0x0\.st\b|\brequestcatcher\b|/dev/tcp/|\bnc +(?:-\w{1,3} +)?\d{1,3}\.\d",
        r"\b(?:curl|wget)\b[^\n]{0,200}?(?: -d\b| --data| -f\b| -t\b| --upload| --post)",
    ),
    _rule(
        "exfiltration",
        "send post upload forward mail push cop ship transmit beacon report leak sync",
        _near(
            _near(
                _verbs("send post upload forward mail email e-mail push copy ship transmit beacon leak sync"), _LOOT, 40
            ),
            _OUTSIDE,
            60,
        ),
    ),
    _rule(
        "exfiltration",
        "发 传 拷 复制 推送 同步 上报 拖",
        r"(?:发送|发到|发给|上传|传到|传给|转发|外传|上报|推送|同步|拷贝|复制).{0,20}"
        r"(?:外部(?:服务器|网站|地址|邮箱)|我的(?:服务器|邮箱|网盘|地址)|第三方(?:服务器|网站|邮箱)|外网|境外|个人邮箱|私人邮箱)",
        r"(?:源码|源代码|数据库|客户数据|用户数据|用户信息|密钥|环境变量|全部数据|所有数据).{0,20}"
        r"(?:外传|传出去|发出去|拖走|(?:发送?|上传|传|推送?|同步)(?:到|给|至)? ?https?://)|拖库",
    ),
)

RULES: Final = (*_DESTRUCTIVE, _ZH_DESTRUCTIVE, *_SECRETS, *_CI, *_AUTH, *_EXFILTRATION)
"""In the order in which the reasons are told."""
