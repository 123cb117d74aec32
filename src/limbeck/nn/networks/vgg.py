"""VGG-11 in the small-image form of the condensation literature's tests across architectures."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.nn.networks.base import Network
from limbeck.nn.networks.layers import (
    Norm,
    blank,
    convolution,
    halvings,
    normalisation,
    pad_to_multiple,
    scaled,
)

WIDTH = 64
_STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))


class VGG11(Network):
    """VGG-11 (Simonyan & Zisserman 2015, configuration A) as Zhao et al. 2021 use it.

    Eight 3x3 convolutions in five stages of 64, 128, 256, 512 and 512 channels, each followed by
    instance or group norm and ReLU; 2x2 max-pooling between stages, as long as 2x2 pixels remain
    for the last; the largest value of each map; a linear head. Images are zero-padded to what the
    poolings divide: 28x28 becomes 32x32. Other widths than 64 scale every layer alike.
    """

    def __init__(
        self, shape: tuple[int, ...], classes: int, *, width: int, norm: Norm = "instance"
    ) -> None:
        super().__init__()
        self._poolings = halvings(shape, len(_STAGES) - 1)
        self.stages = nn.ModuleList()
        before = shape[0]
        for sizes in _STAGES:
            layers: list[nn.Module] = []
            for size in sizes:
                after = scaled(size, width, WIDTH)
                layers += [convolution(before, after, 3, padding=1), normalisation(norm, after)]
                layers += [nn.ReLU()]
                before = after
            self.stages.append(nn.Sequential(*layers))
        self.features = before
        self.head = blank(nn.Linear, self.features, classes)

    def embed(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """The largest value of each map of the last stage."""
        x = pad_to_multiple(inputs, 2**self._poolings)
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i < self._poolings:
                x = F.max_pool2d(x, 2)
        return x.amax((2, 3))
