"""Redrawn memberships keep what the design fixes, and every arrangement is equally likely."""

from collections import Counter

import numpy as np
import pytest

from limbeck.audit.inference.design import Design, Kind


@pytest.mark.parametrize(
    ("kind", "axis"), [("independent", 0), ("balanced-records", 0), ("balanced-runs", 1)]
)
def test_redrawing_keeps_the_numbers_of_members(kind: Kind, axis: int) -> None:
    drawn = np.random.default_rng(0).random((12, 40)) < 0.3
    redrawn = Design(kind, 0.3).redraw(drawn, np.random.default_rng(1))
    assert np.array_equal(redrawn.sum(axis), drawn.sum(axis))
    assert not np.array_equal(redrawn, drawn)


def test_every_arrangement_is_equally_likely() -> None:
    generator, drawn = np.random.default_rng(2), np.array([[1], [1], [0], [0]], dtype=bool)
    seen = Counter(tuple(Design().redraw(drawn, generator)[:, 0].tolist()) for _ in range(6_000))
    assert len(seen) == 6
    assert all(abs(count - 1_000) < 5 * np.sqrt(1_000) for count in seen.values())


def test_only_independent_fair_coins_are_fair() -> None:
    assert Design().fair
    assert not Design(rate=0.1).fair
    assert not Design("balanced-records").fair
