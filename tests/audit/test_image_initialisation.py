"""Starts found again among all candidates."""

import numpy as np
import pytest
import torch

from limbeck.audit.images.initialisation import identify
from limbeck.audit.images.measures import L2
from limbeck.audit.images.starts import found_starts, started
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.mechanism.pipeline import Pipeline
from limbeck.synthesize.condense.distribution_matching import DistributionMatching
from limbeck.synthesize.initialise import parse

CLASSES = ("a", "b")
STARTS = np.array([0, 4, 1, 7])


def candidates(n=40, seed=0):
    inputs = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return LabeledDataset(inputs, torch.arange(n) % 2, CLASSES)


def release_of(data, noise=0.0):
    inputs = data.inputs[STARTS]
    inputs = inputs + noise * torch.rand(inputs.shape, generator=torch.Generator().manual_seed(1))
    return SyntheticDataset(inputs.clamp(0, 1), data.labels[STARTS], CLASSES)


def test_images_that_hardly_left_their_starts_are_identified():
    found = identify(release_of(candidates(), 0.1), candidates(), STARTS, L2())
    assert found.hit_at_1.value == 1.0
    assert found.hit_at_1.trials == 4
    # Clopper and Pearson for 4 of 4: the lower end is 0.025 ** (1 / 4).
    assert found.hit_at_1.low == pytest.approx(0.025**0.25)
    assert found.chance == pytest.approx(1 / 20)


def test_ranks_count_the_candidates_of_the_class_that_lie_nearer():
    data = candidates()
    release = release_of(data)
    wrong = np.array([2, 4, 1, -1])
    found = identify(release, data, wrong, L2())
    distances = (data.inputs - release.inputs[0]).square().sum((1, 2, 3))
    nearer = (distances < distances[2])[data.labels == 0]
    np.testing.assert_array_equal(found.ranks, [int(nearer.sum()), 0, 0, np.nan])
    assert found.hit_at_1.value == pytest.approx(2 / 3)
    assert found.ranks[0] >= 1


def test_images_that_forgot_their_starts_are_found_by_chance():
    hits, trials = 0, 0
    for seed in range(30):
        fresh = candidates(4, seed=100 + seed)
        release = SyntheticDataset(fresh.inputs, torch.tensor([0, 0, 1, 1]), CLASSES)
        found = identify(release, candidates(), STARTS, L2())
        hits += found.hit_at_1.value * 4
        trials += 4
    assert abs(hits / trials - found.chance) < 3.5 * np.sqrt(0.05 * 0.95 / trials)


def test_a_start_that_ties_for_the_first_place_is_no_hit():
    data = candidates()
    twice = data.inputs.clone()
    twice[2] = twice[0]
    found = identify(release_of(data), LabeledDataset(twice, data.labels, CLASSES), STARTS, L2())
    np.testing.assert_array_equal(found.ranks, [0.5, 0, 0, 0])
    assert found.hit_at_1.value == 0.75


def test_of_several_starts_the_nearest_counts():
    data = candidates()
    release = release_of(data)
    pairs = np.stack([np.array([2, 6, 3, 9]), STARTS], axis=1)
    found = identify(release, data, pairs, L2())
    assert found.hit_at_1.value == 1.0 and found.chance == pytest.approx(2 / 20)
    # Both starts of the last image tie, as the same picture: that is a hit, for it names one.
    twins = data.inputs.clone()
    twins[9] = twins[7]
    again = LabeledDataset(twins, data.labels, CLASSES)
    assert identify(release, again, pairs, L2()).ranks[3] == 0


MEMBER = torch.arange(40) % 5 != 4


@pytest.mark.parametrize("init", ["real", "noised-real:0", "kaleidoscope:0", "average:3"])
def test_sources_are_what_the_initialisation_reads(init):
    begin, data = parse(init), candidates()
    sources = begin.sources(data, MEMBER, 3, seed=5)
    images = begin.read(data, MEMBER, 3, seed=5)
    torch.testing.assert_close(data.inputs[sources].mean(1), images)
    assert MEMBER[sources].all()
    assert (data.labels[sources] == torch.tensor([0, 1]).repeat_interleave(3)[:, None]).all()


def test_mixtures_have_two_sources_and_centroids_none():
    data = candidates()
    first, second = data.inputs[parse("mixup").sources(data, MEMBER, 3, seed=5)].unbind(1)
    images = parse("mixup").read(data, MEMBER, 3, seed=5)
    around = (images - first).flatten(1).norm(dim=1) + (images - second).flatten(1).norm(dim=1)
    torch.testing.assert_close(around, (first - second).flatten(1).norm(dim=1))
    assert parse("k-means").sources(data, MEMBER, 3, seed=5) is None


@pytest.mark.parametrize(("init", "found"), [("real", True), ("noise", False)])
def test_what_a_short_condensation_began_as_is_found(init, found):
    data = candidates(80)
    member = torch.arange(80) % 5 != 4
    method = DistributionMatching(ipc=2, init=init, network="convnet1", width=2, steps=1, pairs=1)
    pipeline = Pipeline(method, None)
    (made,) = pipeline.run_many(data, member[None], [7])
    told = started(pipeline, data, member, 7, made.synthetic)
    assert (told is not None) is found
    if told is not None:
        assert told.ranks.shape == (3, 4)
        signals = {"starts": told.ranks[None], "start_chance": np.array([told.chance])}
        (l2, *_) = found_starts(signals, data.shape)
        assert (l2.measure, l2.hit_at_1.value, l2.hit_at_1.trials) == ("l2", 1.0, 4)
        assert l2.hit_at_1.low == pytest.approx(0.025**0.25)
        assert (told.ranks[0] == 0).all() and told.chance == pytest.approx(1 / 32)


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        (np.array([0, 4, 1]), "starts of shape"),
        (np.full(4, -1), "at least one"),
        (np.array([0, 4, 1, 40]), "index of a candidate"),
        (np.array([0, 4, 1, 2]), "image 3 of 4 is said to have begun as candidate 2"),
    ],
)
def test_starts_that_do_not_fit_are_refused(starts, message):
    with pytest.raises(OptionError, match=message):
        identify(release_of(candidates()), candidates(), starts, L2())
