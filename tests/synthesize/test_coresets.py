"""Coreset selectors: the papers' rules written as slow loops, and what all of them promise."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from limbeck import recipe
from limbeck.data import canaries
from limbeck.errors import DatasetError
from limbeck.nn.networks import make
from limbeck.synthesize.select.coreset import embed, public_order
from limbeck.synthesize.select.el2n import error_norms
from limbeck.synthesize.select.forgetting import Forgetting, forgetting_events
from limbeck.synthesize.select.grand import gradient_norms
from limbeck.synthesize.select.herding import herd
from limbeck.synthesize.select.k_centre import k_centre_greedy
from limbeck.synthesize.select.prototypes import nearest_to
from limbeck.synthesize.select.scored import training
from limbeck.train.kernel_ridge import KernelRidge

FEATURES = ("herding", "k-centre", "prototypes")
SCORED = ("forgetting", "el2n", "grand")
QUICK = {name: {"networks": 1, "epochs": 3, "width": 8} for name in SCORED}


def points(n=30, d=5, seed=0):
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_herding_is_welling_s_rule_and_brings_the_mean_as_near_as_it_can():
    features = points()
    by_weights, by_distance = [], []
    mean = features.mean(0)
    w = mean.clone()
    for t in range(12):
        free = [i for i in range(len(features)) if i not in by_weights]
        best = max(free, key=lambda i: float(w @ features[i]))
        w = w + mean - features[best]
        by_weights.append(best)

        def left(i, t=t):
            return float((mean - features[[*by_distance, i]].sum(0) / (t + 1)).norm())

        free = [i for i in range(len(features)) if i not in by_distance]
        by_distance.append(min(free, key=left))
    assert herd(features, 12).tolist() == by_weights == by_distance
    assert sorted(herd(features, len(features)).tolist()) == list(range(len(features)))


def test_k_centre_takes_the_record_farthest_from_those_taken():
    features = points(seed=1)
    mean = features.mean(0)
    taken = [min(range(len(features)), key=lambda i: float((features[i] - mean).norm()))]
    while len(taken) < 12:
        free = [i for i in range(len(features)) if i not in taken]
        taken.append(
            max(free, key=lambda i: min(float((features[i] - features[j]).norm()) for j in taken))
        )
    assert k_centre_greedy(features, 12).tolist() == taken
    # Equal records have distance 0 and are still taken once each.
    assert sorted(k_centre_greedy(features[:1].expand(4, -1), 4).tolist()) == [0, 1, 2, 3]


def test_prototypes_are_the_nearest_records_and_none_twice():
    features, centres = points(seed=2), points(n=6, seed=3)
    centres[1] = centres[0]
    taken = []
    for centre in centres:
        free = [i for i in range(len(features)) if i not in taken]
        taken.append(min(free, key=lambda i: float((features[i] - centre).norm())))
    assert nearest_to(centres, features).tolist() == taken
    assert len(set(taken)) == 6


def test_forgetting_events_of_a_history_written_by_hand():
    history = torch.tensor(
        [
            # never, always, learnt once, forgotten at once, forgotten twice, forgotten at the end
            [0, 1, 0, 1, 1, 0],
            [0, 1, 0, 0, 0, 0],
            [0, 1, 1, 0, 1, 1],
            [0, 1, 1, 0, 0, 0],
        ],
        dtype=torch.bool,
    )
    assert forgetting_events(history).tolist() == [4, 0, 0, 1, 2, 1]


def test_every_epoch_shows_every_record_once_before_it_learns_from_it(tiny_images):
    network = make("mlp", tiny_images.shape, 4, width=8, seed=0)
    untrained = network(tiny_images.inputs).detach()
    large = replace(  # more than a batch
        tiny_images,
        inputs=tiny_images.inputs.repeat(2, 1, 1, 1),
        labels=tiny_images.labels.repeat(2),
    )
    steps = list(training(network, large, 3, seed=0))
    assert len(steps) == 6
    for epoch in (steps[:2], steps[2:4], steps[4:]):
        assert torch.cat([at for at, _ in epoch]).sort().values.tolist() == list(range(80))
    first, logits = steps[0]
    torch.testing.assert_close(logits, untrained[first % 40])
    assert not torch.allclose(steps[1][1], untrained[steps[1][0] % 40])


@pytest.mark.parametrize("name", ["mlp", "convnet2"])
def test_gradient_norms_are_those_of_autograd_record_by_record(name, tiny_images):
    network = make(name, tiny_images.shape, 4, width=4, seed=1)
    inputs, labels = tiny_images.inputs[:6], tiny_images.labels[:6]
    expected = []
    for record, label in zip(inputs, labels, strict=True):
        loss = F.cross_entropy(network(record[None]), label[None])
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        expected.append(torch.cat([g.flatten() for g in gradients]).norm())
    torch.testing.assert_close(gradient_norms(network, inputs, labels), torch.stack(expected))


def test_error_norms_are_the_lengths_of_the_gradients_at_the_logits():
    # Paul et al. 2021: the derivative of cross-entropy with respect to the logits is that vector.
    logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.arange(7) % 5
    (slopes,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), logits)
    torch.testing.assert_close(error_norms(logits.detach(), labels), slopes.norm(dim=1))


def contents(data):
    return sorted(
        (int(label), tuple(record.flatten().tolist()))
        for record, label in zip(data.inputs, data.labels, strict=True)
    )


@pytest.mark.parametrize("name", [*FEATURES, *SCORED])
def test_permuted_records_give_the_same_set_of_distinct_private_records(name, tiny_images):
    method = recipe.build(name, {"ipc": 4, **QUICK.get(name, {})}, "synthesizer")
    order = torch.randperm(len(tiny_images), generator=torch.Generator().manual_seed(5))
    made = contents(method.synthesize(tiny_images, seed=1))
    assert made == contents(method.synthesize(tiny_images.select(order), seed=1))
    assert len(set(made)) == 16 and set(made) <= set(contents(tiny_images))
    assert method.holds_real_records


def test_the_order_of_records_is_their_own_class_by_class(tiny_images):
    order = public_order(tiny_images)
    assert order.sort().values.tolist() == list(range(40))
    assert tiny_images.labels[order].tolist() == sorted(tiny_images.labels.tolist())
    moved = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    assert torch.equal(moved[public_order(tiny_images.select(moved))], order)


def test_features_are_read_once_for_all_runs(tiny_images, monkeypatch):
    seen = []
    module = "limbeck.synthesize.select.coreset.embed"
    monkeypatch.setattr(module, lambda *given: seen.append(len(given[0])) or embed(*given))
    method = recipe.build("herding", {"ipc": 2}, "synthesizer")
    membership = torch.rand(5, 40, generator=torch.Generator().manual_seed(0)) < 0.8
    assert len(list(method.synthesize_many(tiny_images, membership, list(range(5))))) == 5
    assert seen == [40]


def test_a_class_too_small_in_one_run_is_refused(tiny_images):
    membership = torch.ones(1, 40, dtype=torch.bool)
    membership[0, tiny_images.labels == 2] = False
    membership[0, 2] = True
    for name in ("herding", "el2n"):
        method = recipe.build(name, {"ipc": 2, **QUICK.get(name, {})}, "synthesizer")
        with pytest.raises(DatasetError, match=r"class 'c' has 1 records.*lower ipc"):
            list(method.synthesize_many(tiny_images, membership, [0]))


@pytest.mark.parametrize(
    ("name", "ipc"), [*((n, 10) for n in FEATURES), *((n, 50) for n in SCORED)]
)
def test_it_learns(name, ipc, digits):
    # The hardest records teach little when they are few: their papers prune, at far larger sizes.
    private, test = digits
    options = {} if name in FEATURES else {"networks": 1, "epochs": 5}
    method = recipe.build(name, {"ipc": ipc, **options}, "synthesizer").resolve(private)
    made = method.synthesize(private, seed=0)
    assert KernelRidge().fit(made, seed=0).accuracy(test) > 0.9


def test_forgetting_keeps_the_mislabelled_and_its_opposite_leaves_them(digits):
    private, _ = digits
    index = torch.randperm(len(private), generator=torch.Generator().manual_seed(0))[:50]
    planted = canaries.plant(private, index, "mislabelled", 0)
    key = {record for _, record in contents(planted.data.select(index))}
    kept = {}
    for keep in ("highest", "lowest"):
        method = Forgetting(ipc=30, keep=keep, networks=1, epochs=8)
        made = method.synthesize(planted.data, seed=0)
        kept[keep] = sum(record in key for _, record in contents(made)) / 50
    # A random subset of this size keeps 300 / 1438 = 21%.
    assert kept["highest"] > 0.6 and kept["lowest"] < 0.1
