"""Tracing against its formula, and its use of the embeddings that records enter."""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from limbeck.audit.images.embedders import Embedders, known_embedders
from limbeck.audit.images.tracing import tracing
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.synthesize.condense.distribution_matching import DistributionMatching

CLASSES = ("a", "b")


def draw(n, seed, size=6):
    inputs = torch.rand(n, size, generator=torch.Generator().manual_seed(seed))
    return LabeledDataset(inputs, torch.arange(n) % 2, CLASSES)


def released(data):
    return SyntheticDataset(data.inputs, data.labels, CLASSES)


IDENTITY, SQUARE = (lambda x: x.flatten(1)), (lambda x: x.flatten(1) ** 2)


def slow(records, release, population, embed, ridge):
    """One record after another, with an explicit inverse."""
    reference, own = embed(population.inputs).double().numpy(), population.labels.numpy()
    means = np.stack([reference[own == c].mean(0) for c in range(2)])
    covariance = np.cov((reference - means[own]).T, bias=True)
    metric = np.linalg.inv(
        covariance / np.diag(covariance).mean() + ridge * np.eye(len(covariance))
    )
    found = []
    for x, label in zip(embed(records.inputs).double().numpy(), records.labels, strict=True):
        images = embed(release.inputs[release.labels == label]).double().numpy()
        shift = images.mean(0) - means[label] if len(images) else 0 * x
        found.append((x - means[label]) @ metric @ shift)
    return np.array(found)


def test_tracing_equals_its_formula():
    records, population, release = draw(8, 0), draw(50, 1), released(draw(4, 2))
    both = Embedders((IDENTITY, SQUARE))
    found = tracing(records, [release], population, both, ridge=0.2)[0]
    expected = [slow(records, release, population, e, 0.2) for e in both.embed]
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-4)


def test_a_class_without_images_is_not_traced():
    records, population, release = draw(8, 0), draw(50, 1), released(draw(4, 2))
    alone = SyntheticDataset(release.inputs[::2], release.labels[::2], CLASSES)
    found = tracing(records, [alone], population, Embedders((IDENTITY,)))[0]
    np.testing.assert_allclose(found, slow(records, alone, population, IDENTITY, 0.1), atol=1e-4)
    assert (found[records.labels.numpy() == 1] == 0).all()


def test_an_embedding_counts_only_for_the_records_that_enter_it():
    records, population, release = draw(8, 0), draw(50, 1), released(draw(4, 2))
    first = torch.arange(8) < 3
    some = Embedders((IDENTITY, SQUARE), lambda x: torch.stack([first, ~first], 1))
    found = tracing(records, [release], population, some)[0]
    parts = [slow(records, release, population, e, 0.1) / 2 for e in some.embed]
    np.testing.assert_allclose(found, np.where(first.numpy(), *parts), atol=1e-4)


def test_tracing_a_mean_of_members_is_the_likelihood_ratio():
    """With a small ridge the AUC is that of Gaussian records: d coordinates, mean of n."""
    size, n = 40, 20
    records, population = draw(400, 0, size), draw(2000, 1, size)
    member = np.arange(400) < 2 * n  # n of each class
    means = torch.stack([records.inputs[: 2 * n][c::2].mean(0) for c in range(2)])
    release = SyntheticDataset(means, torch.arange(2), CLASSES)
    found = tracing(records, [release], population, Embedders((IDENTITY,)), ridge=1e-3)[0]
    # Score of a member less a non-member's: mean d / n, variance about 2 d / n.
    from scipy.stats import norm

    expected = norm.cdf(np.sqrt(size / n / 2))
    assert abs(roc_auc_score(member, found) - expected) < 0.09


def test_known_embeddings_trace_distribution_matching():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(300, 1, 8, 8, generator=generator)
    data = LabeledDataset(inputs, torch.arange(300) % 2, CLASSES)
    private = data.select(torch.arange(10))
    dm = DistributionMatching(ipc=5, init="noise", pairs=4, pairs_per_record=4, width=8, steps=40)
    release = dm.synthesize(private, seed=0)
    known = known_embedders(dm, private)
    found = tracing(data.select(torch.arange(100)), [release], data.select(torch.arange(100, 300)),
                    known)[0]  # fmt: skip
    assert roc_auc_score(np.arange(100) < 10, found) > 0.85
