"""The distances that the image attacks share, against loops written from their formulae."""

import itertools

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from limbeck.audit.images.embedders import known_embedders, random_embed
from limbeck.audit.images.lpips import Lpips
from limbeck.audit.images.lpips_weights import load_lpips
from limbeck.audit.images.measures import L2, Embedding, ssim, standard
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.synthesize.condense.distribution_matching import DistributionMatching


def images(n, seed, channels=2, side=9):
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(seed))


def slow_ssim(x, y, size=7):
    values = []
    for c, i, j in itertools.product(range(len(x)), *[range(s - size + 1) for s in x.shape[1:]]):
        p, q = (a[c, i : i + size, j : j + size].double().numpy() for a in (x, y))
        covariance = ((p - p.mean()) * (q - q.mean())).mean()
        values.append(
            (2 * p.mean() * q.mean() + 1e-4)
            * (2 * covariance + 9e-4)
            / ((p.mean() ** 2 + q.mean() ** 2 + 1e-4) * (p.var() + q.var() + 9e-4))
        )
    return np.mean(values)


def test_ssim_equals_the_loop_over_windows(monkeypatch):
    a, b = images(3, 0), images(2, 1)
    b[1] = (a[0] + 0.1 * b[1]).clamp(0, 1)
    expected = np.array([[slow_ssim(x, y) for y in b] for x in a])
    np.testing.assert_allclose(ssim(a, b).numpy(), expected, atol=1e-5)
    assert expected[0, 1] > 0.8 > 0.3 > expected[0, 0]
    monkeypatch.setattr("limbeck.audit.images.measures._VALUES", 1)  # blocks of one image
    np.testing.assert_allclose(ssim(a, b).numpy(), expected, atol=1e-5)


def test_ssim_of_images_smaller_than_the_window():
    a = images(2, 0, side=4)
    np.testing.assert_allclose(ssim(a, a)[0, 1], slow_ssim(a[0], a[1], size=4), atol=1e-5)


def test_every_measure_is_zero_on_equal_images_and_positive_on_others():
    a = images(3, 0, channels=1, side=8)
    measures = standard((1, 8, 8))
    assert [m.name for m in measures] == ["l2", "ssim", "embedding"]
    for measure in measures:
        prepared = measure.prepare(a)
        distances = measure.between(prepared, prepared)
        np.testing.assert_allclose(distances.diagonal(), 0, atol=1e-5)
        assert (distances[~torch.eye(3, dtype=torch.bool)] > 1e-3).all()


def test_l2_is_the_root_mean_square_in_units_of_the_pixels():
    a = images(1, 0)
    prepared = L2().prepare(torch.cat([a, a + 0.25]))
    assert float(L2().between(prepared, prepared)[0, 1]) == pytest.approx(0.25)


def test_records_that_are_no_images_have_no_structural_similarity():
    measures = standard((5,))
    assert [m.name for m in measures] == ["l2", "embedding"]
    assert measures[1].prepare(torch.zeros(2, 5)).shape[0] == 2


def test_random_embeddings_are_public_constants():
    x = images(2, 0, channels=1, side=8)
    one, same, other = (random_embed((1, 8, 8), seed=s)(x) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_known_embeddings_are_those_that_the_synthesizer_sums(tiny_images: LabeledDataset):
    dm = DistributionMatching(ipc=1, pairs=3, pairs_per_record=2, width=4, init="noise")
    known = known_embedders(dm, tiny_images)
    everyone = torch.ones(1, len(tiny_images), dtype=torch.bool)
    summed = dm.read(tiny_images, everyone, [0])["first"]
    entered = known.entered(tiny_images.inputs)
    assert (entered.sum(1) == 2).all()
    for k, embed in enumerate(known.embed):
        for label in range(4):
            rows = entered[:, k] & (tiny_images.labels == label)
            own = embed(tiny_images.inputs)[rows].sum(0)
            np.testing.assert_allclose(summed[0, k, label], own, atol=1e-4)


def test_a_synthesizer_with_secret_networks_has_no_known_embeddings(tiny_images: LabeledDataset):
    dm = DistributionMatching(ipc=1, form="minibatch")
    assert known_embedders(dm, tiny_images) is None


def maps(inputs):
    generator = torch.Generator().manual_seed(5)
    first = torch.conv2d(inputs, torch.randn(3, 2, 3, 3, generator=generator)).relu()
    return [first, torch.conv2d(first, torch.randn(4, 3, 3, 3, generator=generator)).relu()]


def test_lpips_equals_its_formula_with_random_weights():
    weights = (torch.rand(3), torch.rand(4))
    a, b = images(3, 0), images(2, 1)
    lpips = Lpips(maps, weights)
    found = lpips.between(lpips.prepare(a), lpips.prepare(b))
    for i, j in itertools.product(range(3), range(2)):
        expected = 0.0
        for x, y, w in zip(maps(a[[i]]), maps(b[[j]]), weights, strict=True):
            x, y = (m[0] / (m[0].norm(dim=0) + 1e-10) for m in (x, y))
            expected += float((w[:, None, None] * (x - y) ** 2).sum(0).mean())
        assert float(found[i, j]) == pytest.approx(expected, rel=1e-4)


def test_lpips_reads_the_layers_of_alexnet_from_a_file(tmp_path):
    """Against AlexNet's features written out, with random weights and its taps."""
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(),
    )  # fmt: skip
    g = torch.Generator().manual_seed(6)
    for value in features.parameters():
        value.data = 0.1 * torch.randn(value.shape, generator=g)
    linear = [torch.rand(1, c, 1, 1, generator=g) for c in (64, 192, 384, 256, 256)]
    weights = {f"features.{name}": value for name, value in features.state_dict().items()}
    weights |= {f"lin{i}.model.1.weight": w for i, w in enumerate(linear)}
    save_file(weights, tmp_path / "w.safetensors")
    lpips = load_lpips(tmp_path / "w.safetensors")
    grey = torch.rand(2, 1, 64, 70, generator=g)
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
    seen = (2 * grey - 1 - shift) / torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)
    taps = []
    for at, layer in enumerate(features):
        seen = layer(seen)
        taps += [seen] if at in (1, 4, 7, 9, 11) else []
    expected = 0.0
    for tap, w in zip(taps, linear, strict=True):
        x, y = tap.detach() / (tap.detach().norm(dim=1, keepdim=True) + 1e-10)
        expected += float((w[0] * (x - y) ** 2).sum(0).mean())
    vectors = lpips.prepare(grey)
    assert float(lpips.between(vectors, vectors)[0, 1]) == pytest.approx(expected, rel=1e-3)
    with pytest.raises(OptionError, match="no images of 1 or 3 channels"):
        lpips.prepare(torch.rand(2, 5))


def test_lpips_weights_that_are_a_folder_are_named(tmp_path):
    with pytest.raises(OptionError, match=r"is a folder: name the \.safetensors file in it"):
        load_lpips(tmp_path)


def test_lpips_refuses_weights_of_another_network():
    with pytest.raises(OptionError, match=r"\[3, 4\] channels and the weights are for \[3, 5\]"):
        Lpips(maps, (torch.ones(3), torch.ones(5))).prepare(images(1, 0))


def test_embedding_distance_is_euclidean():
    measure = Embedding(lambda x: x.flatten(1))
    a, b = images(2, 0), images(3, 1)
    expected = (a.flatten(1)[:, None] - b.flatten(1)).norm(dim=2)
    np.testing.assert_allclose(
        measure.between(measure.prepare(a), measure.prepare(b)), expected, rtol=1e-5
    )
