"""Refits the local judge from the decided suggestions of the database, and keeps the result in the data folder."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bot.cli.failures import FAILED, REFUSED, Failure
from bot.cli.local import explained
from bot.core.intake.drafting import without_draft
from bot.core.intake.overlay import pack_overlay
from bot.core.intake.refit import EACH_MIN, LABELS_MAX, LABELS_MIN, Label, Refit, TooFew, refit
from bot.core.intake.weights import shipped
from bot.core.suggestions import DISMISSED, Suggestion
from bot.core.texts import Texts, languages
from bot.services.intake.local_model import overlay_path
from bot.settings import Settings

KEPT_PRIVATE: Final = 0o600


def train_overlay(settings: Settings, *, dry_run: bool) -> dict[str, Any]:
    """Fits, and writes the overlay if it is better and this is no `dry_run`; what came of it. Too few labels fail."""
    with explained(settings):
        decided = asyncio.run(_decided(settings))
    heads = [Texts.load(language).say(key) for language in languages() for key in ("draft.wanted", "draft.done_when")]
    labels = [Label(without_draft(one.text, heads), one.state is not DISMISSED) for one in decided]
    found = refit(labels, shipped())
    match found:
        case TooFew(requests, others):
            raise Failure(
                f"There are too few decided suggestions: {requests} requests and {others} others.",
                REFUSED,
                f"A refit needs {LABELS_MIN}, at least {EACH_MIN} of each; messages with a marker do not count.",
            )
        case Refit():
            written = found.is_better and not dry_run
            if written:
                _write(overlay_path(settings), pack_overlay(found.overlay))
            return _told(found, written)


def remove_overlay(settings: Settings) -> bool:
    """Deletes the overlay; False where there was none."""
    try:
        overlay_path(settings).unlink()
    except FileNotFoundError:
        return False
    return True


async def _decided(settings: Settings) -> list[Suggestion]:
    from storage.engine import open_database

    store = await open_database(settings.store_url)
    try:
        return await store.run(lambda tx: list(tx.suggestions.labelled(LABELS_MAX)), read=True)
    finally:
        await store.close()


def _told(found: Refit, written: bool) -> dict[str, Any]:
    return {
        "requests": found.overlay.requests,
        "others": found.overlay.others,
        "features": len(found.overlay.features),
        "log_loss_before": round(found.loss_before, 4),
        "log_loss_after": round(found.loss_after, 4),
        "average_precision_before": round(found.precision_before, 4),
        "average_precision_after": round(found.precision_after, 4),
        "better": found.is_better,
        "written": written,
    }


def _write(path: Path, content: bytes) -> None:
    """In one step: a reader sees the old file or the new one."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        made.write_bytes(content)
        made.chmod(KEPT_PRIVATE)
        made.replace(path)
    except OSError as error:
        with suppress(OSError):
            made.unlink()
        raise Failure(f"{path} cannot be written: {error.strerror}.", FAILED) from error
