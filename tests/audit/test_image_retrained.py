"""The attacker's own classifiers against direct training, and what they tell of copies."""

from dataclasses import replace

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from limbeck.audit.images.retrained import Retrained
from limbeck.audit.signals import margins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.train.kernel_ridge import KernelRidge
from limbeck.train.standard import Standard

CLASSES = ("a", "b", "c")


def draw(n, seed):
    inputs = torch.rand(n, 12, generator=torch.Generator().manual_seed(seed))
    return LabeledDataset(inputs, torch.arange(n) % 3, CLASSES)


def released(data):
    return SyntheticDataset(data.inputs, data.labels, CLASSES)


def test_the_first_row_is_kernel_ridge_regression():
    records, release = draw(9, 0), released(draw(12, 1))
    found = Retrained(records).signal(release)
    assert found.shape == (2, 9)
    classifier = KernelRidge().fit(release, seed=0)
    expected = margins(classifier.logits(records.inputs), records.labels)[0]
    np.testing.assert_allclose(found[0], expected.numpy(), rtol=1e-5)


def test_the_second_row_is_the_mean_over_different_networks(monkeypatch):
    records, release = draw(9, 0), released(draw(12, 1))
    seeds = []
    fit = Standard.fit

    def watched(self, data, *, seed, device="cpu"):
        seeds.append(seed)
        return fit(self, data, seed=seed, device=device)

    monkeypatch.setattr(Standard, "fit", watched)
    found = Retrained(records).signal(release)[1]
    assert len(set(seeds)) == len(seeds) > 1
    network = Standard("mlp").resolve(records.shape)
    each = [
        margins(fit(network, release, seed=s).logits(records.inputs), records.labels)[0]
        for s in seeds
    ]
    np.testing.assert_allclose(found, torch.stack(each).mean(0).numpy(), rtol=1e-5)


def test_copies_with_labels_of_their_own_stand_out_for_every_classifier():
    """Labels are random here: only what was trained on can be told."""
    records = draw(30, 0)
    found = Retrained(records).signal(released(records.select(range(15))))
    others = Retrained(records).signal(released(draw(15, 7)))
    for gain in found - others:
        assert roc_auc_score(np.arange(30) < 15, gain) > 0.7


def test_a_long_release_is_trained_on_in_part_and_always_the_same():
    records = draw(6, 0)
    long = released(draw(2100, 1))
    one, two = (Retrained(records, seed=3).signal(long) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    soft = torch.nn.functional.one_hot(long.labels, 3).float()
    assert np.isfinite(Retrained(records).signal(replace(long, soft_labels=soft))).all()
    short = replace(long, inputs=long.inputs[:2000], labels=long.labels[:2000])
    assert (Retrained(records, seed=3).signal(short) != one).any(), "not the first ones"
