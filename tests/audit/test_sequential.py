"""Stopping early keeps the level: simulated with a look after every chunk of runs."""

import math

import numpy as np
import pytest
from scipy import stats

from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.attacks.loss_threshold import LossThreshold
from limbeck.audit.inference import roc
from limbeck.audit.inference.epsilon import one_run_p_value
from limbeck.audit.inference.gdp_test import right_guesses
from limbeck.audit.inference.sequential import (
    Look,
    declared_looks,
    evidence_above,
    guess_limit,
    level_at_look,
    level_within,
)
from limbeck.errors import OptionError

pytestmark = pytest.mark.usefixtures("unchecked")


def test_errors_of_all_looks_sum_to_the_level():
    spent = sum(1 - level_at_look(k) for k in range(1, 20_000))
    assert 0.0499 < spent < 0.05
    assert level_at_look(1, 0.999) == pytest.approx(0.9995)
    with pytest.raises(OptionError, match="look is 0"):
        level_at_look(0)


def test_declared_looks_spend_the_error_as_the_runs_come_in():
    assert declared_looks(64) == (Look(16, 0.25), Look(32, 0.25), Look(64, 0.5))
    assert declared_looks(16) == (Look(8, 0.5), Look(16, 0.5))
    for runs in (17, 30, 256):
        assert sum(look.share for look in declared_looks(runs)) == pytest.approx(1)
        assert declared_looks(runs)[-1].runs == runs
    with pytest.raises(OptionError, match="15 runs leave no look"):
        declared_looks(15)
    assert level_within(0.95, 0.25) == pytest.approx(0.9875)


def test_looking_at_null_signals_as_declared_keeps_the_level():
    """The audit's own corrected p-values, at a level of 20% so that a few draws can tell."""
    g = np.random.default_rng(4)
    looks, level, repetitions = declared_looks(48), 0.2, 100
    declared = careless = 0
    for _ in range(repetitions):
        member = g.random((48, 30)) < 0.5
        signals = g.standard_normal((48, 1, 30)).astype(np.float32)
        p_values = []
        for look in looks:
            seen = Observed(signals[: look.runs], member[: look.runs])
            scores = [attack.score(seen) for attack in (LossThreshold(), LiRA())]
            p_values.append([roc.auc(roc.Trials(s, seen.membership))[1] for s in scores])
        corrected = 2 * np.min(p_values, axis=1)
        declared += any(p < level * k.share for p, k in zip(corrected, looks, strict=True))
        careless += bool((np.min(p_values, axis=1) < level).any())
    assert declared <= stats.binom.ppf(0.999, repetitions, level) < careless


def test_wealth_is_a_slow_loop():
    rates = np.random.default_rng(0).beta(2, 5, 30)
    wealth, past, expected = 1.0, [], []
    for rate in rates:
        means = [(0.2 + sum(past[:k])) / (k + 1) for k in range(len(past) + 1)]
        spread = sum((x - m) ** 2 for x, m in zip(past, means, strict=False))
        variance, gain = (0.04 + spread) / (len(past) + 1), means[-1] - 0.2
        stake = min(max(gain / (variance + gain**2), 0), 4.5)
        wealth *= 1 + stake * (rate - 0.2)
        expected.append(wealth)
        past.append(rate)
    np.testing.assert_allclose(evidence_above(rates, 0.2), expected)
    assert len(evidence_above(np.empty(0), 0.2)) == 0


@pytest.mark.parametrize("whole_run", [False, True])
def test_a_tpr_at_its_limit_is_rarely_called_above_however_often_one_looks(whole_run):
    """Members hit independently, or all of a run's members at once."""
    g = np.random.default_rng(1)
    crossed, seen = 0, 0
    for _ in range(400):
        many = 1 if whole_run else 50
        crossed += evidence_above(g.binomial(many, 0.1, 64) / many, 0.1).max() >= 20
        seen += evidence_above(g.binomial(50, 0.2, 64) / 50, 0.1).max() >= 20
    assert crossed <= stats.binom.ppf(0.999, 400, 0.05)
    assert seen > 360


def test_peeking_at_null_runs():
    """A fixed 95% bound, looked at after each chunk of 4 runs, is wrong far more often."""
    g = np.random.default_rng(2)
    spent = careless = bet = 0
    repetitions = 200
    for _ in range(repetitions):
        coins = g.random((64, 40)) < 0.5
        right = right_guesses(g.standard_normal(coins.shape), coins, 40)
        bet += evidence_above(right / 40, guess_limit(0.0, 1e-5, 40, 40)).max() >= 20
        seen = np.cumsum(right)[3::4]
        p_values = [
            one_run_p_value(160 * k, 160 * k, int(v), 0.0, 1e-5) for k, v in enumerate(seen, 1)
        ]
        spent += any(p <= 1 - level_at_look(k) for k, p in enumerate(p_values, 1))
        careless += min(p_values) <= 0.05
    limit = stats.binom.ppf(0.999, repetitions, 0.05)
    assert max(spent, bet) <= limit < careless


def test_a_leak_is_found_before_all_runs_are_done():
    g = np.random.default_rng(3)
    coins = g.random((64, 200)) < 0.5
    right = right_guesses(g.standard_normal(coins.shape) + coins, coins, 40)
    wealth = evidence_above(right / 40, guess_limit(0.5, 1e-5, 40, 200))
    assert 2 < np.argmax(wealth >= 20) < 32


def test_guess_limit_holds_for_what_attains_it():
    """Randomised response of the epsilon, and a delta event that tells every guessed coin."""
    epsilon, delta, coins, guesses = 1.2, 0.01, 100, 25
    response = 1 / (1 + math.exp(-epsilon))
    # Every coin may be revealed with probability delta; the guesses are at revealed ones first.
    revealed = delta * coins / guesses
    attained = revealed + (1 - revealed) * response
    assert guess_limit(epsilon, delta, guesses, coins) == pytest.approx(attained)
    assert guess_limit(epsilon, 0.0, guesses, coins) == pytest.approx(response)
    with pytest.raises(OptionError, match="0 guesses at 5 coins"):
        guess_limit(1.0, 0.0, 0, 5)


@pytest.mark.parametrize(
    ("rates", "limit", "named"),
    [([0.1], 0.0, "limit is 0"), ([0.1, 1.2], 0.5, "2 runs"), ([math.nan], 0.5, "1 runs")],
)
def test_what_is_no_rate_is_refused(rates, limit, named):
    with pytest.raises(OptionError, match=named):
        evidence_above(np.array(rates), limit)
