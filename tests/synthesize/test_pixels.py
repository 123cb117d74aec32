import pytest
import torch

from limbeck.nn.augment import PIXEL_SCALE
from limbeck.synthesize.condense.pixels import PixelDescent


def descent(images, **changes):
    options = {
        "learning_rate": 1.0,
        "momentum": 0.0,
        "steps": 10,
        "schedule": "constant",
        "blur": 0.0,
    }
    return PixelDescent(images, **{**options, **changes})


def test_steps_equal_torch_sgd_with_momentum():
    start = torch.full((2, 1, 4, 4), 0.5)
    ours = descent(start, momentum=0.5)
    theirs = start.clone().requires_grad_()
    optimiser = torch.optim.SGD([theirs], lr=PIXEL_SCALE**2, momentum=0.5)
    for step in range(4):
        gradient = torch.rand(start.shape, generator=torch.Generator().manual_seed(step))
        ours.step(gradient)
        theirs.grad = gradient
        optimiser.step()
    assert torch.allclose(ours.images, theirs.detach(), atol=1e-6)


def test_images_stay_in_range_and_the_start_is_left_alone():
    start = torch.full((1, 1, 4, 4), 0.5)
    ours = descent(start, learning_rate=100.0)
    ours.step(torch.ones_like(start))
    assert ours.images.max() == 0 and start.min() == 0.5


def test_cosine_ends_at_rest():
    start = torch.full((1, 3), 0.5)
    ours = descent(start, schedule="cosine", steps=2)
    moves = []
    for _ in range(2):
        before = ours.images
        ours.step(torch.ones_like(start))
        moves.append((before - ours.images).mean().item())
    assert moves[0] == pytest.approx(PIXEL_SCALE**2, rel=1e-4)
    assert moves[1] == pytest.approx(PIXEL_SCALE**2 / 2, rel=1e-4)


def test_blur_spreads_a_gradient_and_keeps_its_sum():
    start = torch.full((1, 2, 15, 15), 0.5)
    gradient = torch.zeros_like(start)
    gradient[0, 0, 7, 7] = 1.0
    ours = descent(start, blur=1.0)
    ours.step(gradient)
    moved = (start - ours.images) / PIXEL_SCALE**2
    assert moved.sum().item() == pytest.approx(1, rel=1e-3)
    assert moved[0, 1].abs().sum() == 0
    # Of a Gaussian of deviation 1 on a grid, the centre keeps 0.399 squared.
    assert moved[0, 0, 7, 7].item() == pytest.approx(0.159, abs=0.002)
