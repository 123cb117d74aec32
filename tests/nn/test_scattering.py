"""Wavelet features: what they are zero for, what they hardly notice, and what they must notice."""

import pytest
import torch

from limbeck import coins
from limbeck.data.procedural import shapes
from limbeck.errors import OptionError
from limbeck.nn.public_features import PublicFeatures, public_features
from limbeck.nn.scattering import Scattering


def images(n=6, shape=(1, 16, 16), seed=0):
    return shapes(n, shape, coins.generator(seed, "test"))


@pytest.mark.parametrize(
    ("shape", "size"),
    [((1, 28, 28), 81 * 49), ((1, 8, 8), 81 * 4), ((3, 16, 20), 243 * 20), ((1, 64, 64), 81 * 64)],
)
def test_there_are_81_maps_a_channel_on_a_coarse_grid(shape, size):
    scattering = Scattering(shape)
    assert scattering.features == size
    assert scattering(images(2, shape)).shape == (2, size)
    with pytest.raises(OptionError, match="at least 8 pixels"):
        Scattering((1, 7, 8))


def test_a_black_image_has_none_and_a_grey_one_only_its_brightness():
    scattering = Scattering((1, 16, 16))
    assert scattering(torch.zeros(1, 1, 16, 16)).abs().max() < 1e-6
    maps = scattering(torch.full((1, 1, 32, 32), 0.5)).reshape(81, 8, 8)
    assert torch.allclose(maps[0], torch.full((8, 8), 0.5))
    assert maps[1:, 3:5, 3:5].abs().max() < 1e-5, "wavelets sum to 0; edges are far from here"


def test_waves_are_seen_by_the_wavelet_of_their_own_direction_and_scale():
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    scattering = Scattering((1, 32, 32))
    for direction, along in ((0, columns), (4, rows)):
        for scale, frequency in ((0, 2.36), (1, 1.18)):
            wave = 0.5 + 0.5 * (frequency * along).cos()
            energy = scattering(wave[None, None]).reshape(81, -1)[1:17].mean(1)
            assert int(energy.argmax()) == 8 * scale + direction


def test_a_small_shift_changes_features_less_than_pixels():
    shape = (1, 32, 32)
    before = images(20, shape)
    after = before.roll(1, 3)
    scattering = Scattering(shape)

    def change(a, b):
        return float(((a - b).flatten(1).norm(dim=1) / a.flatten(1).norm(dim=1)).mean())

    assert change(scattering(before), scattering(after)) < 0.7 * change(before, after)


def test_a_record_has_the_same_features_whoever_else_is_in_the_batch():
    features = public_features((1, 8, 8), 40)
    several = images(5, (1, 8, 8))
    alone = torch.cat([features(one[None]) for one in several])
    assert torch.allclose(features(several), alone, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 8, 8), (6,)])
def test_public_features_are_uncorrelated_and_damped_on_public_records(shape):
    features = public_features(shape, 30)
    assert isinstance(features, PublicFeatures) and features.size == 30
    fresh = (
        shapes(3000, shape, coins.generator(5, "fresh"))
        if len(shape) == 3
        else torch.rand(3000, *shape, generator=coins.generator(5, "fresh"))
    )
    rows = features(fresh)
    assert 0.7 < float(rows.norm(dim=1).median()) < 1.4
    covariance = torch.cov(rows.mT)
    spread = covariance.diagonal()
    correlation = covariance / (spread[:, None] * spread).sqrt()
    # Learnt from some hundred public records, so not quite: raw features correlate far more.
    off = (correlation - torch.eye(30)).abs()
    assert off.max() < 0.3
    assert spread[0] > spread[-1] > 0.001 * spread[0]


def test_procedural_images_are_in_range_differ_and_follow_from_their_coins():
    one, same, other = images(50), images(50), images(50, seed=1)
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert one.shape == (50, 1, 16, 16) and one.min() >= 0 and one.max() <= 1
    assert len(torch.unique(one.flatten(1), dim=0)) == 50
    assert (one.flatten(1).std(1) > 0.02).float().mean() > 0.8
    symmetric = (one - one.flip(3)).abs().amax((1, 2, 3)) < 1e-6
    assert 0.2 < symmetric.float().mean() < 0.9
