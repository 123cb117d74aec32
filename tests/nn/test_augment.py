import math

import pytest
import torch

from limbeck.nn import augment

SHAPE = (2, 12, 16)
NAMES = ["colour", "crop", "cutout", "flip", "scale", "rotate"]


def transform(name, *coins):
    values = torch.tensor(coins).reshape(1, -1)
    return augment.Transform(
        name, torch.cat([values, torch.full((1, 3 - values.shape[1]), 0.5)], 1)
    )


def test_every_transform_is_drawn_and_flips_only_where_labels_survive():
    generator = torch.Generator().manual_seed(0)
    drawn = {augment.draw(generator, SHAPE, mirror=True).name for _ in range(200)}
    assert drawn == set(NAMES)
    drawn = {augment.draw(generator, SHAPE, mirror=False).name for _ in range(200)}
    assert drawn == set(NAMES) - {"flip"}
    assert augment.draw(generator, (7,), mirror=True).name == "identity"


@pytest.mark.parametrize("name", NAMES)
def test_siamese_parameters_equal_the_same_ones_given_per_image(name):
    images = torch.rand(6, *SHAPE)
    coins = torch.rand(1, 3)
    one = augment.Transform(name, coins)(images)
    each = augment.Transform(name, coins.expand(6, 3))(images)
    assert torch.allclose(one, each, atol=1e-6)
    alone = torch.cat([augment.Transform(name, coins)(image[None]) for image in images])
    assert torch.allclose(one, alone, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_the_images(name):
    images = torch.rand(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    coins = torch.tensor([[0.3, 0.7, 0.2]], dtype=torch.float64)
    moved = augment.Transform(name, coins)
    assert torch.autograd.gradcheck(moved, (images,))


def test_crop_moves_by_whole_pixels_and_fills_with_zero():
    images = torch.rand(1, *SHAPE)
    moved = transform("crop", 0.999, 0.0)(images)  # 2 rows down, 2 columns left
    expected = torch.zeros_like(images)
    expected[:, :, :-2, 2:] = images[:, :, 2:, :-2]
    assert torch.equal(moved, expected)


def test_crop_reaches_every_shift_alike():
    coins = (torch.arange(5000) + 0.5) / 5000
    moves = augment._offsets(coins, 2)
    assert torch.bincount(moves + 2).tolist() == [1000] * 5


def test_cutout_blanks_half_the_side():
    images = torch.ones(1, 1, 8, 8)
    seen = transform("cutout", 0.5, 0.5)(images)
    assert seen.sum() == 64 - 16
    assert seen[0, 0, 2:6, 2:6].sum() == 0


def test_rotation_turns_by_the_stated_angle():
    # A bright pixel on the axis moves to the angle that the matrix states.
    side = 65
    images = torch.zeros(1, 1, side, side)
    images[0, 0, side // 2, side - 5] = 1.0
    seen = transform("rotate", 1.0)(images)[0, 0]
    at = (seen == seen.max()).nonzero()[0] - side // 2
    assert math.degrees(math.atan2(-at[0], at[1])) == pytest.approx(15, abs=1.5)


def test_colour_leaves_images_alone_at_its_neutral_coins():
    images = torch.rand(1, 3, 4, 4)
    assert torch.allclose(transform("colour", 0.5, 0.5, 0.5)(images), images, atol=1e-6)
    brighter = transform("colour", 1.0, 0.5, 0.5)(images)
    assert torch.allclose(brighter - images, torch.full_like(images, 0.15), atol=1e-6)


def test_scale_of_one_changes_nothing():
    images = torch.rand(1, *SHAPE)
    neutral = (1 - 1 / 1.2) / (1.2 - 1 / 1.2)
    assert torch.allclose(transform("scale", neutral, neutral)(images), images, atol=1e-5)
