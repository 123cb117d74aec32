"""The small convolutional network that a study of condensed data and membership attacks trains."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.nn.networks.base import Network
from limbeck.nn.networks.layers import blank, convolution, scaled

WIDTH = 28
LEAST = 12
"""Pixels of a side that leave one after both convolutions and poolings."""


class TanhCNN(Network):
    """The network of Gujarathi and Gandhi 2022: tanh everywhere.

    28 maps of 5x5, 2x2 max-pooling, 28 maps of 3x3, 2x2 max-pooling, a dense layer of 128 units;
    convolutions are not padded. Other widths than 28 scale every layer alike.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, *, width: int) -> None:
        super().__init__()
        self.features = scaled(128, width, WIDTH)
        self.convolutions = nn.ModuleList(
            [convolution(shape[0], width, 5), convolution(width, width, 3)]
        )
        rows, columns = (((side - 4) // 2 - 2) // 2 for side in shape[1:])
        self.dense = blank(nn.Linear, width * rows * columns, self.features)
        self.head = blank(nn.Linear, self.features, classes)

    def embed(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """Activations of the dense layer."""
        x = inputs
        for layer in self.convolutions:
            x = F.max_pool2d(torch.tanh(layer(x)), 2)
        return torch.tanh(self.dense(x.flatten(1)))
