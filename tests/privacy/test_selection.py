"""Private selection against brute force, closed forms and dp_accounting's Renyi accountant."""

import math

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent, NeighboringRelation
from dp_accounting.dp_event import RepeatAndSelectDpEvent
from dp_accounting.rdp import RdpAccountant
from scipy import special

from limbeck.errors import OptionError
from limbeck.privacy import selection as module
from limbeck.privacy.accountant import profile
from limbeck.privacy.gaussian import delta_of, epsilon_of, mu_of
from limbeck.privacy.sampled import GRID, Steps, multiplier_for
from limbeck.privacy.selection import Selection, log_ratio, mixed, score_profile


def bound(mu, mean, delta):
    """Epsilon of a choice among runs that are mu-GDP."""
    ratio = log_ratio(lambda e: delta_of(mu, e), mean)
    return epsilon_of(mu, delta / mean) + 2 * ratio


def hockey_stick(p, q, epsilon):
    return max(np.clip(a - math.exp(epsilon) * b, 0, None).sum() for a, b in ((p, q), (q, p)))


def selected(run, mean):
    """The exact law of what geometric K chooses, of outputs in the order of their scores."""
    g = 1 / mean
    best = np.cumsum(run)
    chosen = g * best / (1 - (1 - g) * best)  # the generating function of K
    return np.diff(chosen, prepend=0.0)


@pytest.mark.parametrize("mean", [2, 5, 30])
@pytest.mark.parametrize("truth", [0.3, 1.0])
def test_pure_privacy_costs_what_brute_force_says(mean, truth):
    """Randomised response among many outputs, every order of scores that matters."""
    k = 40
    p, q = np.full(k, 1.0), np.full(k, 1.0)
    p[: k // 2] *= math.exp(truth)
    q[k // 2 :] *= math.exp(truth)
    p, q = p / p.sum(), q / q.sum()
    exact = lambda e: hockey_stick(p, q, e)  # noqa: E731
    claimed = truth + 2 * log_ratio(exact, mean)
    assert truth < claimed <= 3 * truth + 1e-9, "Liu and Talwar 2019, theorem 3.2: 3 epsilon"
    worst = 0.0
    shuffled = [np.random.default_rng(seed).permutation(k) for seed in range(50)]
    for order in (np.arange(k), np.arange(k)[::-1], *shuffled):
        chosen = selected(p[order], mean), selected(q[order], mean)
        assert chosen[0].sum() == pytest.approx(1)
        assert hockey_stick(*chosen, claimed) == pytest.approx(0, abs=1e-12)
        worst = max(worst, np.abs(np.log(chosen[0] / chosen[1])).max())
    # The formula is not idle: a true selection comes close to what it says.
    assert truth < worst <= claimed < worst + 0.35 * truth


@pytest.mark.parametrize("mean", [2, 9, 40])
@pytest.mark.parametrize("mu", [0.1, 0.5, 1.5])
def test_gaussian_runs_scored_by_their_own_output(mean, mu):
    """The worst score there is: how much the output looks like one of the two neighbours."""
    y = np.linspace(-12, 14, 400_001)
    cells = [np.diff(special.ndtr(y - shift)) for shift in (0.0, mu)]
    ratio = log_ratio(lambda e: delta_of(mu, e), mean)
    for order in (slice(None), slice(None, None, -1)):
        chosen = [selected(cell[order], mean) for cell in cells]
        for run in (0.2 * mu, mu, 3 * mu):
            claimed = mean * delta_of(mu, run)
            assert hockey_stick(*chosen, run + 2 * ratio) <= claimed * (1 + 1e-3) + 1e-12
    # A claim without the price of choosing would be false.
    assert hockey_stick(*chosen, epsilon_of(mu, 1e-5)) > 1.5e-5


@pytest.mark.parametrize("mean", [3, 12])
def test_it_is_no_worse_than_renyi_accounting(mean):
    for mu in (0.1, 0.3, 1.0):
        accountant = RdpAccountant(neighboring_relation=NeighboringRelation.ADD_OR_REMOVE_ONE)
        accountant.compose(RepeatAndSelectDpEvent(GaussianDpEvent(1 / mu), mean, 1))
        assert bound(mu, mean, 1e-5) <= accountant.get_epsilon(1e-5)
        assert bound(mu, mean, 1e-5) > 1.2 * epsilon_of(mu, 1e-5)


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 8.0])
def test_what_runs_may_cost_adds_up_to_the_whole(epsilon):
    for mean in (1, 4, 30):
        found = Selection.of(epsilon, 1e-5, mean, score_profile)
        mu = mu_of(found.run_epsilon, found.run_delta)
        assert epsilon * (1 - 1e-3) < bound(mu, mean, 1e-5) <= epsilon
        assert (found.run_epsilon == pytest.approx(epsilon, rel=1e-3)) == (mean == 1)
    # Cheaper than running a list of four once each: mu / 2 a run.
    four = Selection.of(epsilon, 1e-5, 9, score_profile)
    assert epsilon_of(mu_of(four.run_epsilon, four.run_delta), 1e-5) > 1.25 * epsilon_of(
        mu_of(epsilon, 1e-5) / 2, 1e-5
    )


def test_sampled_runs_are_bounded_by_their_own_profile():
    def runs(epsilon, delta):
        steps = [Steps(rate, 60, multiplier_for(epsilon, delta, "add-remove", rate=rate, count=60),
                       1.0).event("steps") for rate in (0.05, 0.3)]  # fmt: skip
        return mixed([profile([event], grid=GRID) for event in steps])

    found = Selection.of(2.0, 1e-5, 6, runs)
    each = runs(found.run_epsilon, found.run_delta)
    assert each(found.run_epsilon) <= found.run_delta * (1 + 1e-9)
    assert found.run_epsilon + 2 * log_ratio(each, 6) <= 2.0
    assert found.run_epsilon > 0.5 * 2.0


def test_the_mean_of_profiles_is_that_of_a_drawn_setting():
    both = mixed([lambda e: delta_of(0.1, e), lambda e: delta_of(0.9, e)])
    assert both(0.5) == pytest.approx((delta_of(0.1, 0.5) + delta_of(0.9, 0.5)) / 2)


def test_the_number_of_runs_is_geometric():
    found = Selection(1.0, 1e-5, 4, 0.5, 1e-6)
    drawn = np.array([found.draw() for _ in range(8_000)])
    assert drawn.min() == 1 and drawn.mean() == pytest.approx(4, abs=0.2)
    for k in (1, 2, 5):
        assert (drawn == k).mean() == pytest.approx(0.25 * 0.75 ** (k - 1), abs=0.02)
    assert {Selection(1.0, 1e-5, 1, 0.5, 1e-6).draw() for _ in range(9)} == {1}


def test_the_best_run_is_kept_and_of_equal_ones_the_first(monkeypatch):
    scores = iter([(3.0, "a"), (5.0, "b"), (5.0, "c"), (4.0, "d"), (9.0, "never")])
    monkeypatch.setattr(Selection, "draw", lambda self: 4)
    assert Selection(1.0, 1e-5, 4, 0.5, 1e-6).choose(lambda: next(scores)) == "b"


def test_too_many_runs_for_the_epsilon_are_refused():
    with pytest.raises(OptionError, match="1 expected run or more, not 0"):
        Selection.of(1.0, 1e-5, 0, score_profile)
    costly = lambda epsilon, delta: lambda e: 0.5  # noqa: E731
    with pytest.raises(OptionError, match="next to nothing of epsilon 1"):
        Selection.of(1.0, 1e-5, 4, costly)


def test_the_grid_rounds_up():
    finer = module._CHANCES
    for mean in (3, 20):
        q = np.geomspace(1e-8, 1, 100_000)
        t = special.ndtr(special.ndtri(q) + 0.4)
        g = 1 / mean
        exact = math.log(((g + (1 - g) * t) / (g + (1 - g) * q)).max())
        claimed = log_ratio(lambda e: delta_of(0.4, e), mean)
        assert exact <= claimed < exact * 1.05 and len(finer) > 1000
