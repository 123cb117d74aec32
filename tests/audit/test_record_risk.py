"""Per-record risk: calibrated on records of known risk, from held-out halves."""

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.attacks.loss_threshold import LossThreshold
from limbeck.audit.inference.record_risk import record_risk, shrunk
from limbeck.errors import OptionError


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("kind", ["beta", "logit-normal", "few exposed", "all alike"])
def test_intervals_are_calibrated_and_shrinkage_helps(kind):
    g = np.random.default_rng(0)
    inside, error, raw_error, records = 0.0, 0.0, 0.0, 0
    for _ in range(3):
        risk = {
            "beta": g.beta(0.5, 8, 300),
            "logit-normal": special.expit(-2.5 + 1.5 * g.standard_normal(300)),
            "few exposed": np.where(g.random(300) < 0.1, 0.8, 0.02),
            "all alike": np.full(300, 0.04),
        }[kind]
        trials = g.binomial(32, 0.5, 300)
        hits = g.binomial(trials, risk)
        found = shrunk(hits, trials)
        inside += np.count_nonzero((found.low <= risk) & (risk <= found.high))
        error += ((found.value - risk) ** 2).sum()
        raw_error += ((hits / np.maximum(trials, 1) - risk) ** 2).sum()
        records += 300
    assert inside / records >= 0.93
    assert error < 0.85 * raw_error


def test_64_runs_cannot_show_that_one_record_is_at_certainty():
    """A record at 99.9% among 500 at 4%: found, not averaged away, and not pinned down."""
    g = np.random.default_rng(1)
    risk = np.append(np.full(500, 0.04), 0.999)
    trials = g.binomial(32, 0.5, 501)
    hits = np.where(risk > 0.5, trials, g.binomial(trials, risk))
    found = shrunk(hits, trials)
    assert found.value[-1] > 0.85
    assert 0.6 < found.low[-1] < 0.9
    assert found.high[-1] == 1.0
    # Luck alone is not taken for exposure: the raw shares of the others reach far higher.
    assert found.value[:-1].max() < 0.2 < (hits / trials)[:-1].max()


def test_given_the_mixture_it_is_bayes_rule(monkeypatch):
    """One value on every axis of the grid: the posterior by numerical integration."""
    from limbeck.audit.inference import record_risk as module

    monkeypatch.setattr(module, "_MEANS", np.array([0.2]))
    monkeypatch.setattr(module, "_SIZES", np.array([5.0]))
    monkeypatch.setattr(module, "_STRAYS", np.array([0.1]))
    found = shrunk(np.array([3, 0, 9]), np.array([9, 12, 9]))

    def prior(p):
        return 0.9 * stats.beta.pdf(p, 1, 4) + 0.1

    for j, (k, n) in enumerate(((3, 9), (0, 12), (9, 9))):

        def part(p, k=k, n=n):
            return prior(p) * p**k * (1 - p) ** (n - k)

        total = integrate.quad(part, 0, 1)[0]
        mean = integrate.quad(lambda p: p * part(p), 0, 1)[0] / total
        below = integrate.quad(part, 0, found.low[j])[0] / total
        above = integrate.quad(part, found.high[j], 1)[0] / total
        assert found.value[j] == pytest.approx(mean, rel=1e-6)
        assert below == pytest.approx(0.0 if k == 0 else 0.025, abs=5e-4)
        assert above == pytest.approx(0.0 if k == n else 0.025, abs=5e-4)


def test_counts_come_from_the_judged_half_alone():
    g = np.random.default_rng(2)
    member = g.random((64, 120)) < 0.5
    shift = np.where(np.arange(120) < 10, 8.0, 0.0)
    signals = (g.standard_normal(member.shape) + shift * member)[:, None].astype(np.float32)
    halves = np.arange(64) % 2 == 1
    found = record_risk(LiRA(), Observed(signals, member), halves, fpr=0.05)
    np.testing.assert_array_equal(found.trials, member[halves].sum(0))
    assert found.value[:10].min() > 0.8
    assert found.value[10:].max() < 0.3
    assert found.value[10:].mean() == pytest.approx(0.05, abs=0.03)
    # By hand, for an attack without references: half A's median leave-one-out threshold.
    plain = record_risk(LossThreshold(), Observed(signals, member), halves, fpr=0.05)
    scores = LossThreshold().score(Observed(signals, member))
    out = [np.sort(np.delete(np.where(member, -np.inf, scores)[~halves], r, 0).ravel())[::-1]
           for r in range(32)]  # fmt: skip
    kth = [math.floor(0.05 * (np.isfinite(o).sum() + 1)) - 1 for o in out]
    threshold = np.median([o[k] for o, k in zip(out, kth, strict=True)])
    hits = ((scores > threshold) & member)[halves].sum(0)
    np.testing.assert_array_equal(plain.hits, hits)


def test_a_record_without_trials_gets_the_others_risks():
    found = shrunk(np.array([0, 1, 0, 2, 1]), np.array([0, 16, 16, 16, 16]))
    assert 0 < found.value[0] < 0.3
    assert (found.low[0], found.high[0]) == (0.0, 1.0)
    assert np.isfinite(found.value).all()


@pytest.mark.parametrize(("hits", "trials"), [([3], [2]), ([-1], [2]), ([], [])])
def test_impossible_counts_are_refused(hits, trials):
    with pytest.raises(OptionError, match="hits of shape"):
        shrunk(np.array(hits, dtype=int), np.array(trials, dtype=int))


def test_both_halves_are_needed():
    observed = Observed(np.zeros((4, 1, 3), dtype=np.float32), np.ones((4, 3), dtype=bool))
    with pytest.raises(OptionError, match="0 of 4 runs"):
        record_risk(LiRA(), observed, np.zeros(4, dtype=bool))
