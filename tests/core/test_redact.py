"""Nothing secret comes through: values in every encoding, wherever text is cut; token formats; ordinary text stays."""

import base64
import html
import json
import unicodedata
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.redact import FORMATS, MASK, Redactor, encodings, mask_formats, secrets_of

A36 = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
SECRETS = [
    "hunter2hunter2",
    "p@ss w\"or'd&+<x>/y=z",
    "sécret-пароль-密码",
    '"quoted-secret"',
    "a&b&c-secret-tail",
    "back\\slash\\",
]
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + "\n".join(A36 + "x" * 28 for _ in range(6))
    + "\n-----END RSA PRIVATE KEY-----"
)


def base64_inside(secret: str, before: int) -> str:
    return base64.b64encode(b"u:" + b"x" * before + secret.encode() + b"::end").decode()


FORMS = {
    "plain": lambda secret: secret,
    "base64 at shift 0": lambda secret: base64_inside(secret, 1),
    "base64 at shift 1": lambda secret: base64_inside(secret, 2),
    "base64 at shift 2": lambda secret: base64_inside(secret, 0),
    "base64 for addresses": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    "command line": lambda secret: secret.replace('"', '\\"'),
    "expression": lambda secret: secret.replace("'", "''"),
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "JSON in UTF-8": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "URI": lambda secret: quote(secret, safe=""),
    "URI form": quote_plus,
    "XML": lambda secret: html.escape(secret),
    "quote-trimmed": lambda secret: secret.strip('"'),
    "hex": lambda secret: secret.encode().hex(),
    "composed": lambda secret: unicodedata.normalize("NFC", secret),
    "decomposed": lambda secret: unicodedata.normalize("NFD", secret),
    "hex in capitals": lambda secret: secret.encode().hex().upper(),
}


def leaks(shown: str, form: str, secret: str) -> bool:
    """Whether eight characters of the inside are still there (the ends of base64 depend on its surroundings)."""
    inside = form[4:-12] if form.startswith("dT") else form
    return secret in shown or any(inside[at : at + 8] in shown for at in range(len(inside) - 7))


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_known_secret_is_masked_in_every_encoding_and_every_cut(secret: str, form: str) -> None:
    redactor = Redactor(SECRETS)
    encoded = FORMS[form](secret)
    text = f"before {encoded} after\nnext line\n"
    assert MASK in redactor.mask(text)
    assert not leaks(redactor.mask(text), encoded, secret)
    for cuts in range(1, 9):
        stream = redactor.stream()
        size = max(len(text) * cuts // 9, 1)
        shown = "".join([*(stream.feed(text[at : at + size]) for at in range(0, len(text), size)), stream.close()])
        assert shown == redactor.mask(text)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40, 100, 1000])
def test_a_private_key_is_masked_wherever_it_is_cut(size: int) -> None:
    text = f"start\n{PEM}\nend\n"
    stream = Redactor().stream()
    shown = "".join([*(stream.feed(text[at : at + size]) for at in range(0, len(text), size)), stream.close()])
    assert A36 not in shown
    assert shown.startswith("start\n")
    assert shown.endswith("end\n")


@pytest.mark.parametrize("size", [1, 3, 50, 1000])
def test_a_known_secret_of_several_lines_is_masked_wherever_it_is_cut(size: int) -> None:
    secret = "first line of it\nsecond line of it\nthird"
    text = f"a\n{secret}\nb\n"
    stream = Redactor([secret]).stream()
    shown = "".join([*(stream.feed(text[at : at + size]) for at in range(0, len(text), size)), stream.close()])
    assert shown == "a\n***\nb\n"


def test_a_stream_shows_whole_lines_at_once_and_holds_back_unfinished_ones() -> None:
    stream = Redactor(["hunter2hunter2"]).stream()
    assert stream.feed("one\ntwo") == "one\n"
    assert stream.feed(" three\nhunter2") == "two three\n"
    assert stream.feed("hunter2\n") == "***\n"
    assert stream.close() == ""
    assert len(stream.feed("x" * 10_000)) == 10_000 - stream.LINE


@given(
    st.lists(
        st.sampled_from(["hunter2", "hunter2hunter2", "\n", " ", "x", "aHVudGVyMmh1bnRlcjI=", PEM[:60]]), max_size=30
    ),
    st.data(),
)
def test_a_stream_never_shows_more_than_the_whole_would(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    redactor = Redactor(["hunter2hunter2"])
    stream, shown, at = redactor.stream(), "", 0
    while at < len(text):
        size = data.draw(st.integers(1, 40))
        shown += stream.feed(text[at : at + size])
        at += size
    shown += stream.close()
    assert "hunter2hunter2" not in shown
    assert "aHVudGVyMmh1bnRlcjI" not in shown


TOKENS = {
    "GitHub personal": f"ghp_{A36}",
    "GitHub app": f"ghs_{A36}",
    "GitHub OAuth": f"gho_{A36}",
    "GitHub fine-grained": f"github_pat_11ABCDEFG0{A36}_{A36}",
    "GitLab": f"glpat-{A36[:20]}",
    "Slack bot": f"xoxb-123456789012-1234567890123-{A36[:24]}",
    "Slack app": f"xapp-1-A012ABCD-1234567890123-{A36}",
    "Slack webhook": f"https://hooks.slack.com/services/T012ABCDE/B012ABCDE/{A36[:24]}",
    "Discord": f"MTA{A36[:21]}.GaBcDe.{A36[:30]}",
    "Discord webhook": f"https://discord.com/api/webhooks/123456789012345678/{A36}{A36[:32]}",
    "AWS key id": "AKIAIOSFODNN7EXAMPLE",
    "AWS secret": "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "OpenAI": f"sk-{A36}{A36[:12]}",
    "OpenAI project": f"sk-proj-{A36}-{A36}",
    "Anthropic": f"sk-ant-api03-{A36}-{A36}",
    "Google API": f"AIza{A36[:35]}",
    "Google OAuth": f"ya29.{A36}",
    "JWT": f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{A36}",
    "private key": PEM,
    "Stripe": "sk_li" + f"ve_{A36[:24]}",
    "npm": f"npm_{A36}",
    "Lark app secret": A36[:32],
}


def test_at_least_21_of_22_token_kinds_are_caught() -> None:
    assert len(TOKENS) == 22
    assert len(FORMATS) == 17
    missed = [kind for kind, token in TOKENS.items() if token.split(" = ")[-1] in mask_formats(f"x {token} y\n")]
    assert missed == ["Lark app secret"]  # it has no format: layer 1 knows it by value


@pytest.mark.parametrize("kind", TOKENS)
def test_tokens_are_caught_in_their_usual_surroundings(kind: str) -> None:
    token = TOKENS[kind]
    if kind == "Lark app secret" or "\n" in token:
        return
    value = token.split(" = ")[-1]
    for text in (f"'{token}'", f"({token})", f"{token}.", f"url?t={token}&x", f'"{token}",'):
        assert value not in mask_formats(text)


def test_credentials_in_addresses_and_headers() -> None:
    assert mask_formats("git clone https://ana:s3cr3t@example.org/x.git") == "git clone https://***@example.org/x.git"
    assert mask_formats("Authorization: Basic YW5hOnMzY3IzdA==") == "Authorization: Basic ***"
    assert mask_formats('"authorization": "Bearer abcdefgh12345"') == '"authorization": "Bearer ***"'
    assert mask_formats("postgresql://u:p%40ss@db:5432/x") == "postgresql://***@db:5432/x"


ORDINARY = """
The authorization: see the docs. Task-based sk-learn estimators, risk-averse defaults, ask-for-help-when-you-are-stuck.
commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
https://github.com/acme/web/pull/87#discussion_r1234567890 http://localhost:8787/api/v1?x=1@2 user@example.org
sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==
123e4567-e89b-12d3-a456-426614174000 tests/unit/test_export.py::test_utf8[param-0] PASSED [ 12%]
data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==
-----BEGIN CERTIFICATE----- MIIB -----END CERTIFICATE----- glances-at-the-global-glossary xoxo-hugs the glpat prefix
Traceback (most recent call last): File "/usr/lib/python3.11/asyncio/base_events.py", line 650, in run_until_complete
SECRET_KEY is not set; GITHUB_TOKEN is required; --password-file /run/secrets/db; token: <none>; npm_config_cache=/tmp
"""


def test_ordinary_text_stays() -> None:
    assert mask_formats(ORDINARY) == ORDINARY
    assert Redactor(SECRETS).mask(ORDINARY) == ORDINARY


def test_short_values_are_not_secrets() -> None:
    assert Redactor(["", "a", "12345"]).mask("a 12345") == "a 12345"
    assert not encodings("12345"[:0])


def test_more_secrets_can_be_known_later() -> None:
    first = Redactor(["hunter2hunter2"])
    assert first.knowing("minted-token").mask("hunter2hunter2 minted-token") == "*** ***"
    assert first.mask("minted-token") == "minted-token"
    assert "hunter2" not in repr(first)


def test_secrets_of_an_environment() -> None:
    environment = {
        "GITHUB_TOKEN": "a",
        "MY_API_KEY": "b",
        "DB_PASSWORD": "c",
        "PATH": "d",
        "TOKENS_USED": "e",
        "X_SECRET": "",
    }
    assert secrets_of(environment) == {"a", "b", "c"}


@given(st.text(), st.lists(st.text(min_size=6, max_size=20), max_size=4))
def test_masking_leaves_no_known_value(text: str, secrets: list[str]) -> None:
    shown = Redactor(secrets).mask(text + "".join(secrets))
    assert not any(secret in shown for secret in secrets)
