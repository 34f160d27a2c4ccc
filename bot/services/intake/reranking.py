"""Puts similar code tasks in the order of an embeddings model, where EMBEDDINGS_MODEL names one."""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256
from math import sqrt
from typing import Final

from bot.core.redact import Redactor
from bot.ports import Model, ModelAway, ModelUseless
from bot.settings import Settings

CANDIDATES: Final = 10
"""So many of the nearest by words are put in a new order."""
READ_MAX: Final = 1_000
"""Characters of a text that the model is shown."""
KEPT: Final = 500
"""Vectors of code tasks that are kept in memory, under the hashes of their texts."""

Vector = Sequence[float]


class Reranker:
    """Similarity only ranks: that two ask for the same is for people to say."""

    def __init__(self, settings: Settings, model: Model) -> None:
        self._model = model
        self._redactor = Redactor(settings.secrets())
        self._kept: OrderedDict[bytes, Vector] = OrderedDict()

    async def rerank(self, text: str, candidates: Sequence[tuple[int, str]]) -> list[int]:
        """The numbers of the candidates (number, text), nearest to the text first; in the order given where the model
        cannot be asked or answers with nothing useful."""
        numbers = [number for number, _ in candidates]
        if len(candidates) < 2:
            return numbers
        texts = [self._redactor.mask(one)[:READ_MAX] for _, one in candidates]
        keys = [sha256(one.encode("utf-8", "surrogatepass")).digest() for one in texts]
        asked = [one for one, key in zip(texts, keys, strict=True) if key not in self._kept]
        found = await self._model.embed([self._redactor.mask(text)[:READ_MAX], *asked])
        if isinstance(found, ModelAway | ModelUseless):
            return numbers
        mine, fresh = found[0], iter(found[1:])
        theirs = [self._kept[key] if key in self._kept else next(fresh) for key in keys]
        for key, vector in zip(keys, theirs, strict=True):
            self._kept[key] = vector
            self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        nearness = {number: _cosine(mine, vector) for number, vector in zip(numbers, theirs, strict=True)}
        return sorted(numbers, key=lambda number: -nearness[number])


def _cosine(one: Vector, two: Vector) -> float:
    """-1 to 1; -1 for vectors that have no direction, or not the same length."""
    lengths = sqrt(sum(x * x for x in one)) * sqrt(sum(x * x for x in two))
    return sum(x * y for x, y in zip(one, two, strict=True)) / lengths if lengths and len(one) == len(two) else -1.0
