"""The private ridge classifier: right without noise, good with it, honest about what it spent."""

import math
from dataclasses import replace

import pytest
import torch

import limbeck as lb
from limbeck.errors import OptionError
from limbeck.mechanism.pipeline import Pipeline
from limbeck.nn.public_features import public_features
from limbeck.privacy import records
from limbeck.privacy.budget import Budget
from limbeck.privacy.records import Bound
from limbeck.synthesize import ridge_teacher
from limbeck.synthesize.ridge_teacher import features_for
from limbeck.train.private_ridge import PrivateRidge, PrivateRidgeClassifier


@pytest.fixture(scope="module")
def digits():
    return lb.load("digits")


def test_without_noise_it_is_ridge_regression_on_centred_unit_features(digits):
    private, test = digits
    found = PrivateRidge(epsilon=None, features=60).fit(private, seed=0)
    features = public_features(private.shape, 60)
    rows = features(private.inputs).double()
    mean = (rows / rows.norm(dim=1, keepdim=True).clamp(min=2) * 2).mean(0)
    z = rows - mean
    z = z / z.norm(dim=1, keepdim=True)
    targets = torch.nn.functional.one_hot(private.labels, 10).double() - 0.1
    products = z.mT @ z
    ridge = 1e-3 * products.trace() / 60
    weights = torch.linalg.solve(products + ridge * torch.eye(60), z.mT @ targets)
    assert torch.allclose(found.teacher.weights.double(), weights, rtol=0.02, atol=2e-3)
    asked = features(test.inputs).double() - mean
    scores = asked / asked.norm(dim=1, keepdim=True) @ weights
    agree = (found.logits(test.inputs).argmax(1) == scores.argmax(1)).double().mean()
    assert agree > 0.99


def test_digits_are_learnt_at_epsilon_10_and_less_at_1(digits):
    private, test = digits
    strong = PrivateRidge(epsilon=10.0, features=100)
    assert strong.guarantee.epsilon == 10.0 and strong.guarantee.mu is not None
    accuracy = [c.accuracy(test) for c in strong.fit_many([private] * 2, [0, 1])]
    weak = [c.accuracy(test) for c in replace(strong, epsilon=1.0).fit_many([private] * 2, [0, 1])]
    assert min(accuracy) > 0.8 > 0.1 < sum(weak) / 2 < sum(accuracy) / 2


def test_it_reads_the_data_three_times_and_spends_all(digits):
    private, _ = digits
    budget = Budget(private, epsilon=2.0)
    ridge_teacher.fit(budget, public_features(private.shape, 20))
    names = [event.name for event in budget.guarantee.events]
    assert names == ["mean and number", "products of features", "features by class"]
    assert budget.guarantee.epsilon == pytest.approx(2.0, abs=1e-6)
    # Scales are rounded up to whole grid steps, so that a little is left.
    assert budget.left < 1e-6 and math.isclose(sum(ridge_teacher.SHARES), 1.0)


def test_its_features_do_not_depend_on_the_company(digits):
    private = digits[0].select(torch.arange(200))
    features = public_features(private.shape, 30)
    assert not records.varies(private, lambda x, _: features(x), Bound.of(1.0))


def test_real_fits_differ_and_shadow_fits_repeat(digits):
    private = digits[0].select(torch.arange(100))
    method = PrivateRidge(features=10)
    one, other = (method.fit(private, seed=0).teacher.weights for _ in range(2))
    assert (one != other).any()
    runs = [[c.teacher.weights for c in method.fit_many([private] * 2, [1, 2])] for _ in range(2)]
    assert torch.equal(runs[0][0], runs[1][0]) and (runs[0][0] != runs[0][1]).any()


def test_a_release_of_it_is_rebuilt_from_its_tensors(digits):
    private, test = digits
    made = PrivateRidge(features=20).fit(private, seed=0)
    again = PrivateRidgeClassifier.restored(made.architecture(), private.shape, 10, made.state())
    assert torch.equal(again.logits(test.inputs[:50]), made.logits(test.inputs[:50]))
    with pytest.raises(ValueError, match="weights"):
        PrivateRidgeClassifier.restored(made.architecture(), private.shape, 9, made.state())


def test_a_pipeline_claims_the_trainers_guarantee_only_where_it_reads_the_data():
    assert Pipeline(None, PrivateRidge(epsilon=3.0)).guarantee.epsilon == 3.0
    assert Pipeline(lb.RandomSubset(2), PrivateRidge()).guarantee is None


def test_strong_noise_gets_fewer_features():
    assert (features_for(1.0, None), features_for(10.0, None), features_for(None, None)) == (
        500,
        800,
        800,
    )
    assert features_for(1.0, 7) == 7


def test_bad_options_are_refused_in_one_line():
    from limbeck.recipe import build

    with pytest.raises(OptionError, match="private-ridge: option 'epsilon'"):
        build("private-ridge", {"epsilon": -1.0})


def test_the_events_declared_beforehand_are_those_that_run(digits):
    private, _ = digits
    method = PrivateRidge(epsilon=2.0, features=10, adjacency="replace-one")
    budget = method.budget(private)
    ridge_teacher.fit(budget, public_features(private.shape, 10))
    for declared, run in zip(method.guarantee.events, budget.events, strict=True):
        assert (declared.name, declared.sensitivity) == (run.name, run.sensitivity)
        assert declared.noise_scale == pytest.approx(run.noise_scale, rel=1e-9)
