"""AlexNet in the small-image form of the condensation literature's tests across architectures."""

import math

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.nn.networks.base import Network
from limbeck.nn.networks.layers import blank, convolution, pad_to_multiple, scaled

WIDTH = 128
_GRID = 8  # three poolings


class AlexNet(Network):
    """AlexNet (Krizhevsky et al. 2012) for small images, as Zhao et al. 2021 use it; no norm.

    Five convolutions with ReLU: 5x5 of 128 and 192 channels, 3x3 of 256, 192 and 192; 2x2
    max-pooling after the first, the second and the last; a linear head. Images are zero-padded to
    a multiple of 8. Other widths than 128 scale every layer alike.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, *, width: int) -> None:
        super().__init__()
        outward = [scaled(size, width, WIDTH) for size in (128, 192, 256, 192, 192)]
        self.convolutions = nn.ModuleList(
            convolution(before, after, size, padding=size // 2)
            for before, after, size in zip(
                [shape[0], *outward], outward, (5, 5, 3, 3, 3), strict=False
            )
        )
        rows, columns = (math.ceil(side / _GRID) for side in shape[1:])
        self.features = outward[-1] * rows * columns
        self.head = blank(nn.Linear, self.features, classes)

    def embed(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """Flattened maps of the last layer, pooled."""
        x = pad_to_multiple(inputs, _GRID)
        for i, layer in enumerate(self.convolutions):
            x = F.relu(layer(x))
            if i in (0, 1, 4):
                x = F.max_pool2d(x, 2)
        return x.flatten(1)
