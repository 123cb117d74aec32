"""Nearest released images against a loop over all pairs."""

import numpy as np
import torch

from limbeck.audit.images.measures import L2, standard
from limbeck.audit.images.nearest import calibrated, nearest
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset

CLASSES = ("a", "b", "c")


def records(n, seed, labels=None):
    inputs = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return LabeledDataset(inputs, torch.arange(n) % 3 if labels is None else labels, CLASSES)


def released(n, seed, labels=None):
    data = records(n, seed, labels)
    return SyntheticDataset(data.inputs, data.labels, CLASSES)


def test_the_nearest_image_of_the_own_class_under_each_measure():
    data, releases = records(7, 0), [released(6, 1), released(9, 2)]
    measures = standard((1, 8, 8))
    found = nearest(data, releases, measures)
    for kind, measure in enumerate(measures):
        for run, release in enumerate(releases):
            for j in range(len(data)):
                same = release.inputs[release.labels == data.labels[j]]
                pairs = measure.between(measure.prepare(data.inputs[[j]]), measure.prepare(same))
                np.testing.assert_allclose(found[run, kind, j], -pairs.min(), atol=1e-5)


def test_a_class_that_the_release_lacks_is_compared_with_every_image():
    data = records(3, 0)
    release = released(4, 1, torch.tensor([0, 0, 1, 1]))
    expected = -(data.inputs[2] - release.inputs).square().mean((1, 2, 3)).sqrt().min()
    np.testing.assert_allclose(nearest(data, [release], [L2()])[0, 0, 2], expected, atol=1e-6)


def test_calibration_subtracts_the_distance_to_the_population():
    data, release, population = records(6, 0), released(6, 1), records(9, 2)
    found = calibrated(data, [release], population, [L2()])
    usual = nearest(data, [released(9, 2)], [L2()])
    np.testing.assert_allclose(found, nearest(data, [release], [L2()]) - usual, atol=1e-6)
    # A record that is released outright has no distance left but the population's.
    outright = SyntheticDataset(data.inputs, data.labels, CLASSES)
    found = calibrated(data, [outright], population, [L2()])
    np.testing.assert_allclose(found, -usual, atol=1e-6)
    assert (found > 0).all()
