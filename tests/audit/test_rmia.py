"""RMIA against a triple loop written from its formula."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.loss_threshold import loss_threshold
from limbeck.audit.attacks.rmia import RMIA, rmia
from limbeck.errors import OptionError
from limbeck.recipe import from_recipe, recipe


def draw(seed, runs, views=2, records=9, points=14, shift=2.0, spread=3.0):
    g = np.random.default_rng(seed)
    membership = g.random((runs, records)) < 0.5
    effects = spread * g.standard_normal(records + points)
    signals = g.standard_normal((runs, views, records + points)) + effects
    signals[..., :records] += shift * membership[:, None]
    signals = signals.astype(np.float32)
    return signals[..., :records].copy(), signals[..., records:].copy(), membership


def slow_rmia(margins, population, membership, online, gamma, a, known):
    runs, views, records = margins.shape
    points = population.shape[2]
    p = np.maximum(1 / (1 + np.exp(-margins.astype(float))), 1e-300)
    q = np.maximum(1 / (1 + np.exp(-population.astype(float))), 1e-300)

    def usual(values, inside):
        """p(x) from the other runs' probabilities of x, and who of them held x."""
        if online:
            if not inside.any() or inside.all():
                return None
            return (values[inside].mean() + values[~inside].mean()) / 2
        return None if inside.all() else ((1 + a) * values[~inside].mean() + (1 - a)) / 2

    scores = np.zeros((runs, records))
    for t in range(runs):
        others = known & (np.arange(runs) != t)
        for v in range(views):
            for j in range(records):
                common = usual(p[others, v, j], membership[others, j])
                ratio = 1.0 if common is None else p[t, v, j] / common
                for z in range(points):
                    seen = q[others, v, z]
                    if not len(seen):
                        other = 1.0
                    elif online:
                        other = q[t, v, z] / seen.mean()
                    else:
                        other = q[t, v, z] / (((1 + a) * seen.mean() + (1 - a)) / 2)
                    scores[t, j] += ratio / other > gamma * (1 + 1e-9)  # a tie does not count
    return scores / (views * points)


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize(("gamma", "a"), [(1.0, 0.3), (2.0, 1.0), (0.7, 0.0)])
@pytest.mark.parametrize(("runs", "some"), [(1, False), (2, False), (8, False), (9, True)])
def test_sorted_ratios_equal_the_triple_loop(online, gamma, a, runs, some):
    margins, population, membership = draw(runs, runs)
    known = np.random.default_rng(1).random(runs) < 0.6 if some else np.ones(runs, dtype=bool)
    fast = rmia(
        margins,
        population,
        membership,
        online=online,
        gamma=gamma,
        a=a,
        reference_runs=known if some else None,
    )
    slow = slow_rmia(margins, population, membership, online, gamma, a, known)
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-12)


@pytest.mark.parametrize("online", [True, False])
def test_probabilities_of_all_magnitudes_do_not_cancel(online):
    """A mean of the others by subtraction would lose 1e-200 beside a run's own 0.9."""
    margins, population, membership = draw(2, 10, spread=150.0)
    margins[:, 0, :4] = -400.0
    margins[3, 0, :4] = 5.0
    fast = rmia(margins, population, membership, online=online, a=1.0)
    known = np.ones(10, dtype=bool)
    slow = slow_rmia(margins, population, membership, online, 1.0, 1.0, known)
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-12)


@pytest.mark.parametrize("online", [True, False])
def test_blocks_of_records_do_not_show(online, monkeypatch):
    margins, population, membership = draw(3, 6, records=50)
    whole = rmia(margins, population, membership, online=online)
    monkeypatch.setattr("limbeck.audit.attacks.rmia._BLOCK", 6 * 7)
    np.testing.assert_array_equal(rmia(margins, population, membership, online=online), whole)


def test_scores_are_shares_of_the_views_points_and_a_tie_does_not_count():
    margins, population, membership = draw(4, 8, views=3, points=5)
    steps = rmia(margins, population, membership) * 15
    np.testing.assert_allclose(steps, steps.round(), atol=1e-9)
    assert set(np.unique(steps.round())) <= set(range(16))
    # Points that are the records themselves, in no run: all ratios are equal, gamma 1 is not
    # exceeded by any of a point's own ratio.
    nobody = np.zeros_like(membership)
    own = rmia(margins, margins[..., [2]], nobody, online=False)
    assert (own[:, 2] == 0).all()


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_a_mechanism_that_never_varies_shows_nothing(online, gamma):
    g = np.random.default_rng(5)
    membership = g.random((16, 100)) < 0.5
    row = (5 * g.standard_normal(130)).astype(np.float32)
    same = np.broadcast_to(row, (16, 2, 130))
    scores = rmia(
        same[..., :100].copy(),
        same[..., 100:].copy(),
        membership,
        online=online,
        gamma=gamma,
        a=1.0,
    )
    assert (scores == 0).all()


def test_every_reference_counts_whatever_its_size():
    """Pitfall: averages that keep the largest half would not move with the smallest run."""
    margins, population, membership = draw(6, 9, views=1, records=1, points=400)
    before = rmia(margins, population, membership)
    smallest = 1 + int(margins[1:, 0, 0].argmin())
    largest = 1 + int(margins[1:, 0, 0].argmax())
    for run in (smallest, largest):
        moved = margins.copy()
        moved[run, 0, 0] = 0.2
        assert rmia(moved, population, membership)[0, 0] != before[0, 0]


def test_a_leak_that_the_loss_does_not_show_is_found():
    margins, population, membership = draw(7, 24, views=1, records=200, points=200, shift=1.5)
    found = roc_auc_score(membership.ravel(), rmia(margins, population, membership).ravel())
    plain = roc_auc_score(membership.ravel(), loss_threshold(margins).ravel())
    assert found > 0.78 > 0.65 > plain


def test_population_points_that_are_members_hide_the_leak():
    """Pitfall: z that were members of the target look as typical as x does."""
    margins, population, membership = draw(8, 24, views=1, records=200, points=200, shift=1.5)
    everyone = population + np.float32(1.5)  # as in every run that trained on them
    ours = rmia(margins, population, membership, gamma=2.0, online=False, a=0.3)
    theirs = rmia(margins, everyone, membership, gamma=2.0, online=False, a=0.3)
    assert ours[membership].mean() > theirs[membership].mean() + 0.05


def test_the_class_is_the_function_and_asks_for_its_population():
    margins, population, membership = draw(9, 8)
    known = np.arange(8) < 5
    seen = Observed(margins, membership, known, population)
    np.testing.assert_array_equal(
        RMIA(online=False, gamma=2.0, a=0.5).score(seen),
        rmia(margins, population, membership, online=False, gamma=2.0, a=0.5, reference_runs=known),
    )
    assert [RMIA().title, RMIA(online=False).title] == ["rmia", "rmia-offline"]
    assert from_recipe(recipe(RMIA(gamma=2.0))) == RMIA(gamma=2.0)
    with pytest.raises(OptionError, match="there are none: give the signals"):
        RMIA().score(Observed(margins, membership))
    with pytest.raises(OptionError, match=r"need \(8, 2, points\)"):
        Observed(margins, membership, population=population[:7])
    with pytest.raises(OptionError, match="population of shape"):
        Observed(margins, membership, population=population[..., :0].copy())
    population[1, 0, 3] = np.inf
    with pytest.raises(OptionError, match=r"population of shape .* run 1, view 0, record 3"):
        Observed(margins, membership, population=population)


def test_some_of_the_runs_keep_what_belongs_to_them():
    margins, population, membership = draw(10, 6)
    chosen = np.arange(6) % 2 == 0
    labels = np.arange(9) % 3
    half = Observed(margins, membership, ~chosen, population, labels).of_runs(chosen)
    assert half.references.all() and half.labels is labels
    np.testing.assert_array_equal(
        RMIA().score(half), rmia(margins[chosen], population[chosen], membership[chosen])
    )
