"""The density ratio against scikit-learn's kernel densities."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KernelDensity

from limbeck.audit.images.density import density_ratio
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError

CLASSES = ("a", "b")


def draw(n, seed):
    inputs = torch.rand(n, 4, generator=torch.Generator().manual_seed(seed))
    return LabeledDataset(inputs, torch.arange(n) % 2, CLASSES)


def released(data):
    return SyntheticDataset(data.inputs, data.labels, CLASSES)


def kernel(points, x):
    bandwidth = len(points) ** (-1 / (points.shape[1] + 4))
    return KernelDensity(bandwidth=bandwidth).fit(points).score_samples(x)


def test_the_ratio_equals_that_of_two_kernel_densities():
    records, population, release = draw(9, 0), draw(60, 1), released(draw(10, 2))
    found = density_ratio(records, [release], population, lambda x: x, components=4)[0]
    values, own = population.inputs.double().numpy(), population.labels.numpy()
    means = np.stack([values[own == c].mean(0) for c in range(2)])
    residual = values - means[own]
    # Any square root of the inverse covariance gives the same distances.
    root = np.linalg.cholesky(np.linalg.inv(residual.T @ residual / (len(residual) - 1)))
    for label in range(2):
        rows = records.labels.numpy() == label
        x = records.inputs.double().numpy()[rows] @ root
        images = release.inputs[release.labels == label].double().numpy() @ root
        expected = kernel(images, x) - kernel(values[own == label] @ root, x)
        np.testing.assert_allclose(found[rows], expected, atol=1e-3)


def test_the_population_released_as_it_is_has_ratio_one():
    population = draw(40, 1)
    found = density_ratio(draw(9, 0), [released(population)], population, lambda x: x)
    np.testing.assert_allclose(found, 0, atol=1e-5)


def test_a_lost_class_is_compared_with_every_image():
    population, release = draw(40, 1), released(draw(10, 2))
    alone = SyntheticDataset(release.inputs[::2], release.labels[::2], CLASSES)
    both = SyntheticDataset(alone.inputs.repeat(2, 1), torch.tensor([0] * 5 + [1] * 5), CLASSES)
    found = density_ratio(draw(9, 0), [alone, both], population, lambda x: x)
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    assert np.isfinite(found).all()


def test_a_density_ratio_needs_a_reference():
    with pytest.raises(OptionError, match="population records of shape"):
        density_ratio(draw(9, 0), [released(draw(4, 2))], draw(1, 1), lambda x: x)
