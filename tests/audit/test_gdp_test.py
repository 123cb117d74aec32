"""The test of a claimed mu-GDP: its null bound, its validity under any dependence, its power."""

import math

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.inference.epsilon import epsilon_lower_bound, judged_coins
from limbeck.audit.inference.gdp_null import expected_excess, guessing_cut
from limbeck.audit.inference.gdp_test import (
    Guessed,
    gdp_lower_bound,
    gdp_p_value,
    log_e_value,
    refutes,
    right_guesses,
)
from limbeck.audit.inference.intervals import Clusters
from limbeck.errors import OptionError
from limbeck.privacy.gaussian import delta_of, epsilon_of, mu_of

pytestmark = pytest.mark.usefixtures("unchecked")


def independent_release(g, mu, runs, units):
    """Each coin its own coordinate of a Gaussian mechanism."""
    coins = g.random((runs, units)) < 0.5
    return g.standard_normal(coins.shape) + mu * coins, coins


def dependent_release(g, mu, runs, units):
    """Every run draws one likelihood ratio and tells all coins with it: mu-GDP for each coin.

    Alone, a coin told with log-odds mu |x|, x ~ N(mu/2, 1), is exactly the Gaussian mechanism.
    """
    coins = g.random((runs, units)) < 0.5
    sure = special.expit(mu * np.abs(g.standard_normal((runs, 1)) + mu / 2))
    told = coins ^ (g.random(coins.shape) > sure)
    return told + 0.5 * g.random(coins.shape), coins


def test_epsilon_of_is_the_inverse_of_delta():
    for shift in (0.1, 0.9, 2.0, 6.0):
        assert delta_of(shift, epsilon_of(shift, 1e-5)) == pytest.approx(1e-5, rel=1e-6)
    assert epsilon_of(mu_of(4.0, 1e-5), 1e-5) == pytest.approx(4.0)
    assert epsilon_of(1e-6, 1e-5) == epsilon_of(0.0, 1e-5) == 0.0


def test_guesses_are_the_ends_of_each_run():
    scores = np.array([[3.0, 1.0, 2.0, 0.0, 5.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    coins = np.array([[True, True, False, False, False], [True, False, True, False, False]])
    np.testing.assert_array_equal(right_guesses(scores, coins, 2), [1, 2])
    np.testing.assert_array_equal(right_guesses(scores, coins, 5), [3, 3])
    np.testing.assert_array_equal(right_guesses(scores, coins, 1), [1, 1])


@pytest.mark.parametrize("mu", [0.2, 0.9, 2.0])
@pytest.mark.parametrize(
    ("guesses", "depth", "idle"),
    [(500, 1.5, 1.1), (500, -2.0, 1.5), (50, 1.0, 0), (500, 8.0, 1.03)],
)
def test_no_dependence_exceeds_the_null_bound_and_it_is_not_idle(mu, guesses, depth, idle):
    """The two ends: coins told independently, and all of a run's coins told with one certainty."""
    cut = guessing_cut(mu, guesses / 500)
    typical = stats.norm.cdf(mu / 2 - cut) / (guesses / 500)
    start = guesses * typical - depth * math.sqrt(typical * (1 - typical) * guesses)
    bound = expected_excess(500, guesses, start, mu)
    v = np.arange(guesses + 1)

    def excess(chance):
        return float((np.maximum(v - start, 0) * stats.binom.pmf(v, guesses, chance)).sum())

    if guesses == 500:  # all coins are guessed, so these are exact
        grid = np.linspace(0, 12, 1201)
        sure = np.array([excess(a) for a in special.expit(mu * grid[::8])])
        density = stats.norm.pdf(grid, mu / 2) + stats.norm.pdf(grid, -mu / 2)
        values = np.interp(grid, grid[::8], sure) * density
        worst = max(excess(typical), float(integrate.simpson(values, x=grid)))
        assert worst * (1 - 1e-6) <= bound <= idle * worst
    else:  # a bound from below: the mean of a maximum is at least the maximum of the mean
        assert bound >= guesses * typical - start - 1e-9
    assert bound <= guesses - start + 1e-9


def test_bound_of_the_null_is_the_integral_it_claims_to_be():
    """Against a dense trapezium sum of the function in the module's proof."""
    mu, coins, guesses, start = 1.3, 400, 160, 118.0
    x0, cut = start / guesses, guessing_cut(1.3, 0.4)
    x = np.linspace(cut, 14, 400_001)
    a = special.expit(mu * x)
    density = stats.norm.pdf(x, mu / 2) + stats.norm.pdf(x, -mu / 2)
    smallest = []
    for s in (0.5, 1.1 * math.sqrt(x0 * (1 - x0))):
        decay = math.sqrt(guesses) / s

        def f(t, s=s, decay=decay):
            soft = s / (2 * math.sqrt(guesses)) * np.exp(-decay * np.abs(t - x0))
            return np.maximum(t - x0, 0) + soft

        gaps = []
        for v in range(guesses + 1):  # tangents by central differences
            total = 0.0
            for u, count, kind in ((v - 1, v, "right"), (v, guesses - v, "wrong")):
                if count:
                    at, h = (u + 0.5) / guesses, 1e-7
                    slope = (f(at + h) - f(at - h)) / (2 * h)
                    line = f(at) + slope * ((1 if kind == "right" else 0) - at)
                    total += count * line
            gaps.append(max(v - start, 0) - total)
        smallest.append(coins * np.trapezoid(f(a) * density, x) + max(max(gaps), 0))
    assert expected_excess(coins, guesses, start, mu) == pytest.approx(min(smallest), rel=1e-6)


@pytest.mark.parametrize("release", [independent_release, dependent_release])
@pytest.mark.parametrize("mu", [0.3, 1.5])
def test_true_claims_are_hardly_ever_refuted(release, mu):
    g = np.random.default_rng(0)
    for runs, repetitions in ((1, 25), (16, 200)):
        small = sum(gdp_p_value(*release(g, mu, runs, 200), mu) <= 0.05 for _ in range(repetitions))
        assert small <= stats.binom.ppf(0.999, repetitions, 0.05)


@pytest.mark.parametrize("release", [independent_release, dependent_release])
@pytest.mark.parametrize("mu", [0.3, 1.5])
def test_e_value_of_one_run_is_at_most_one_on_average(release, mu):
    scores, coins = release(np.random.default_rng(1), mu, 3000, 200)
    for size in (200, 60):
        right = right_guesses(scores, coins, size)
        value = {
            v: math.exp(log_e_value([Guessed(size, 1.0, np.array([v]))], 200, mu))
            for v in np.unique(right)
        }
        single = np.array([value[v] for v in right])
        assert single.mean() <= 1 + 3.1 * single.std() / math.sqrt(len(single))


def test_the_independent_test_is_wrong_where_trials_are_dependent():
    """Why the caller must say so: pooled as independent, one run's luck counts 200 times."""
    g = np.random.default_rng(2)
    wrong = right = 0
    for _ in range(100):
        scores, coins = dependent_release(g, 1.5, 8, 400)
        wrong += gdp_p_value(scores, coins, 1.5, independent=True) <= 0.05
        right += gdp_p_value(scores, coins, 1.5) <= 0.05
    limit = stats.binom.ppf(0.999, 100, 0.05)
    assert wrong > limit >= right


def test_exact_where_independent():
    g = np.random.default_rng(3)
    scores, coins = independent_release(g, 1.0, 16, 100)
    right = int(right_guesses(scores, coins, 100).sum())
    for claim in (0.7, 0.85):
        expected = 2 * stats.binomtest(right, 1600, stats.norm.cdf(claim / 2), "greater").pvalue
        found = gdp_p_value(scores, coins, claim, independent=True)
        assert found == pytest.approx(min(expected, 1), rel=1e-9)


@pytest.mark.parametrize(("epsilon", "share"), [(1.0, 0.70), (4.0, 0.88), (10.0, 0.93)])
def test_tight_on_the_gaussian_mechanism(epsilon, share):
    """64 runs of 500 canaries, whatever the dependence; nearer still where it is known."""
    g = np.random.default_rng(int(epsilon))
    mu = mu_of(epsilon, 1e-5)
    plain, known = [], []
    for _ in range(3):
        data = independent_release(g, mu, 64, 500)
        plain.append(gdp_lower_bound(*data, delta=1e-5).low)
        known.append(gdp_lower_bound(*data, delta=1e-5, independent=True).low)
    assert share <= np.mean(plain) / epsilon < 1
    assert share <= np.mean(known) / epsilon < 1
    assert max(plain) < epsilon


def test_bound_is_the_first_mu_that_is_not_refuted():
    g = np.random.default_rng(5)
    for runs in (1, 12):
        scores, coins = independent_release(g, 2.0, runs, 200)
        bound = gdp_lower_bound(scores, coins, delta=1e-5)
        mu = mu_of(bound.low, 1e-5)
        assert gdp_p_value(scores, coins, mu * 0.999) <= 0.05
        assert gdp_p_value(scores, coins, mu * 1.001) > 0.05
        assert bound.trials == runs * 200
        values = [gdp_p_value(scores, coins, m) for m in np.geomspace(0.05, 6, 8)]
        assert (np.diff(values) >= -1e-12).all()
    noise = g.standard_normal((16, 100)), g.random((16, 100)) < 0.5
    assert gdp_lower_bound(*noise, delta=1e-5).low == 0.0


def test_alarm_is_familywise():
    g = np.random.default_rng(6)
    scores, coins = independent_release(g, 1.0, 32, 200)
    claim = optimize.brentq(lambda m: gdp_p_value(scores, coins, m) - 5e-4, 0.3, 1.0)
    assert refutes(scores, coins, claim)
    assert not refutes(scores, coins, claim, claims=10)
    assert not refutes(scores, coins, 1.0)


def test_what_a_generic_bound_cannot_refute_through_lira_and_held_out_references():
    """A mechanism of epsilon 10 that claims epsilon 6: signals in, references of half A alone."""
    g = np.random.default_rng(9)
    coins = g.random((64, 200)) < 0.5
    record = 3 * g.standard_normal(200)
    signals = g.standard_normal(coins.shape) + 2.0 * coins + record
    observed = Observed(signals[:, None].astype(np.float32), coins)
    halves, clusters = np.arange(64) % 2 == 1, Clusters.separate(200)
    claim = mu_of(6.0, 1e-5)
    judged = judged_coins(LiRA(), observed, halves, clusters)
    assert judged[0].shape == judged[1].shape == (32, 200)
    assert refutes(*judged, claim)
    generic = epsilon_lower_bound([(LiRA(), observed)], halves, clusters, delta=1e-5)
    assert generic.low < 6
    assert not refutes(*judged, 2.0)


def test_a_leak_in_the_tail_alone_is_seen():
    """One coin in fifty told outright: the guesses at all coins hardly notice, the few do."""
    g = np.random.default_rng(7)
    coins = g.random((64, 500)) < 0.5
    told = g.random(coins.shape) < 0.02
    scores = np.where(told, 100 * (coins - 0.5), g.standard_normal(coins.shape))
    assert gdp_p_value(scores, coins, 0.3) < 1e-3
    assert log_e_value([Guessed(500, 1.0, right_guesses(scores, coins, 500))], 500, 0.3) < 0


@pytest.mark.parametrize(
    ("scores", "coins", "mu", "named"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2), dtype=bool), 1.0, r"\(2, 3\)"),
        (np.zeros((0, 3)), np.zeros((0, 3), dtype=bool), 1.0, r"\(0, 3\)"),
        (np.full((2, 3), np.nan), np.zeros((2, 3), dtype=bool), 1.0, "NaN"),
        (np.zeros((2, 3)), np.zeros((2, 3), dtype=bool), 0.0, "mu is 0"),
    ],
)
def test_what_cannot_be_tested_is_refused(scores, coins, mu, named):
    with pytest.raises(OptionError, match=named):
        gdp_p_value(scores, coins, mu)


def test_extremes_have_a_value():
    coins = np.random.default_rng(8).random((10, 7)) < 0.5
    assert gdp_p_value(coins.astype(float), coins, 20.0) == 1.0
    assert gdp_p_value(coins.astype(float), coins, 1e-3) < 0.05
    one = np.array([[True]])
    assert gdp_p_value(one.astype(float), one, 1.0) == 1.0
