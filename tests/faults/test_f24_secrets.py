"""F24, on the whole path: an agent that prints, stores in errors and commits every secret. None of them gets out.

The encodings and formats one by one are the redactor's own tests (tests/core/test_redact.py)."""

import base64
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from bot.core.tasks import FailureReason, Stage
from tests.journeys.town import TOKEN, town
from tests.simulators.github.repositories import make_bare
from tests.worker.git_world import FILES
from tests.worker.test_stages import settings

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]

AGENT: Final = """
cat >/dev/null
echo "$CODETASK_RUN_TOKEN" | tee "$(dirname "$0")/token.txt"
codetask post "it is $CODETASK_RUN_TOKEN" >&2
codetask followup create "in 2h" "use $CODETASK_RUN_TOKEN"
cat "$(dirname "$0")/secrets.txt"
cat "$(dirname "$0")/secrets.txt" >&2
echo x > done.txt
exit 3
"""


def encoded(secret: str) -> list[str]:
    raw = secret.encode()
    shifted = [base64.b64encode(b"x" * shift + raw).decode() for shift in range(3)]
    return [secret, *shifted, raw.hex(), raw.hex().upper(), quote(secret, safe=""), f'"{secret}"']


def inner(secret: str) -> list[str]:
    """What must not be found anywhere: the value, and the middle of its encodings that no neighbour changes."""
    raw = secret.encode()
    middles = [base64.b64encode(b"x" * shift + raw).decode()[8:-8] for shift in range(3)]
    return [secret, *middles, raw.hex(), raw.hex().upper()]


async def test_no_secret_gets_out(tmp_path: Path) -> None:
    make_bare(tmp_path / "shop.git", "main", FILES)
    features = ("codetasks", "followups")
    chosen = settings(tmp_path, f"sqlite:///{tmp_path}/data/db", max_attempts=1, keep_failed=0, features=features)
    (tmp_path / "data").mkdir()
    (tmp_path / "agent.sh").write_text(AGENT)
    async with town(tmp_path, **chosen) as place:
        secrets = [TOKEN, place.slack.bot_token, place.slack.app_token]
        lines = [line for secret in secrets for line in encoded(secret)]
        (tmp_path / "secrets.txt").write_text("\n".join(lines) + "\n")
        place.slack.runs_command("ana", f"/codetask Please keep {TOKEN} a secret")
        await place.slack.wait_for(lambda: "Failed" in place.shown(place.card()) if place.slack.sent else False, 60)
        task = await place.task()
        assert task is not None
        assert (task.stage, task.failure_reason) == (Stage.FAILED, FailureReason.AGENT_FAILED)
        place.slack.user_mentions("ana", "logs CT-1")
        await place.slack.wait_for(lambda: place.slack.whispers, 30)
        log = await place.log()
        assert log.count("***") >= len(secrets), "the log holds what the agent printed, masked"
        secrets.append((tmp_path / "token.txt").read_text().strip())
        assert len(secrets[-1]) >= 43 and "FU-1" in log, "the run's own token was used"
        spoken = [repr(message) for message in place.slack.sent] + [repr(whisper) for whisper in place.slack.whispers]
        written = [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
        for secret in secrets:
            for piece in inner(secret):
                assert piece not in log
                assert not any(piece in text for text in spoken)
                filed = sum(content.count(piece.encode()) for content in written)
                assert filed == 0 or piece == TOKEN, "only what the person wrote is stored as it was filed"
        assert place.github.pushes == []
