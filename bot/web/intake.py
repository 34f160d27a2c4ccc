"""`/api/v1/intake/report`, for admins: what intake heard, would have suggested, and was right about. Figures only."""

from datetime import timedelta
from typing import Any, Final

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel

from bot.core.inbound import ThreadRef
from bot.core.intake.scorer import suggest_threshold
from bot.core.suggestions import Mode
from bot.services.intake.llm import THRESHOLD, asks_model
from bot.services.intake.local_model import local_weights
from bot.services.intake.modes import FEATURES, Modes
from bot.services.intake.report import CHANNELS_MAX, Channel, ChannelReport, Figures, read_figures
from bot.settings import Settings
from bot.store import Transaction
from bot.web.code_tasks import PartsOf, Text
from bot.web.errors import ENGLISH, ApiError
from bot.web.filing import split_channel
from bot.web.people import AdminReads

LATELY: Final = timedelta(days=30)


async def _intake_on(request: Request) -> None:
    if not set(request.app.state.parts.settings.features) >= FEATURES:
        raise ApiError(404, "disabled", ENGLISH.say("refused.intake_disabled"))


router = APIRouter(prefix="/intake", tags=["intake"], dependencies=[Depends(_intake_on)])


class FiguresOut(BaseModel):
    """`judged` items since then, how many were `above_threshold` and their `share`; items by `states`, skipped ones by
    `reasons`; `scores` counts judged items by tenths from 0 to 1. Of all suggestions that people ever `decided` about,
    `requests` were some, and `precision` is their share (null: none was decided)."""

    judged: int
    above_threshold: int
    share: float | None
    states: dict[str, int]
    reasons: dict[str, int]
    scores: list[int]
    decided: int
    requests: int
    precision: float | None


class ChannelFiguresOut(FiguresOut):
    """The figures of one channel, `platform:workspace:id`, and its mode now."""

    channel: str
    mode: Mode


class IntakeReportOut(BaseModel):
    """The judge that is set and its threshold, the figures of all channels together, and of each."""

    since: AwareDatetime
    judge: str
    threshold: float
    total: FiguresOut
    channels: list[ChannelFiguresOut]


@router.get("/report")
async def report_intake(
    parts: PartsOf, _: AdminReads, channel: Text | None = None, since: AwareDatetime | None = None
) -> IntakeReportOut:
    """What intake would have suggested, by channel; the last 30 days unless `since` says otherwise. `channel` is an id,
    `workspace::id` or `platform:workspace:id`."""
    settings, modes = parts.settings, Modes(parts.tasks.rights)
    threshold = threshold_of(settings)

    def unit(tx: Transaction) -> IntakeReportOut:
        start = since or tx.now - LATELY
        asked = split_channel(channel) if channel else None
        found = [one for one in tx.suggestions.channels(start) if asked is None or _is_asked(one, asked)]
        if asked is not None and not found and all(asked):
            found = [asked]
        reports = [
            ChannelReport(one, modes.of(tx, _place(one)), read_figures(tx, one, start, threshold))
            for one in found[:CHANNELS_MAX]
        ]
        return IntakeReportOut(
            since=start,
            judge="llm" if asks_model(settings) else "rules",
            threshold=threshold,
            total=FiguresOut(**_fields(sum((one.figures for one in reports), Figures()))),
            channels=[
                ChannelFiguresOut(channel=":".join(one.channel), mode=one.mode, **_fields(one.figures))
                for one in reports
            ],
        )

    return await parts.store.run(unit, read=True)


def threshold_of(settings: Settings) -> float:
    """The score from which on the judge that is set suggests."""
    if settings.intake_threshold is not None:
        return settings.intake_threshold
    return THRESHOLD if asks_model(settings) else suggest_threshold(local_weights(settings))


def _fields(figures: Figures) -> dict[str, Any]:
    return {
        "judged": figures.judged,
        "above_threshold": figures.above,
        "share": figures.share,
        "states": dict(figures.states),
        "reasons": dict(figures.reasons),
        "scores": list(figures.scores),
        "decided": figures.decided,
        "requests": figures.requests,
        "precision": figures.precision,
    }


def _is_asked(channel: Channel, asked: Channel) -> bool:
    return all(not said or said == one for said, one in zip(asked, channel, strict=True))


def _place(channel: Channel) -> ThreadRef:
    platform, workspace_id, channel_id = channel
    return ThreadRef(platform=platform, workspace_id=workspace_id, channel_id=channel_id)
