"""A trained network as a classifier, whatever trained it."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.nn.networks import Network, make
from limbeck.train.base import Classifier


class StandardClassifier(Classifier):
    """A trained network, in evaluation mode on the device it was trained on."""

    def __init__(self, network: Network) -> None:
        self.network = network.eval().requires_grad_(False)

    @torch.no_grad()
    def logits(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n classes"]:
        device = self.network.head.weight.device
        # Blocks that fit a CPU's cache are twice as fast as large ones; a GPU wants large ones.
        rows = 100 if device.type == "cpu" else 4096
        blocks = [self.network(block.to(device)).float() for block in torch.split(inputs, rows)]
        return torch.cat(blocks).cpu()

    def state(self) -> dict[str, Tensor]:
        return {name: value.cpu() for name, value in self.network.state_dict().items()}

    def architecture(self) -> dict[str, Any]:
        return {"kind": "network", "network": self.network.name, "width": self.network.width}

    @classmethod
    def restored(
        cls,
        architecture: Mapping[str, Any],
        shape: tuple[int, ...],
        classes: int,
        tensors: Mapping[str, Tensor],
    ) -> "StandardClassifier":
        """The classifier of this ``architecture`` and ``state``."""
        name, width = str(architecture["network"]), int(architecture["width"])
        network = make(name, shape, classes, width=width or None, seed=0)
        network.load_state_dict(tensors)
        return cls(network)
