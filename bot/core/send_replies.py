"""What the thread is told of a run that works on the branch of a code task in review: a `send`, or a follow-up that
fell due in its thread (UX rule 1, "run of a `send` in review ended")."""

from datetime import datetime, timedelta

from bot.core.cards import Doc
from bot.core.followup_replies import failed_doc, requester_of, result_doc
from bot.core.followups import FollowUp
from bot.core.quoting import Markdown, code_span, escape
from bot.core.redact import mask_formats
from bot.core.task_cards import Mask, plain, pull_request_link, say_markdown, tests_text
from bot.core.tasks import CodeTask
from bot.core.texts import Texts


def pushed_doc(
    follow_up: FollowUp,
    task: CodeTask,
    said: str,
    counts: tuple[int, int],
    texts: Texts,
    now: datetime,
    mask: Mask,
    *,
    fresh_session: bool = False,
) -> Doc:
    """What was added to the pull request (lines, tests), then what the agent said. It mentions the sender.

    `counts` are the inserted and the deleted lines of this run alone; `task` has the outcome of its tests.
    `fresh_session`: an earlier conversation could not be resumed."""
    change = texts.say("card.changed", insertions=counts[0], deletions=counts[1])
    facts = Markdown(texts.listed((change, escape(tests_text(task, texts, mask)))))
    key = "send.pushed" if task.pr_number is not None else "send.pushed_branch"
    head = say_markdown(texts, key, ref=task.ref, where=_where(task), facts=facts)
    doc = _result(follow_up, said, texts, now, fresh_session=fresh_session)
    return doc.model_copy(update={"text": f"{head}\n\n{doc.text}"})


def unchanged_doc(
    follow_up: FollowUp, task: CodeTask, said: str, texts: Texts, now: datetime, *, fresh_session: bool = False
) -> Doc:
    """What the agent said, and that it changed nothing."""
    doc = _result(follow_up, said, texts, now, fresh_session=fresh_session)
    note = say_markdown(texts, "send.unchanged", where=_where(task))
    return doc.model_copy(update={"text": f"{doc.text}\n\n{note}"})


def send_failed_doc(follow_up: FollowUp, task: CodeTask, pushed: str, texts: Texts, now: datetime) -> Doc:
    """Why it failed, and what that means for the pull request. `pushed` is the branch that has got the change all the
    same, empty where it has not."""
    doc = failed_doc(follow_up, texts, now)
    key = "send.has_it" if pushed else "send.stays"
    note = say_markdown(texts, key, where=code_span(pushed) if pushed else _where(task))
    return doc.model_copy(update={"text": f"{doc.text} {note}"})


def ended_doc(follow_up: FollowUp, task: CodeTask, texts: Texts) -> Doc:
    """Its run was ended because the code task left review."""
    return _line(follow_up, say_markdown(texts, "send.ended", ref=follow_up.ref, task=task.ref))


def left_doc(follow_up: FollowUp, branch: str, texts: Texts) -> Doc:
    """What was ended had reached the branch before it noticed."""
    return _line(follow_up, say_markdown(texts, "send.left", ref=follow_up.ref, branch=code_span(branch)))


def _line(follow_up: FollowUp, text: Markdown) -> Doc:
    topic = f"{follow_up.ref} {plain(follow_up.title, mask_formats)}"
    return Doc(text=text, mention=requester_of(follow_up), topic=topic)


def _result(follow_up: FollowUp, said: str, texts: Texts, now: datetime, *, fresh_session: bool) -> Doc:
    late = timedelta(seconds=follow_up.late_seconds) if follow_up.late_seconds is not None else None
    return result_doc(follow_up, said, texts, now, late=late, fresh_session=fresh_session)


def _where(task: CodeTask) -> Markdown:
    """The pull request, or the branch where there is none."""
    return pull_request_link(task) if task.pr_number is not None else code_span(task.branch or "")
