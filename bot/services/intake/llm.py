"""The judge that asks a model: one call for one item, its answer checked in code, the rules where it fails."""

from collections.abc import Sequence
from typing import Final, assert_never

from bot.core.intake.drafting import RULES, Draft, Item, data_of, headed, read_draft, schema_of
from bot.core.intake.extract import extract
from bot.core.intake.judgement import Judgement
from bot.core.intake.kinds import Kind
from bot.core.redact import Redactor
from bot.core.tasks import CodeTask
from bot.core.texts import Texts
from bot.ports import Model, ModelAway, ModelUseless
from bot.services.intake.judges import JudgeAway, RulesJudge
from bot.settings import Settings

THRESHOLD: Final = 0.6
"""The model's confidence from which on an item is worth a suggestion."""
CERTAINLY_NOT: Final = 0.05
"""An item that the rules give less than this, and that has no marker, is not worth a call."""
NOT_ASKED: Final = 0.3
"""The highest score of an item that the model calls a question, work under way or chatter."""


def asks_model(settings: Settings) -> bool:
    """Whether a model is to judge, and is named."""
    return settings.intake_judge == "llm" and bool(settings.llm_base_url and settings.llm_model)


class LlmJudge:
    """Implements `Judge` with the model of LLM_*; `rules` judge what is certainly nothing and what the model spoils."""

    def __init__(self, settings: Settings, rules: RulesJudge, model: Model) -> None:
        self.threshold = settings.intake_threshold or THRESHOLD
        self.rules = rules
        self._model = model
        self._redactor = Redactor(settings.secrets())

    async def judge(
        self, text: str, *, before: Sequence[str] = (), repos: Sequence[str] = (), similar: Sequence[CodeTask] = ()
    ) -> Judgement:
        """As `Judge.judge`. Raises `JudgeAway` while the model cannot be reached; what it answers never raises."""
        local = self.rules.judged(text)
        if local.score < CERTAINLY_NOT and not local.marker:
            return local
        mask = self._redactor.mask
        tasks = [(task.id or 0, mask(task.title)) for task in similar]
        item = Item(mask(text), [mask(one) for one in before], repos, tasks)
        answer = await self._model.ask(RULES, data_of(item), schema_of(item), lambda said: read_draft(said, item))
        match answer:
            case ModelAway(after):
                raise JudgeAway(after)
            case ModelUseless():
                return local
            case Draft():
                return _judged(answer, local, text)
            case _:
                assert_never(answer)


def _judged(draft: Draft, local: Judgement, text: str) -> Judgement:
    asks = draft.actionable and not draft.tracked_ref
    if local.marker and not asks:
        return local  # it says itself what it is, and a person wrote that
    if not asks:
        kind = Kind.IN_PROGRESS if draft.actionable else draft.kind
        score = min(draft.confidence, 1 - draft.confidence, NOT_ASKED)
        return Judgement(kind, score, "llm", "model", title="", text="", language=draft.language)
    problem = extract(text).problem
    texts = Texts.load(draft.language)
    heads = {name: texts.say(f"draft.{name}") for name in ("wanted", "done_when")}
    return Judgement(
        kind=local.kind if local.marker else draft.kind,
        score=1.0 if local.marker else draft.confidence,
        judge="llm",
        reason="marker" if local.marker else "model",
        title=draft.title,
        text=headed(draft, heads, problem),
        language=draft.language,
        marker=local.marker,
        evidence=draft.evidence_quote if draft.evidence_quote in problem else "",  # a masked secret is in no text
        question=draft.missing_info or "",
        repo=draft.repo,
        duplicate_of=draft.duplicate,
    )
