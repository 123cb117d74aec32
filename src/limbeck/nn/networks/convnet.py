"""ConvNet: what the condensation literature condenses for and evaluates with."""

import math

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.nn.networks.base import Network
from limbeck.nn.networks.layers import blank, convolution, halve, normalisation, pad_to_multiple


class ConvNet(Network):
    """The literature's ConvNet (Gidaris & Komodakis 2018, as used by Zhao et al. 2021).

    Each of ``depth`` blocks: 3x3 convolution, instance norm with affine parameters, ReLU, 2x2
    average pooling. Images are zero-padded to a multiple of 2**depth first: 28x28 becomes 32x32,
    which equals the usual padding of 3 in the first convolution.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, *, depth: int, width: int) -> None:
        super().__init__()
        channels, height, width_px = shape
        self._grid = 2**depth
        rows, columns = (math.ceil(side / self._grid) for side in (height, width_px))
        inward = [channels, *[width] * (depth - 1)]
        self.convolutions = nn.ModuleList(convolution(c, width, 3, padding=1) for c in inward)
        self.norms = nn.ModuleList(normalisation("instance", width) for _ in inward)
        self.features = width * rows * columns
        self.head = blank(nn.Linear, self.features, classes)

    def embed(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """Flattened maps of the last block."""
        x = pad_to_multiple(inputs, self._grid)
        for layer, norm in zip(self.convolutions, self.norms, strict=True):
            x = halve(F.relu(norm(layer(x))))
        return x.flatten(1)
