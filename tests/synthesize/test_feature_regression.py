"""Minibatches, and the two methods that regress on the features of finite networks."""

from itertools import islice

import pytest
import torch

from limbeck.nn import networks
from limbeck.nn.ridge import ridge_loss
from limbeck.synthesize.condense.frepo import FeatureRegressionPool, PoolFeatures
from limbeck.synthesize.condense.regression import _batches
from limbeck.synthesize.condense.rfad import RandomFeatureRidge, RandomFeatures
from limbeck.synthesize.form import Form

SMALL = {"ipc": 2, "width": 4, "batch": 16}


@pytest.mark.parametrize("size", [5, 7, 30])
def test_batches_use_every_member_once_before_any_twice(tiny_images, size):
    member = torch.zeros(40, dtype=torch.bool)
    member[3:17] = True
    drawn = torch.cat(list(islice(_batches(tiny_images, member, size, 0), 14)))
    for part in drawn[: len(drawn) // 14 * 14].split(14):
        assert sorted(part.tolist()) == list(range(3, 17))
    assert not torch.equal(drawn[:14], drawn[14:28]), "every order is a new one"


def test_random_features_are_those_of_fresh_networks_side_by_side(tiny_images):
    method = RandomFeatureRidge(**SMALL, networks=2, augmented=False).resolve(tiny_images)
    regressor = RandomFeatures(method, Form.of(tiny_images), 5, "cpu")
    ours, theirs = tiny_images.inputs[:3], tiny_images.inputs[3:]
    again = RandomFeatures(method, Form.of(tiny_images), 5, "cpu")
    first, second = again.networks(), again.networks()
    kernels = []
    for drawn in (first, second):
        own, across = regressor.blocks(ours[None], theirs[None])
        x, t = (torch.cat([n.embed(v) for n in drawn], 1) for v in (ours, theirs))
        torch.testing.assert_close(own[0].float(), x @ x.T)
        torch.testing.assert_close(across[0], t @ x.T)
        kernels.append(own)
    assert len(first) == 2 and not torch.allclose(*kernels)


@pytest.mark.parametrize("kind", [RandomFeatureRidge, FeatureRegressionPool])
def test_it_lowers_the_loss_under_networks_it_has_not_seen(tiny_images, kind):
    options = {**SMALL, "init": "noise", "augmented": False, "learn_labels": True, "ridge": 1e-2}
    before, after = (
        kind(**options, steps=steps, learning_rate=rate).synthesize(tiny_images, seed=0)
        for steps, rate in ((1, 1e-9), (40, 0.05))
    )

    def fresh(made):
        total = 0.0
        for seed in range(8):
            network = networks.make("convnet2", (1, 8, 8), 4, width=4, seed=1000 + seed)
            with torch.no_grad():
                x, t = network.embed(made.inputs).double(), network.embed(tiny_images.inputs)
            wanted = torch.eye(4)[tiny_images.labels].double() - 0.25
            targets = made.soft_labels.double() - 0.25
            total += ridge_loss(x @ x.T, t.double() @ x.T, targets, wanted, 1e-2).item()
        return total / 8

    assert fresh(after) < 0.8 * fresh(before)


def test_the_pool_trains_the_network_that_served_and_replaces_the_old(tiny_images):
    method = FeatureRegressionPool(
        **SMALL, pool=2, oldest=3, augmented=False, network_rate=0.01
    ).resolve(tiny_images)
    pool = PoolFeatures(method, Form.of(tiny_images), 0, "cpu")
    assert [member.age for member in pool._pool] == [0, 1]
    inputs, targets = tiny_images.inputs[None, :8], torch.eye(4)[tiny_images.labels[:8]][None]
    replaced = 0
    for _ in range(12):
        pool.blocks(inputs, inputs)
        chosen, other = pool._pool[pool._serving], pool._pool[1 - pool._serving]
        weights = [value.clone() for value in chosen.network.parameters()]
        still = [value.clone() for value in other.network.parameters()]
        wrong = (chosen.network(inputs[0]) - targets[0]).square().sum()
        age = chosen.age
        pool.learn(inputs, targets)
        assert (chosen.network(inputs[0]) - targets[0]).square().sum() < wrong
        assert not all(map(torch.equal, weights, chosen.network.parameters()))
        assert all(map(torch.equal, still, other.network.parameters()))
        if age == 2:
            assert pool._pool[pool._serving] is not chosen
            assert pool._pool[pool._serving].age == 0
            replaced += 1
    assert replaced >= 2


def test_networks_are_trained_on_synthetic_images_alone(tiny_images, monkeypatch):
    seen = []
    monkeypatch.setattr(
        PoolFeatures, "learn", lambda self, inputs, targets: seen.append((inputs, targets))
    )
    method = FeatureRegressionPool(**SMALL, steps=3)
    made = method.synthesize(tiny_images, seed=0)
    assert len(seen) == 3 and torch.equal(seen[-1][0][0], made.inputs)
    assert torch.equal(seen[-1][1][0].argmax(1), made.labels)
