"""Real payloads with something odd in them, for the readers of all platforms."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)


@st.composite
def mutated(draw: st.DrawFn, payloads: Sequence[Any]) -> dict[str, Any]:
    """A real payload in which a few values were removed or replaced by something odd."""
    payload: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(payloads))))
    for _ in range(draw(st.integers(1, 4))):
        holder: Any = payload
        for _ in range(draw(st.integers(0, 4))):
            inner = [value for value in _values(holder) if isinstance(value, dict | list) and value]
            if not inner:
                break
            holder = draw(st.sampled_from(inner))
        key = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        if draw(st.booleans()):
            holder[key] = draw(ODD)
        elif isinstance(holder, dict):
            del holder[key]
        if not payload:
            break
    return payload


def _values(holder: Any) -> list[Any]:
    return list(holder.values()) if isinstance(holder, dict) else list(holder)
