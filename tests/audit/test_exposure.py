"""Which records are exposed, on signals whose leaks are known."""

from dataclasses import replace

import numpy as np
import pytest

from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.inference.exposure import exposures
from limbeck.audit.inference.shadows import Shadows

pytestmark = pytest.mark.usefixtures("unchecked")
RUNS, CANARIES, ORDINARY = 64, 60, 80
ATTACKS = (LiRA(),)


def left(shifts, image_shift=0.0, halves=None):
    """Shadow runs in which record j's signals are shifted by ``shifts[j]`` when it is a member."""
    g = np.random.default_rng(0)
    groups = np.repeat(["canary", "ordinary", "control"], [CANARIES, ORDINARY, 5])
    inside = g.random((RUNS, len(groups))) < 0.5
    inside[:, groups == "control"] = False
    signals = g.standard_normal((RUNS, 1, 2, len(groups))) + 3 * g.standard_normal(len(groups))
    signals += (inside * shifts)[:, None, None]
    images = g.standard_normal((RUNS, 2, CANARIES + ORDINARY))
    images[:, 1] += image_shift * inside[:, groups != "control"]
    return Shadows(
        signals=signals.astype(np.float32),
        membership=inside,
        groups=groups,
        halves=np.arange(RUNS) % 2 == 1 if halves is None else halves,
        control=g.standard_normal((RUNS, 1, CANARIES)).astype(np.float32),
        images=images.astype(np.float32),
        image_kinds=("nearest-l2", "tracing"),
    )


def test_the_exposed_records_are_counted_and_the_others_are_not():
    shifts = np.zeros(CANARIES + ORDINARY + 5)
    shifts[:7] = 12.0
    canaries, ordinary = exposures(left(shifts), ATTACKS)
    assert (canaries.group, canaries.attack) == ("canary", "lira")
    assert set(np.flatnonzero(canaries.risk.low > 0.5)) == set(range(7))
    told = canaries.summary()
    assert (told.records, told.named) == (CANARIES, 7)
    assert told.most_exposed.low > 0.8 and told.most_exposed.high == 1
    assert ordinary.summary().named == 0


def test_the_signal_is_the_one_that_tells_most_in_the_other_half():
    found = exposures(left(np.zeros(CANARIES + ORDINARY + 5), 4.0), ATTACKS, ATTACKS)
    assert [e.signal for e in found] == ["tracing", "tracing"]
    # The judged half alone is counted.
    assert (found[0].risk.trials <= RUNS // 2).all()


def test_what_tells_in_the_judged_half_alone_is_not_chosen():
    seen = left(np.zeros(CANARIES + ORDINARY + 5))
    inside, images = seen.membership[:, seen.groups != "control"], seen.images.copy()
    images[seen.halves, 0] += 8.0 * inside[seen.halves]
    images[~seen.halves, 1] += 2.0 * inside[~seen.halves]
    found = exposures(replace(seen, images=images), ATTACKS, ATTACKS)
    assert [e.signal for e in found] == ["tracing", "tracing"]


def test_a_group_that_half_a_cannot_tell_of_is_left_out():
    seen = left(np.zeros(CANARIES + ORDINARY + 5))
    crowded = seen.membership.copy()
    crowded[2::2, seen.groups == "canary"] = True  # all of half A's runs but the first
    found = exposures(replace(seen, membership=crowded), ATTACKS)
    assert [exposure.group for exposure in found] == ["ordinary"]


def test_half_a_run_tells_nothing():
    one = np.arange(RUNS) == 3
    assert exposures(left(np.zeros(CANARIES + ORDINARY + 5), halves=one), ATTACKS) == []
