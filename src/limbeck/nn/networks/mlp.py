"""Networks without convolutions, which serve records of any shape."""

import math

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.nn.networks.base import Network
from limbeck.nn.networks.layers import blank


class MLP(Network):
    """Two hidden ReLU layers on the flattened record; serves records of any shape."""

    def __init__(self, shape: tuple[int, ...], classes: int, *, width: int) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(
            [
                blank(nn.Linear, math.prod(shape), width),
                blank(nn.Linear, width, width),
            ]
        )
        self.features = width
        self.head = blank(nn.Linear, width, classes)

    def embed(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """Activations of the second hidden layer."""
        x = inputs.flatten(1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        return x


class Linear(Network):
    """No hidden layer: the features are the record's own values. The exact case of the theory.

    There is nothing that ``width`` could scale: it is taken, as from every network, and unused.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, *, width: int = 0) -> None:
        super().__init__()
        self.features = math.prod(shape)
        self.head = blank(nn.Linear, self.features, classes)

    def embed(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """The flattened record."""
        return inputs.flatten(1)
