"""A language model that services may ask. Implementation: `bot/model_client.py`; agents reach theirs by themselves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class ModelAway:
    """The model cannot be asked now. Asking again before `after` is of no use."""

    after: timedelta


@dataclass(frozen=True, slots=True)
class ModelUseless:
    """The model answered, also when asked to repair it, with nothing that can be used. Asking again would not help."""

    why: str
    """A few words of ours for the log; nothing of what was asked or answered."""


class Model(Protocol):
    """One model at one endpoint. No call raises for what the endpoint does."""

    async def ask(
        self, rules: str, data: str, schema: Mapping[str, Any], read: Callable[[str], Read]
    ) -> Read | ModelAway | ModelUseless:
        """What `read` makes of the model's answer to `data` under the instructions `rules`.

        `schema` is the JSON schema of the answer, for endpoints that hold a model to one. `read` gets the answer as
        text and raises ValueError with a message fit for the model when it cannot be used; then the model is asked
        once more with that message.
        """
        ...

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]] | ModelAway | ModelUseless:
        """A vector for each text, all of one length, from the model of EMBEDDINGS_MODEL."""
        ...

    async def aclose(self) -> None: ...
