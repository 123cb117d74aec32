"""Noisy scores: the split by hash, what a unit moves, and intervals that hold."""

import math

import numpy as np
import pytest
import torch

from limbeck.data.dataset import LabeledDataset
from limbeck.privacy import score as module
from limbeck.privacy.accuracy import interval, private_accuracy
from limbeck.privacy.gaussian import mu_of
from limbeck.privacy.score import NoisyScore, set_aside

CLAIM = {"epsilon": 1.0, "delta": 1e-5, "adjacency": "add-remove", "unit": "record"}


def data(n=300, groups=None):
    inputs = torch.rand(n, 6, generator=torch.Generator().manual_seed(1))
    return LabeledDataset(inputs, torch.arange(n) % 3, ("a", "b", "c"), groups=groups)


def rows(part):
    return [] if part is None else [tuple(row) for row in part.inputs.tolist()]


def always(k):
    return lambda inputs: torch.eye(3)[k].expand(len(inputs), 3)


@pytest.mark.parametrize("unit", ["record", "group"])
def test_one_unit_more_changes_one_part_by_itself(unit):
    groups = torch.arange(300) // 3
    whole = data(groups=groups)
    making, scoring = map(rows, set_aside(whole, unit))
    assert 0.04 < len(scoring) / 300 < 0.17 and len(making) + len(scoring) == 300
    for gone in range(0, 300, 7):
        out = groups == groups[gone] if unit == "group" else torch.arange(300) == gone
        # Numbers of groups are ranks of names: all later ones move up.
        left = whole.select(~out)
        ranks = left.groups.unique(return_inverse=True)[1]
        less = LabeledDataset(left.inputs, left.labels, left.classes, groups=ranks)
        found = list(map(rows, set_aside(less, unit)))
        missing = rows(whole.select(out))
        assert [[r for r in part if r not in missing] for part in (making, scoring)] == found
        sides = {r in scoring for r in missing}
        assert len(sides) == 1, "a unit is on one side"


def test_a_unit_moves_counts_by_the_sensitivity_at_most(monkeypatch):
    """The clean sums, for all neighbours, in grid steps."""
    seen = []
    monkeypatch.setattr(module, "noised", lambda total, scale, seed: seen.append(total) or total)
    for unit, groups in (("record", None), ("group", torch.arange(60) // 4)):
        whole = data(60, groups)
        for ask in (NoisyScore.margin, NoisyScore.counts):
            seen.clear()
            parts = [whole]
            for gone in range(0, 60, 4):
                out = torch.zeros(60, dtype=torch.bool)
                out[gone : gone + (4 if unit == "group" else 1)] = True
                parts.append(whole.select(~out))
            for part in parts:
                ask(NoisyScore(part, **{**CLAIM, "unit": unit}), always(1))
            moved = [float((seen[0] - other).double().norm()) for other in seen[1:]]
            assert 0.3 * 2**20 < max(moved) <= 2**20


def test_noise_is_what_the_guarantee_says():
    score = NoisyScore(data(), **CLAIM)
    counts, guarantee = score.counts(always(0))
    assert guarantee.epsilon == pytest.approx(1.0, abs=1e-4) and guarantee.epsilon <= 1.0
    assert counts.noise == pytest.approx(1 / mu_of(1.0, 1e-5), rel=1e-4)
    drawn = np.array([score.margin(always(0)) for _ in range(400)])
    assert drawn.mean() == pytest.approx(-100, abs=1.0)
    assert drawn.std() == pytest.approx(counts.noise, rel=0.15)
    replaced, claimed = NoisyScore(data(), **{**CLAIM, "adjacency": "replace-one"}).counts(
        always(0)
    )
    assert replaced.noise == pytest.approx(2 * counts.noise, rel=1e-4)
    assert claimed.adjacency == "replace-one"


def test_without_records_to_score_there_is_an_answer_all_the_same():
    nobody = NoisyScore(None, **CLAIM)
    drawn = np.array([nobody.margin(always(0)) for _ in range(300)])
    assert abs(drawn.mean()) < 1.5 and drawn.std() == pytest.approx(3.73, rel=0.2)
    found, _ = private_accuracy(nobody, always(0))
    assert (found.low, found.high) == (0, 1) or found.high - found.low > 0.5


def test_no_release_depends_on_whether_any_record_is_left_to_make_it_of():
    _, scoring = set_aside(data(), "record")
    making, alone = set_aside(scoring.select([0]), "record")
    assert (len(making), len(alone)) == (0, 1)


@pytest.mark.parametrize("rate", [0.02, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("noise", [0.5, 10.0, 40.0])
@pytest.mark.parametrize("n", [50, 400, 5000])
def test_intervals_hold_the_true_rate(rate, noise, n):
    draws = np.random.default_rng(n)
    trials, hits, widths = 4000, 0, []
    for _ in range(trials):
        right = draws.binomial(n, rate)
        noisy = np.array([right, n - right]) + draws.normal(0, noise, 2)
        found = interval(*noisy, noise)
        assert 0 <= found.low <= found.value <= found.high <= 1
        hits += found.low <= rate <= found.high
        widths.append(found.high - found.low)
    assert hits / trials >= 0.945
    if n == 5000 and noise < 40:
        plain = 2 * 1.96 * math.sqrt(rate * (1 - rate) / n + (noise / n) ** 2)
        assert np.mean(widths) < 1.4 * plain + 0.002


def test_the_accuracy_of_a_classifier_comes_with_noise_and_its_cost():
    score = NoisyScore(data(3000), **{**CLAIM, "epsilon": 0.5})
    found, guarantee = private_accuracy(score, always(2))
    assert found.value == pytest.approx(1 / 3, abs=0.03)
    assert found.low < 1 / 3 + 0.03 and found.high > 1 / 3 - 0.03
    assert found.high - found.low < 0.06
    assert guarantee.epsilon <= 0.5 and len(guarantee.events) == 1
