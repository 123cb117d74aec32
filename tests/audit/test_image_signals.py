"""The signals of released images, kind by kind, ready for LiRA."""

import numpy as np
import torch

from limbeck.audit.images.density import density_ratio
from limbeck.audit.images.embedders import Embedders, random_embed
from limbeck.audit.images.measures import standard
from limbeck.audit.images.nearest import nearest
from limbeck.audit.images.retrained import Retrained
from limbeck.audit.images.signals import ImageSignals, kinds
from limbeck.audit.images.tracing import tracing
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset

CLASSES = ("a", "b")


def draw(n, seed, shape):
    inputs = torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed))
    return LabeledDataset(inputs, torch.arange(n) % 2, CLASSES)


def released(n, seed, shape):
    data = draw(n, seed, shape)
    return SyntheticDataset(data.inputs, data.labels, CLASSES)


def test_every_kind_stands_where_its_name_says():
    shape = (1, 8, 8)
    records, population = draw(6, 0, shape), draw(30, 1, shape)
    releases = [released(4, 2, shape), released(4, 3, shape)]
    pixels = Embedders((lambda x: x.flatten(1),))
    reader = ImageSignals(records, population, known=pixels)
    found = np.stack([reader.read(release) for release in releases])
    names = kinds(shape)
    assert names == (
        "nearest-l2",
        "nearest-ssim",
        "nearest-embedding",
        "tracing",
        "density-ratio",
        "kernel-ridge",
        "retrained",
    )
    np.testing.assert_array_equal(found[:, :3], nearest(records, releases, standard(shape)))
    at = names.index("tracing")
    np.testing.assert_array_equal(found[:, at], tracing(records, releases, population, pixels))
    ratio = density_ratio(records, releases, population, random_embed(shape))
    np.testing.assert_array_equal(found[:, names.index("density-ratio")], ratio)
    np.testing.assert_array_equal(found[0, -2:], Retrained(records).signal(releases[0]))
    assert np.isfinite(found).all()
