"""What people decided becomes an overlay: it is small, refuses what does not fit, and moves scores the right way."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from bot.core.intake.features import BUCKETS
from bot.core.intake.overlay import (
    FEATURES_MAX,
    SIZE_MAX,
    BrokenOverlay,
    Overlay,
    corrected,
    pack_overlay,
    read_overlay,
    unpack_overlay,
)
from bot.core.intake.refit import EACH_MIN, LABELS_MIN, Label, Refit, TooFew, refit
from bot.core.intake.scorer import score, suggest_threshold
from bot.core.intake.weights import shipped

NOUNS = [
    "invoices",
    "reports",
    "users",
    "orders",
    "charts",
    "filters",
    "exports",
    "members",
    "labels",
    "boards",
    "teams",
    "pages",
    "forms",
    "lists",
]
OTHER = ["fonts", "colours", "icons", "themes", "margins", "corners", "shadows", "avatars", "sounds", "banners"]
SMALL = Overlay(shipped().head.checksum, 1.1, -0.2, {3: 0.5, BUCKETS - 1: -0.25}, 20, 10)


def labels(count: int, seed: int = 1) -> list[Label]:
    """A workspace that files wishes about its data, and never those about its looks."""
    dice = random.Random(seed)
    heads = ("could we get", "it would be nice to have", "please add", "we really need", "can you make")
    made = [Label(f"{dice.choice(heads)} sorting on {dice.choice(NOUNS)} and {dice.choice(NOUNS)}", True)]
    made += [Label(f"{dice.choice(heads)} better {dice.choice(OTHER)} in the sidebar", False)]
    for _ in range(count // 2 - 1):
        made.append(Label(f"{dice.choice(heads)} sorting on {dice.choice(NOUNS)} and {dice.choice(NOUNS)}", True))
        made.append(Label(f"{dice.choice(heads)} better {dice.choice(OTHER)} in the sidebar", False))
    return made


def made_of(found: Refit | TooFew) -> Refit:
    assert isinstance(found, Refit)
    return found


def test_labels_move_scores_towards_what_people_decided() -> None:
    found = made_of(refit(labels(80), shipped()))
    assert found.is_better and found.precision_after > found.precision_before
    weights = corrected(shipped(), found.overlay)
    filed, refused = "could we get sorting on archives please", "could we get better spacing in the sidebar"
    before = [score(text).actionable for text in (filed, refused)]
    after = [score(text, weights=weights).actionable for text in (filed, refused)]
    assert after[1] < before[1] / 2
    assert after[0] - after[1] > before[0] - before[1]
    assert after[0] >= suggest_threshold()


def test_the_same_labels_give_the_same_small_file() -> None:
    one, two = (made_of(refit(labels(60), shipped())).overlay for _ in range(2))
    assert pack_overlay(one) == pack_overlay(two)
    assert len(pack_overlay(one)) < 16_000
    assert len(one.features) <= FEATURES_MAX
    assert not any(word in pack_overlay(one).decode() for word in ("invoices", "sorting", "sidebar"))


def test_a_file_is_read_back_as_it_was_written() -> None:
    assert unpack_overlay(pack_overlay(SMALL), shipped()) == SMALL


def test_no_correction_changes_no_score() -> None:
    weights = corrected(shipped(), Overlay(shipped().head.checksum, 1.0, 0.0, {}, 30, 30))
    for text in ("could we get CSV export on invoices?", "好的谢谢"):
        assert score(text, weights=weights).actionable == pytest.approx(score(text).actionable)


def test_markers_count_for_nothing_and_too_few_labels_are_said() -> None:
    few = labels(LABELS_MIN - 2)
    assert refit(few, shipped()) == TooFew(len(few) // 2, len(few) // 2)
    marked = [Label(f"feature request: {one.text}", one.is_request) for one in labels(80)]
    assert refit([*marked, *few], shipped()) == TooFew(len(few) // 2, len(few) // 2)
    one_sided = [one for one in labels(120) if one.is_request]
    assert refit([*one_sided, *[one for one in few if not one.is_request][: EACH_MIN - 1]], shipped()) == TooFew(
        len(one_sided), EACH_MIN - 1
    )


def test_senseless_labels_are_told_from_useful_ones() -> None:
    dice = random.Random(4)
    told = made_of(refit(labels(80), shipped()))
    mixed = [Label(one.text, dice.random() < 0.5) for one in labels(80)]
    muddle = made_of(refit(mixed, shipped()))
    assert told.precision_after > 0.9 > muddle.precision_after


def changed(**values: Any) -> bytes:
    told = json.loads(pack_overlay(SMALL)) | values
    return json.dumps(told).encode()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"[]", "no overlay of this version"),
        (b'{"format": "codetask-intake-overlay 2"}', "no overlay of this version"),
        (pack_overlay(SMALL)[:-9], "not JSON"),
        (changed(slope=2.0), "checksum"),
        (changed(features={"3": 9.0}), "checksum"),
        (changed(checksum=None), "checksum"),
        (pack_overlay(Overlay("0" * 64, 1.0, 0.0, {}, 1, 1)), "other weights"),
        (pack_overlay(Overlay(SMALL.weights, 0.0, 0.0, {}, 1, 1)), "cannot be read"),
        (pack_overlay(Overlay(SMALL.weights, 1.0, float("nan"), {}, 1, 1)), "cannot be read"),
        (pack_overlay(Overlay(SMALL.weights, 1.0, 0.0, {BUCKETS: 0.1}, 1, 1)), "cannot be read"),
        (pack_overlay(Overlay(SMALL.weights, 1.0, 0.0, {1: 1e9}, 1, 1)), "cannot be read"),
        (b" " * (SIZE_MAX + 10), "not JSON"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "overlay.json"
    path.write_bytes(content)
    with pytest.raises(BrokenOverlay, match=why):
        read_overlay(path, shipped())


def test_no_file_is_no_overlay_and_a_folder_is_refused(tmp_path: Path) -> None:
    assert read_overlay(tmp_path / "absent", shipped()) is None
    with pytest.raises(BrokenOverlay, match="cannot be read"):
        read_overlay(tmp_path, shipped())
