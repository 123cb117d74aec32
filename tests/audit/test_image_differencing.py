"""Differencing two releases: a record that left is pointed at where both were made alike."""

import itertools

import numpy as np
import pytest
import torch

from limbeck.audit.images.differencing import difference, point
from limbeck.audit.images.embedders import Embedders, known_embedders
from limbeck.audit.images.tracing import tracing
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.synthesize.condense.distribution_matching import DistributionMatching

CLASSES = ("a", "b")
IDENTITY = Embedders((lambda x: x.flatten(1),))


def draw(n, seed):
    inputs = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return LabeledDataset(inputs, torch.arange(n) % 2, CLASSES)


def means(data):
    return SyntheticDataset(
        torch.stack([data.inputs[data.labels == c].mean(0) for c in range(2)]),
        torch.arange(2),
        CLASSES,
    )


def without(data, *gone):
    return data.select([i for i in range(len(data)) if i not in gone])


def test_scores_are_the_difference_of_two_tracings():
    data, population = draw(20, 0), draw(80, 1)
    before, after = means(data), means(without(data, 4))
    found = difference([before], [after], data, population, IDENTITY)
    one, two = tracing(data, [before, after], population, IDENTITY)
    np.testing.assert_allclose(found, one - two, rtol=1e-4, atol=1e-5)
    twice = difference([before, after], [after, after], data, population, IDENTITY)
    np.testing.assert_allclose(twice, found / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gone", [3, 10])
def test_a_deletion_from_means_is_pointed_at(gone):
    data, population = draw(100, 0), draw(300, 1)
    scores = difference([means(data)], [means(without(data, gone))], data, population, IDENTITY)
    found = point(scores, np.array([gone]))
    assert found.ranks.tolist() == [0.0]
    assert found.p_value == pytest.approx(0.01)


def test_distribution_matching_from_the_same_start_is_pointed_at():
    data, population = draw(40, 0), draw(200, 1)
    ranks = matching(data, population, ipc=4, seeds=[0, 0, 0])
    # Chance ranks of 40: all three among the first three has probability 0.0004.
    assert max(ranks) <= 2


def test_a_start_of_its_own_hides_a_deletion_from_one_image_a_class():
    data, population = draw(40, 0), draw(200, 1)
    ranks = matching(data, population, ipc=1, seeds=[1, 2, 3])
    assert max(ranks) > 5


def matching(data, population, *, ipc, seeds):
    """Ranks of the first records, each deleted from the data of a release with its seed."""
    dm = DistributionMatching(ipc=ipc, init="noise", pairs=2, pairs_per_record=2, width=8, steps=40)
    known, before = known_embedders(dm, data), dm.synthesize(data, seed=0)
    ranks = []
    for gone, seed in enumerate(seeds):
        after = dm.synthesize(without(data, gone), seed=seed)
        scores = difference([before], [after], data, population, known)
        ranks.append(point(scores, np.array([gone])).ranks[0])
    return ranks


def test_the_best_place_of_a_group_by_counting():
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    found = point(scores, np.array([4, 1]))
    assert found.ranks.tolist() == [3.0, 1.0]
    pairs = list(itertools.combinations(range(6), 2))
    assert found.p_value == pytest.approx(np.mean([min(pair) <= 1 for pair in pairs]))
    tied = point(np.zeros(5), np.array([2]))
    assert tied.ranks.tolist() == [2.0]


def test_a_side_without_a_release_is_refused():
    data = draw(6, 0)
    with pytest.raises(OptionError, match="at least one of each"):
        difference([], [means(data)], data, data, IDENTITY)
