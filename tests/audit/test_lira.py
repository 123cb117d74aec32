"""LiRA and the loss threshold against loops written from their formulae."""

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.lira import LiRA, lira
from limbeck.audit.attacks.loss_threshold import LossThreshold, loss_threshold
from limbeck.errors import OptionError
from limbeck.recipe import from_recipe, recipe


def draw(seed, runs, views, records, shift=1.0, record_effect=3.0):
    g = np.random.default_rng(seed)
    membership = g.random((runs, records)) < 0.5
    signals = g.standard_normal((runs, views, records)) * (0.5 + g.random(records))
    signals += record_effect * g.standard_normal(records) + shift * membership[:, None]
    return signals.astype(np.float32), membership


def slow_lira(signals, membership, online, pooled, known):
    """Each run attacked with Gaussians fitted anew to the others; loops, no subtraction."""
    runs, views, records = signals.shape
    x = signals.astype(np.float64)
    scores = np.zeros((runs, records))
    for t, v in itertools.product(range(runs), range(views)):
        others = known & (np.arange(runs) != t)
        chosen = {s: [others & (membership[:, j] == s) for j in range(records)] for s in (0, 1)}
        common = {}
        for s in (0, 1):
            squares = sum(
                ((x[c, v, j] - x[c, v, j].mean()) ** 2).sum()
                for j, c in enumerate(chosen[s])
                if c.any()
            )
            freedom = sum(max(c.sum() - 1, 0) for c in chosen[s])
            common[s] = squares / freedom if freedom else 1.0
        for j in range(records):
            terms = {}
            for s in (0, 1):
                values = x[chosen[s][j], v, j]
                if len(values):
                    own = len(values) > 1 and not pooled
                    terms[s] = values.mean(), values.var(ddof=1) if own else common[s]
            if 0 not in terms or (online and 1 not in terms):
                scores[t, j] = 0.0
            elif online:
                scores[t, j] += sum(
                    sign * stats.norm.logpdf(x[t, v, j], mean, np.sqrt(variance))
                    for sign, (mean, variance) in ((1, terms[1]), (-1, terms[0]))
                )
            else:
                mean, variance = terms[0]
                scores[t, j] += (x[t, v, j] - mean) / np.sqrt(variance)
    return scores / views


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("variance", ["pooled", "per-record"])
@pytest.mark.parametrize(("runs", "some"), [(5, False), (12, False), (13, True)])
def test_subtraction_equals_fitting_anew(online, variance, runs, some):
    signals, membership = draw(runs, runs, 2, 9)
    known = np.random.default_rng(1).random(runs) < 0.7 if some else np.ones(runs, dtype=bool)
    fast = lira(
        signals,
        membership,
        online=online,
        variance=variance,
        reference_runs=known if some else None,
    )
    slow = slow_lira(signals, membership, online, variance == "pooled", known)
    np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1.1e-9)


def test_blocks_of_records_do_not_show():
    signals, membership = draw(0, 64, 1, 3000)
    whole = lira(signals, membership, variance="per-record")
    part = lira(signals[:, :, 1700:1720].copy(), membership[:, 1700:1720], variance="per-record")
    np.testing.assert_array_equal(whole[:, 1700:1720], part)


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("variance", ["auto", "pooled", "per-record"])
@pytest.mark.parametrize("runs", [1, 2, 3, 4])
def test_missing_in_or_out_references_never_give_nan(online, variance, runs):
    signals, membership = draw(2, runs, 2, 40)
    membership[:, 0], membership[:, 1] = True, False
    scores = lira(signals, membership, online=online, variance=variance)
    assert np.isfinite(scores).all()
    assert (scores[:, 0] == 0).all()  # no OUT reference in any run
    if online:
        assert (scores[:, 1] == 0).all()


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("references", "expected"), [(64, "pooled"), (65, "per-record")])
def test_auto_pools_below_32_expected_references_whatever_the_coins(
    references, expected, share, online
):
    signals, _ = draw(3, 70, 1, 10)
    membership = np.random.default_rng(4).random((70, 10)) < share
    known = np.arange(70) < references
    scores = {
        v: lira(signals, membership, online=online, variance=v, reference_runs=known)
        for v in ("auto", "pooled", "per-record")
    }
    np.testing.assert_array_equal(scores["auto"], scores[expected])
    assert not np.array_equal(scores["pooled"], scores["per-record"])


def test_each_side_has_its_own_variance():
    """A variance taken from the wrong side (std_out from IN scores) would rank these wrongly."""
    g = np.random.default_rng(4)
    membership = g.random((200, 50)) < 0.5
    noise = g.standard_normal((200, 1, 50)) * np.where(membership, 0.1, 3.0)[:, None]
    scores = lira(noise.astype(np.float32), membership)
    assert roc_auc_score(membership.ravel(), scores.ravel()) > 0.9


@pytest.mark.parametrize("online", [True, False])
def test_gaussian_shift_reaches_the_neyman_pearson_auc(online):
    signals, membership = draw(5, 128, 1, 1000)
    g = np.random.default_rng(6)
    signals = (g.standard_normal(signals.shape) + 1.0 * membership[:, None]).astype(np.float32)
    auc = roc_auc_score(
        membership.ravel(), lira(signals, membership, online=online, variance="pooled").ravel()
    )
    best = stats.norm.cdf(1 / np.sqrt(2))
    assert best - 0.02 < auc < best + 0.005


def null_auc(seed, balanced):
    g = np.random.default_rng(seed)
    runs, records = 16, 100
    if balanced:
        membership = np.argsort(g.random((runs, records)), axis=0) < runs // 2
    else:
        membership = g.random((runs, records)) < 0.5
    noise = g.standard_normal((runs, 1, records)).astype(np.float32)
    return roc_auc_score(membership.ravel(), lira(noise, membership).ravel())


@pytest.mark.usefixtures("unchecked")
def test_exactly_balanced_membership_gives_the_bit_away_and_independent_coins_do_not():
    """With balanced halves the other runs' counts reveal the held-out bit: the null AUC moves."""
    values = {b: np.array([null_auc(s, b) for s in range(80)]) for b in (True, False)}
    error = {b: v.std() / np.sqrt(len(v)) for b, v in values.items()}
    assert values[True].mean() < 0.5 - 3 * error[True]
    assert abs(values[False].mean() - 0.5) < 3 * error[False]


def test_a_mechanism_that_never_varies_shows_nothing():
    g = np.random.default_rng(7)
    membership = g.random((16, 200)) < 0.5
    same = np.broadcast_to((10 * g.standard_normal(200)).astype(np.float32), (16, 3, 200)).copy()
    for online in (True, False):
        assert (lira(same, membership, online=online) == 0).all()


def test_loss_threshold_is_minus_the_mean_cross_entropy():
    g = np.random.default_rng(8)
    logits = g.standard_normal((4, 2, 6, 5)) * 30
    logits[0, 0, 0] = [800.0, 0, 0, 0, 0]
    own, others = logits[..., 0], logits[..., 1:]
    margins = (own - np.logaddexp.reduce(others, axis=-1)).astype(np.float32)
    loss = np.logaddexp.reduce(logits, axis=-1) - own
    np.testing.assert_allclose(loss_threshold(margins), -loss.mean(1), rtol=1e-5, atol=1e-12)


def test_attacks_are_recipes_with_titles():
    titles = [LiRA().title, LiRA(online=False).title, LiRA(variance="pooled").title]
    assert titles == ["lira", "lira-offline", "lira-pooled"]
    for attack in (LossThreshold(), LiRA(online=False, variance="per-record")):
        assert from_recipe(recipe(attack)) == attack
    with pytest.raises(OptionError, match="variance"):
        from_recipe({"method": "lira", "options": {"variance": "none"}})


def test_scores_of_the_class_are_those_of_the_function():
    signals, membership = draw(9, 8, 2, 12)
    known = np.arange(8) < 4
    observed = Observed(signals, membership, known)
    np.testing.assert_array_equal(
        LiRA(online=False).score(observed),
        lira(signals, membership, online=False, reference_runs=known),
    )
    np.testing.assert_array_equal(LossThreshold().score(observed), loss_threshold(signals))


def test_signals_that_cannot_be_attacked_are_refused_in_one_line():
    signals, membership = draw(10, 4, 1, 6)
    with pytest.raises(OptionError, match=r"membership has shape \(4, 5\)"):
        Observed(signals, membership[:, :5])
    with pytest.raises(OptionError, match=r"reference_runs has shape \(3,\)"):
        Observed(signals, membership, np.ones(3, dtype=bool))
    signals[2, 0, 3] = np.nan
    with pytest.raises(OptionError, match="run 2, view 0, record 3"):
        Observed(signals, membership)
    with pytest.raises(OptionError, match="nothing to attack"):
        Observed(signals[:, :, :0].copy(), membership[:, :0].copy())
