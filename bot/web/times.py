"""Times over HTTP: reading one in the zone of whoever asks, and `GET /when`."""

from datetime import datetime, tzinfo
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import AfterValidator

from bot.core.hygiene import clean
from bot.core.inbound import Person, ThreadRef
from bot.core.when import Ask, Reading, Refused, When, read_anywhere, read_when
from bot.core.when.words import sentence
from bot.services.zones import Zones, read_zone, zone_key
from bot.store import Transaction
from bot.web.code_tasks import PartsOf, Reader
from bot.web.errors import ENGLISH, ApiError
from bot.web.follow_up_schemas import WhenOut
from bot.web.parts import Parts

NOWHERE: Final = ThreadRef(platform="", workspace_id="", channel_id="")
TEXT_MAX: Final = 200
router = APIRouter(tags=["times"])
Text = Annotated[str, Query(min_length=1, max_length=TEXT_MAX), AfterValidator(clean)]
ZoneName = Annotated[str | None, Query(max_length=64)]


@router.get("/when", response_model_exclude_none=True)
async def read_a_time(parts: PartsOf, caller: Reader, text: Text, tz: ZoneName = None) -> WhenOut:
    """Which instant a time is read as: `instant`, or `choices` where it has to be asked. Nothing is set."""

    def unit(tx: Transaction) -> WhenOut:
        zone = zone_for(tx, parts, caller.person, None, tz)
        read = read_time(text, tx.now, zone)
        if isinstance(read, Refused):
            raise unfit_time(read, tx.now)
        told = sentence(read, tx.now, ENGLISH)
        said = WhenOut(zone=zone_key(zone), say=ENGLISH.say(told.key, **told.values))
        if isinstance(read, When):
            said.instant = local(read.at, read.zone)
        else:
            said.choices = [local(choice.at, read.zone) for choice in read.choices]
        return said

    return await parts.store.run(unit, read=True)


def zone_for(
    tx: Transaction, parts: Parts, person: Person, place: ThreadRef | None, asked: str | None
) -> tzinfo | None:
    """The zone that a time without one is read in: as asked, the person's, the channel's, the default; None where none
    is known. A name that is no zone is refused."""
    if asked is None:
        return Zones(parts.settings.default_timezone).of(tx, person, place or NOWHERE)
    zone = read_zone(asked)
    if zone is None:
        raise ApiError(400, "unknown_zone", f"There is no time zone {clean(asked)}.", "Say one like Europe/Berlin.")
    return zone


def read_time(text: str, now: datetime, zone: tzinfo | None) -> Reading:
    """What a text says, read in a zone. Without one, only what means the same everywhere; else it is refused with a
    question (400 `which_zone`)."""
    if zone is not None:
        return read_when(text, now=now, zone=zone)
    read = read_anywhere(lambda name: read_when(text, now=now, zone=name))
    if read is not None:
        return read
    raise ApiError(
        400,
        "which_zone",
        "In which time zone? None is known for you.",
        "Say `tz`, like Europe/Berlin, or a time with an offset.",
    )


def set_time(text: str | float, now: datetime, zone: tzinfo | None) -> datetime:
    """The instant to set; what is not surely one is refused, with the instants it could mean."""
    read = read_time(str(text)[:TEXT_MAX], now, zone)
    if isinstance(read, When):
        return read.at
    raise unfit_time(read, now)


def unfit_time(read: Ask | Refused, now: datetime) -> ApiError:
    """400: `when_ambiguous`, or why it cannot be set; `choices` are offered instants with their offset."""
    told = sentence(read, now, ENGLISH)
    code = "when_ambiguous" if isinstance(read, Ask) else read.key.replace(".", "_")
    error = ApiError(400, code, ENGLISH.say(told.key, **told.values))
    if read.choices or isinstance(read, Ask):
        error.choices = [local(choice.at, read.zone) for choice in read.choices]
        error.hint = "Say one of `choices` as the time."
    return error


def local(at: datetime, zone: tzinfo) -> str:
    """An instant as the clock shows it there, with its offset: `2026-03-07T09:00:00+01:00`."""
    return at.astimezone(zone).isoformat(timespec="seconds")
