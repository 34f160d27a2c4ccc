"""The weights of the local judge here: the shipped ones, with what the people of this installation taught them."""

from pathlib import Path

import structlog

from bot.core.intake.overlay import FILE_NAME, BrokenOverlay, corrected, read_overlay
from bot.core.intake.weights import Weights, shipped
from bot.settings import Settings

log = structlog.get_logger(__name__)


def overlay_path(settings: Settings) -> Path:
    """Where `codetask intake train` leaves the overlay and the server looks for it when it starts."""
    return settings.data_dir / FILE_NAME


def local_weights(settings: Settings) -> Weights:
    """The weights to judge with. An overlay that is damaged, or was made for other weights, is said and left out."""
    base = shipped()
    path = overlay_path(settings)
    try:
        overlay = read_overlay(path, base)
    except BrokenOverlay as error:
        log.error("intake_overlay_refused", path=str(path), why=str(error), say="Run: codetask intake train")
        return base
    return base if overlay is None else corrected(base, overlay)
