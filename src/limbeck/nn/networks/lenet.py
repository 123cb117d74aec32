"""LeNet-5 in the form of the condensation literature's tests across architectures."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.nn.networks.base import Network
from limbeck.nn.networks.layers import blank, convolution, pad_to_multiple, scaled

WIDTH = 6
_GRID = 16  # two unpadded 5x5 convolutions, each pooled, divide these sides without a rest


class LeNet(Network):
    """LeNet-5 (LeCun et al. 1998) with ReLU and max-pooling, as Zhao et al. 2021 use it.

    Two blocks of 5x5 convolution without padding (6 and 16 channels), ReLU and 2x2 max-pooling,
    then dense layers of 120 and 84 units. Images are zero-padded to a multiple of 16: 28x28
    becomes 32x32. Other widths than 6 scale every layer alike.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, *, width: int) -> None:
        super().__init__()
        maps, first, self.features = (scaled(size, width, WIDTH) for size in (16, 120, 84))
        self.convolutions = nn.ModuleList(
            [convolution(shape[0], width, 5), convolution(width, maps, 5)]
        )
        rows, columns = (_left(side) for side in shape[1:])
        self.hidden = nn.ModuleList(
            [
                blank(nn.Linear, maps * rows * columns, first),
                blank(nn.Linear, first, self.features),
            ]
        )
        self.head = blank(nn.Linear, self.features, classes)

    def embed(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """Activations of the second dense layer."""
        x = pad_to_multiple(inputs, _GRID)
        for layer in self.convolutions:
            x = F.max_pool2d(F.relu(layer(x)), 2)
        x = x.flatten(1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        return x


def _left(side: int) -> int:
    """Pixels of a side that reach the dense layers."""
    padded = side + -side % _GRID
    return ((padded - 4) // 2 - 4) // 2
