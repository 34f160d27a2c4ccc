"""Keeps secrets out of everything that is shown, logged or stored (security rule 8).

Layer 1 knows values: every configured or minted secret, in twelve encodings. Layer 2 knows formats: seventeen patterns
of tokens. There are no entropy rules: they find thousands of "secrets" in ordinary text.
"""

import base64
import html
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"
SHORTEST: Final = 6
"""Shorter values are not masked: they would hit ordinary words."""

_LINE_SHORTEST: Final = 16
_SECRET_NAME: Final = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PRIVATE_KEY|SSH_KEY|ACCESS_KEY|SECRET_KEY|API_KEY|CONNECTION_STRING)$"
)


@dataclass(frozen=True, slots=True)
class Format:
    """A token format. `anchors`: literals of which one is in every match, looked for first because that is fast."""

    name: str
    anchors: tuple[str, ...]
    pattern: re.Pattern[str]
    shown: str = MASK


def _format(name: str, anchors: str, pattern: str, shown: str = MASK) -> Format:
    return Format(name, tuple(anchors.split()), re.compile(pattern), shown)


_B: Final = r"(?<![A-Za-z0-9_])"
_E: Final = r"(?![A-Za-z0-9])"
_BEGIN_KEY: Final = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_END_KEY: Final = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY_START: Final = re.compile(_BEGIN_KEY)

FORMATS: Final[tuple[Format, ...]] = (
    _format("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", rf"{_B}gh[pousr]_[A-Za-z0-9_.-]{{36,600}}"),
    _format("GitHub fine-grained token", "github_pat_", rf"{_B}github_pat_[A-Za-z0-9_]{{22,255}}"),
    _format("GitLab token", "gl", rf"{_B}gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat)-[A-Za-z0-9_.-]{{20,300}}"),
    _format("Slack token", "xox xapp-", rf"{_B}(?:xox[a-z](?:\.xox[a-z])?|xapp)-[A-Za-z0-9-]{{10,400}}"),
    _format(
        "webhook address",
        "hooks.slack /webhooks/",
        r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{20,200}"
        r"|discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d{15,21}/[A-Za-z0-9_-]{40,100}",
    ),
    _format("Discord token", ".", rf"{_B}[MNO][A-Za-z0-9_-]{{23,27}}\.[A-Za-z0-9_-]{{6}}\.[A-Za-z0-9_-]{{27,40}}{_E}"),
    _format("AWS key id", "AKIA ASIA ABIA ACCA", rf"{_B}(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{{16}}{_E}"),
    _format(
        "AWS secret key",
        "ecret ECRET",
        r"(?P<keep>(?i:(?:aws_?)?secret_?access_?key|aws_?secret_?key)[\"']?\s{0,3}(?:=>|[=:])\s{0,3}[\"']?)"
        r"[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])",
        r"\g<keep>" + MASK,
    ),
    _format("model API key", "sk-", r"(?<![A-Za-z0-9_-])sk-(?=[A-Za-z_-]{0,60}\d)[A-Za-z0-9_-]{20,300}"),
    _format("Google API key", "AIza", rf"{_B}AIza[A-Za-z0-9_-]{{35}}(?![A-Za-z0-9_-])"),
    _format(
        "Google OAuth secret",
        "ya29. GOCSPX-",
        rf"{_B}(?:ya29\.[A-Za-z0-9_.-]{{20,2000}}|GOCSPX-[A-Za-z0-9_-]{{20,64}})",
    ),
    _format(
        "JSON web token",
        "eyJ",
        r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,4000}\.eyJ[A-Za-z0-9_-]{4,4000}\.[A-Za-z0-9_-]{8,2000}",
    ),
    _format("private key", "-----BEGIN", rf"{_BEGIN_KEY}(?:(?!-----)[\s\S]){{0,20000}}(?:{_END_KEY})?"),
    _format(
        "payment key",
        "_live_ _test_ whsec_",
        rf"{_B}(?:(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{{16,250}}|whsec_[A-Za-z0-9+/=]{{24,100}})",
    ),
    _format(
        "registry token",
        "npm_ pypi-AgE hf_ dckr_pat_",
        rf"{_B}(?:npm_[A-Za-z0-9]{{36}}|pypi-AgE[A-Za-z0-9_-]{{50,500}}|hf_[A-Za-z0-9]{{30,50}}"
        rf"|dckr_pat_[A-Za-z0-9_-]{{20,60}}){_E}",
    ),
    _format(
        "credentials in an address",
        "://",
        r"(?P<keep>[A-Za-z0-9+.-]://)[^\s/@:\"'<>]{0,200}:[^\s/@\"'<>]{1,500}(?=@)",
        r"\g<keep>" + MASK,
    ),
    _format(
        "authorization header",
        "uthorization UTHORIZATION",
        r"(?P<keep>(?i:authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:(?:basic|bearer|token)\s{1,3})?))"
        r"[A-Za-z0-9._~+/=-]{8,4000}",
        r"\g<keep>" + MASK,
    ),
)


class Redactor:
    """Masks known secrets and known formats. Values shorter than 6 characters are ignored.

    Build it once per set of secrets: the encodings are worked out here.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = frozenset(secret for secret in secrets if len(secret) >= SHORTEST)
        variants = {variant for secret in self._secrets for variant in encodings(secret)}
        self._variants = tuple(sorted(variants, key=lambda variant: (-len(variant), variant)))

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    @property
    def longest(self) -> int:
        """The length of the longest encoded secret, in characters."""
        return len(self._variants[0]) if self._variants else 0

    @property
    def variants(self) -> tuple[str, ...]:
        """Every encoded secret, longest first. Never show them."""
        return self._variants

    def knowing(self, *secrets: str) -> "Redactor":
        """The same with more secrets: a token minted a moment ago, a run's dummy key."""
        return Redactor(self._secrets.union(secrets))

    def mask(self, text: str) -> str:
        """The text with every secret replaced by `***`."""
        return mask_formats(self._mask_values(text))

    def stream(self) -> "Stream":
        """For text that arrives in pieces."""
        return Stream(self)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where known values stand in the text, whatever their encoding."""
        found = self._found(text)
        return [match.span() for match in found.finditer(text)] if found else []

    def _found(self, text: str) -> re.Pattern[str] | None:
        # A search per value is many times faster than one alternation of hundreds of them.
        there = [variant for variant in self._variants if variant in text]
        return re.compile("|".join(map(re.escape, there))) if there else None

    def _mask_values(self, text: str) -> str:
        while (found := self._found(text)) is not None:
            text = found.sub(MASK, text)  # always shorter, so this ends
        return text


class LiveRedactor:
    """A redactor that learns secrets while the process runs: minted tokens, the dummy keys of runs.

    It keeps the newest `NEWEST` of them; those are short-lived. Safe to share between threads."""

    NEWEST: Final = 200

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = Redactor(secrets)
        self._learned: tuple[str, ...] = ()
        self._all = self._known

    def learn(self, secret: str) -> None:
        """Masks this value too from now on."""
        if secret and secret not in self._learned:
            self._learned = (*self._learned, secret)[-self.NEWEST :]
            self._all = self._known.knowing(*self._learned)

    def mask(self, text: str) -> str:
        """The text with every secret replaced by `***`."""
        return self._all.mask(text)


def mask_formats(text: str) -> str:
    """The text with everything that has the format of a token replaced by `***` (layer 2 alone)."""
    for kind in FORMATS:
        for anchor in kind.anchors:  # `any` would make a generator for each of them
            if anchor in text:
                text = kind.pattern.sub(kind.shown, text)
                break
    return text


class Stream:
    """Masks text that arrives in pieces, wherever it is cut.

    Whole lines come out at once. Held back: an unfinished line, the start of what may become a known value, and a
    private key that has not ended. `close` gives the rest.
    """

    LINE: Final = 4096
    KEY: Final = 20_000

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._across = tuple(
            variant for variant in redactor.variants if len(variant) > self.LINE or "\n" in variant or "\r" in variant
        )
        """Values that a cut after a line can fall into."""
        self._held = ""

    def feed(self, text: str) -> str:
        """What can be shown now; may be empty."""
        self._held += text
        cut = self._safe(self._held)
        ready, self._held = self._held[:cut], self._held[cut:]
        return self._redactor.mask(ready) if ready else ""

    def close(self) -> str:
        """What was held back, masked. The stream can be used again."""
        rest, self._held = self._held, ""
        return self._redactor.mask(rest) if rest else ""

    def _safe(self, held: str) -> int:
        line = max(held.rfind("\n"), held.rfind("\r")) + 1
        cut = max(line, len(held) - self.LINE)
        if cut == 0:
            return 0
        cut = min(cut, _open_key(held, self.KEY), self._begun(held, cut))
        if cut == line and not self._across:
            return cut
        near = max(cut - self._redactor.longest, 0)
        for start, end in self._redactor.spans(held[near : cut + self._redactor.longest]):
            if near + start < cut < near + end:
                return near + start
        return cut

    def _begun(self, held: str, cut: int) -> int:
        """Where, before `cut`, the earliest tail starts that is the beginning of a known value; else `cut`."""
        for variant in self._across:
            at = held.find(variant[0], max(len(held) - len(variant) + 1, 0), cut)
            while at >= 0 and not variant.startswith(held[at:]):
                at = held.find(variant[0], at + 1, cut)
            cut = at if at >= 0 else cut
        return cut


def _open_key(held: str, longest: int) -> int:
    """Where a private key starts that has not ended, or the end of the text."""
    started = [found.start() for found in _KEY_START.finditer(held)] if "-----BEGIN" in held else []
    if not started or len(held) - started[-1] > longest or "-----END" in held[started[-1] :]:
        return len(held)
    return started[-1]


def encodings(secret: str) -> frozenset[str]:
    """A secret as it may appear in text: itself, its long lines, and twelve encodings, none shorter than 6 characters.

    The twelve: base64 at three shifts, command line, expression, JSON, URI, XML, quote-trimmed, two PowerShell forms
    (the encoders of GitHub's runner, `ValueEncoders.cs`), hex.
    """
    forms = {secret, secret.strip(), *(line for line in secret.split("\n") if _is_own_line(line))}
    forms |= {form for shift in range(3) for form in _base64(secret, shift)}
    forms |= {secret.replace('"', '\\"'), secret.replace("\\", "\\\\").replace('"', '\\"')}
    forms.add(secret.replace("'", "''"))
    forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms |= {json.dumps(secret)[1:-1].replace("/", "\\/"), quote(secret, safe="/"), quote(secret, safe="")}
    forms |= {quote_plus(secret), re.sub("%..", lambda hit: hit[0].lower(), quote(secret, safe=""))}
    forms |= {html.escape(secret), html.escape(secret, quote=False)}
    forms |= {html.escape(secret).replace("&#x27;", apostrophe) for apostrophe in ("&apos;", "&#39;")}
    forms.add(secret[1:-1] if len(secret) > 8 and secret[0] == secret[-1] == '"' else secret)
    forms |= set(_powershell(secret))
    raw = secret.encode(errors="surrogatepass").hex()
    forms |= {raw, raw.upper()}
    forms |= {unicodedata.normalize(form, secret) for form in ("NFC", "NFD")}  # what is shown is in NFC
    return frozenset(form for form in forms if len(form) >= SHORTEST)


def _is_own_line(line: str) -> bool:
    return len(line.strip()) >= _LINE_SHORTEST and not line.startswith("-----")


def _base64(secret: str, shift: int) -> tuple[str, ...]:
    """The characters that are the same whatever stands around a secret that starts at `shift`, in both alphabets."""
    data = secret.encode(errors="surrogatepass")
    encoded = base64.b64encode(b"\0" * shift + data).decode()
    sure = encoded[-(-8 * shift // 6) : 8 * (shift + len(data)) // 6]
    return sure, sure.replace("+", "-").replace("/", "_")


def _powershell(secret: str) -> tuple[str, ...]:
    """PowerShell prints a command that failed in two parts, cut after `&+` or else the last `&`."""
    if "&" not in secret:
        return ()
    at = secret.index("&+") + 2 if "&+" in secret else secret.rindex("&") + 1
    return secret[:at], secret[at:].strip()


def secrets_of(environment: Mapping[str, str]) -> frozenset[str]:
    """The values of all variables whose name says that they are secret (`*_TOKEN`, `*_SECRET`, `*_API_KEY`...)."""
    return frozenset(value for name, value in environment.items() if value and _SECRET_NAME.search(name.upper()))
