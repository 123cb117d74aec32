"""That each generator learns: two kinds of tiny images in seconds, digits in the slow tests."""

import pytest
import torch

from limbeck.data.dataset import LabeledDataset
from limbeck.synthesize.generate.cgan import CGAN
from limbeck.synthesize.generate.diffusion import Diffusion
from limbeck.synthesize.generate.dp_sinkhorn import DPSinkhorn
from limbeck.synthesize.generate.gs_wgan import GSWGAN
from limbeck.train.kernel_ridge import KernelRidge

pytest.importorskip("opacus", reason="private methods need the extra 'private'")
pytest.importorskip("geomloss", reason="DP-Sinkhorn needs the extra 'generate'")
pytest.importorskip("diffusers", reason="diffusion needs the extra 'generate'")


def shadow(method, data):
    """A set with repeatable noise."""
    everyone = torch.ones(1, len(data), dtype=torch.bool)
    return next(iter(method.synthesize_many(data, everyone, [0])))


@pytest.fixture(scope="module")
def sides():
    """600 images of 4x4 pixels, bright on the left in one class and on the right in the other."""
    labels = torch.arange(600) % 2
    images = torch.full((600, 1, 4, 4), 0.1)
    images[labels == 0, :, :, :2] = 0.9
    images[labels == 1, :, :, 2:] = 0.9
    noise = 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return LabeledDataset((images + noise).clamp(0, 1), labels, ("left", "right"))


@pytest.mark.parametrize(
    "method",
    [
        CGAN(ipc=50, steps=150, batch=16, width=4, network_width=16, learning_rate=0.003),
        Diffusion(ipc=50, steps=150, batch=32, width=8, jumps=5, learning_rate=0.01),
        GSWGAN(
            **{"epsilon": 10.0, "ipc": 50, "shards": 20, "steps": 40, "batch": 4, "warmup": 30},
            **{"critic_width": 8, "width": 4, "learning_rate": 0.01},
        ),
        DPSinkhorn(
            epsilon=10.0, ipc=50, rate=0.05, steps=100, batch=4, width=4, learning_rate=0.01
        ),
    ],
    ids=lambda method: method.method_name,
)
def test_generated_images_are_bright_on_the_side_of_their_class(method, sides):
    made = shadow(method, sides)
    gap = made.inputs[..., :2].mean((1, 2, 3)) - made.inputs[..., 2:].mean((1, 2, 3))
    right = (gap > 0) == (made.labels == 0)
    assert right.float().mean() > 0.85, "half of them by chance"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "least"),
    [
        (CGAN(ipc=50), 0.8),
        (Diffusion(ipc=50), 0.8),
        (GSWGAN(epsilon=10.0, ipc=50), 0.3),
        (DPSinkhorn(epsilon=10.0, ipc=50), 0.3),
    ],
    ids=lambda value: getattr(value, "method_name", ""),
)
def test_classifiers_of_their_digits_alone_classify_digits(method, least, digits):
    private, test = digits
    assert KernelRidge().fit(shadow(method, private), seed=0).accuracy(test) > least
