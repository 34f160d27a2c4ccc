"""What is asked before a follow-up is set: which instant, which zone, when at all (UX rules 4 and 5)."""

from collections.abc import Sequence
from datetime import datetime

from bot.core.buttons import Preset, action_of, follow_up_button, value_of, wish_value
from bot.core.cards import Button, Doc
from bot.core.followups import FollowUp
from bot.core.quoting import code_span
from bot.core.task_cards import say_markdown
from bot.core.tasks import CodeTask
from bot.core.texts import Texts, Word
from bot.core.verbs import CancelTask, Command, RetryTask, ShowTask, Stop, TaskId, verb_word
from bot.core.when import Ask, Reading, Refused, zone_named
from bot.core.when.words import label, sentence
from bot.core.when.zones import zone_name


def question_doc(reading: Reading, number: int, example: str, texts: Texts, now: datetime) -> Doc:
    """Why there is no one instant, with a button for each that could be meant. `number` is the inbox row of the command
    that is done at it; `example` is how such a command starts, for texts that no time can be read in."""
    told = sentence(reading, now, texts)
    values = dict(told.values)
    if "examples" in values:
        times = texts.say("when.examples").split("|")
        values["examples"] = tuple(code_span(f"{example} {time} …") for time in times)
    shown = reading.choices if isinstance(reading, Ask | Refused) else ()
    return Doc(
        text=say_markdown(texts, told.key, **values),
        buttons=tuple(_at(label(one, reading, now, texts), one.at, number, texts) for one in shown),  # type: ignore[arg-type]
    )


def _at(shown: str, at: datetime, number: int, texts: Texts) -> Button:
    name = texts.say("button_name.set_for", time=shown)
    return Button(label=shown, name=name, value=wish_value("at", number, int(at.timestamp())))


def ask_zone_doc(number: int, zones: Sequence[str], texts: Texts) -> Doc:
    """Asks once which zone a person is in; the answer is remembered and does what was asked for."""
    example = code_span(f"{verb_word('settings', texts.language)} tz Asia/Tokyo")
    return Doc(
        text=say_markdown(texts, "follow_up.which_zone", example=example),
        buttons=tuple(_zone(name, number, texts) for name in zones),
    )


def _zone(name: str, number: int, texts: Texts) -> Button:
    zone = zone_named(name)
    shown = zone_name(zone, texts.language) if zone is not None else name
    return Button(label=shown, name=texts.say("button_name.zone", zone=shown), value=wish_value("tz", number, name))


def ask_when_doc(number: int, texts: Texts) -> Doc:
    """Asks when, after a message was picked from a menu."""
    presets: tuple[tuple[Preset, str], ...] = (("hour", "in_hour"), ("tomorrow", "tomorrow"), ("monday", "next_monday"))
    buttons = [_preset(which, texts.say(f"button.{key}"), number, texts) for which, key in presets]
    other = Button(
        label=texts.say("button.other_time"),
        name=texts.say("button_name.other_time"),
        value=wish_value("later", number),
    )
    return Doc(text=texts.say("follow_up.when"), buttons=(*buttons, other))


def _preset(which: Preset, shown: str, number: int, texts: Texts) -> Button:
    return Button(
        label=shown, name=texts.say("button_name.set_for", time=shown), value=wish_value("preset", number, which)
    )


def instead_doc(command: Command, other: FollowUp | CodeTask, texts: Texts) -> Doc:
    """ "FU-7 is a follow-up. Cancel it?" where the number is only known as the other kind."""
    of_task = isinstance(other, CodeTask)
    kind = Word("kind.code_task" if of_task else "kind.follow_up")
    verb, button = _offered(command, other, texts)
    return Doc(text=say_markdown(texts, f"instead.{verb}", ref=other.ref, kind=kind), buttons=(button,))


def _offered(command: Command, other: FollowUp | CodeTask, texts: Texts) -> tuple[str, Button]:
    match command:
        case CancelTask():
            verb = "cancel"
        case RetryTask(_, None):
            verb = "retry"
        case Stop():
            verb = "stop"
        case _:
            verb = "show"
    if isinstance(other, FollowUp):
        return verb, follow_up_button("details" if verb == "show" else verb, other, texts, named=True)
    target = TaskId("CT", other.id or 0)
    action = action_of(
        CancelTask(target) if verb in ("cancel", "stop") else RetryTask(target) if verb == "retry" else ShowTask(target)
    )
    assert action is not None
    name = texts.say(f"button_name.{action.verb}", ref=other.ref)
    verb = "cancel" if verb == "stop" else verb
    return verb, Button(label=name, name=name, value=value_of(action.verb, action.number))
