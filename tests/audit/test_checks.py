"""The null self-test, the positive control and the power statement."""

import math

import numpy as np
import pytest
from dp_accounting.pld import privacy_loss_distribution as pld
from scipy import stats

from limbeck.audit.attacks.base import MembershipAttack, Observed
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.inference.checks import (
    control_signals,
    detectable_tpr,
    null_test,
    positive_control,
)
from limbeck.audit.inference.intervals import Clusters, clopper_pearson
from limbeck.privacy.gaussian import best_auc, delta_of, mu_of
from limbeck.types import Estimate

NO_BOUND = Estimate(math.nan)


@pytest.mark.parametrize(("epsilon", "delta"), [(1.0, 1e-5), (4.0, 1e-5), (10.0, 1e-3)])
def test_shift_is_the_gaussian_mechanisms(epsilon, delta):
    shift = mu_of(epsilon, delta)
    assert delta_of(shift, epsilon) == pytest.approx(delta)
    accountant = pld.from_gaussian_mechanism(1 / shift, value_discretization_interval=1e-4)
    assert accountant.get_delta_for_epsilon(epsilon) == pytest.approx(delta, rel=0.02)


def test_best_auc_is_the_neyman_pearson_tests():
    g = np.random.default_rng(0)
    wins = (g.standard_normal(200_000) + 0.9) > g.standard_normal(200_000)
    assert best_auc(0.9) == pytest.approx(wins.mean(), abs=0.004)


@pytest.mark.parametrize("views", [1, 4, 9])
def test_control_carries_the_same_information_in_any_number_of_views(views):
    member = np.random.default_rng(1).random((64, 500)) < 0.5
    signals = control_signals(member, 1.2, views, seed=2)
    assert signals.dtype == np.float32
    assert signals.shape == (64, views, 500)
    total = signals.sum(1) / math.sqrt(views)  # sufficient for the shift
    assert (total[member].mean() - total[~member].mean()) == pytest.approx(1.2, abs=0.05)
    assert total[member].std() == pytest.approx(1.0, abs=0.03)
    np.testing.assert_array_equal(signals, control_signals(member, 1.2, views, seed=2))


def test_control_is_found_by_a_sound_audit_and_not_without_its_leak():
    member = np.random.default_rng(3).random((16, 100)) < 0.5
    shift = mu_of(4.0, 1e-5)
    clusters = Clusters.separate(100)

    def check(planted):
        observed = Observed(control_signals(member, planted, 2, seed=4), member)
        return positive_control(LiRA(), observed, clusters, epsilon=4.0, delta=1e-5, bound=NO_BOUND)

    found, lost = check(shift), check(0.0)
    assert found.passed
    assert found.expected_auc == pytest.approx(stats.norm.cdf(shift / math.sqrt(2)))
    assert "was found" in found.sentence
    assert not lost.passed
    assert "was not found" in lost.sentence


class Peeking(MembershipAttack):
    """An attack that reads the coin it is to guess."""

    method_name = "peeking"

    def score(self, observed):
        return observed.signals.mean(1) + 0.3 * observed.membership


def test_null_test_clears_a_sound_attack_and_catches_one_that_peeks():
    g = np.random.default_rng(5)
    member = g.random((16, 100)) < 0.5
    leaky = (g.standard_normal((16, 2, 100)) + 3 * member[:, None]).astype(np.float32)
    observed, clusters = Observed(leaky, member), Clusters.separate(100)
    sound = null_test(LiRA(), observed, clusters, seed=6)
    assert sound.passed
    assert sound.auc.low < 0.5 < sound.auc.high
    assert sound == null_test(LiRA(), observed, clusters, seed=6)
    caught = null_test(Peeking(), observed, clusters, seed=6)
    assert not caught.passed
    assert caught.auc.low > 0.5


def test_detectable_tpr_is_detected_four_times_in_five():
    members = negatives = 16_000
    tpr = detectable_tpr(members, negatives, 10_000, 10_000)
    _, ceiling = clopper_pearson(160.0, 16_000.0)
    seen = np.random.default_rng(7).binomial(members, tpr, size=4000)
    detected = np.mean([clopper_pearson(float(k), float(members))[0] > ceiling for k in seen])
    assert detected == pytest.approx(0.8, abs=0.03)


def test_fewer_trials_detect_less_and_too_few_nothing():
    small, large = detectable_tpr(800, 800, 16, 100), detectable_tpr(16_000, 16_000, 64, 500)
    assert 0.01 < large < small < 0.1
    assert math.isnan(detectable_tpr(3, 5, 16, 10))
