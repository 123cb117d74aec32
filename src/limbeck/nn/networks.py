"""The small networks of the condensation literature, initialised from an explicit seed."""

import math
import re
from abc import abstractmethod
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck import coins
from limbeck.errors import OptionError

Layer = TypeVar("Layer", bound=nn.Module)


class Network(nn.Module):
    """A classifier in two parts: ``embed`` to ``features`` numbers, a linear ``head`` to logits."""

    head: nn.Linear
    features: int

    @abstractmethod
    def embed(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """Features that the head reads, and that distribution matching compares."""

    def forward(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n classes"]:
        """Logits."""
        logits: Tensor = self.head(self.embed(inputs))
        return logits


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
        self.convolutions = nn.ModuleList(
            _blank(nn.Conv2d, size, width, kernel_size=3, padding=1) for size in inward
        )
        self.norms = nn.ModuleList(_blank(nn.GroupNorm, width, width) for _ in inward)
        self.features = width * rows * columns
        self.head = _blank(nn.Linear, self.features, classes)

    def embed(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """Flattened maps of the last block."""
        x = _pad_to_multiple(inputs, self._grid)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = _halve(F.relu(norm(convolution(x))))
        return x.flatten(1)


class MLP(Network):
    """Two hidden ReLU layers on the flattened record; serves records of any shape."""

    def __init__(self, shape: tuple[int, ...], classes: int, *, width: int) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(
            [
                _blank(nn.Linear, math.prod(shape), width),
                _blank(nn.Linear, width, width),
            ]
        )
        self.features = width
        self.head = _blank(nn.Linear, width, classes)

    def embed(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """Activations of the second hidden layer."""
        x = inputs.flatten(1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        return x


class Linear(Network):
    """No hidden layer: the features are the record's own values. The exact case of the theory."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.features = math.prod(shape)
        self.head = _blank(nn.Linear, self.features, classes)

    def embed(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """The flattened record."""
        return inputs.flatten(1)


def make(
    name: str, shape: tuple[int, ...], classes: int, *, width: int | None = None, seed: int
) -> Network:
    """The network ``name`` for records of ``shape``, on the CPU, drawn from ``seed``.

    name: "convnetD" with depth D from 1 to 5 (images at least 2**D pixels wide), "mlp" or "linear".
    width: channels of each convolution (default 128) or units of each hidden layer (default 256).
    Raises OptionError for an unknown name or a shape the network cannot serve.
    """
    network: Network
    if match := re.fullmatch(r"convnet([1-5])", name):
        depth = int(match[1])
        require_images(shape, name, at_least=2**depth)
        network = ConvNet(shape, classes, depth=depth, width=width or 128)
    elif name == "mlp":
        network = MLP(shape, classes, width=width or 256)
    elif name == "linear":
        network = Linear(shape, classes)
    else:
        raise OptionError(
            f"no network is called {name!r}; there are: convnet1 to convnet5, mlp, linear"
        )
    initialise(network, coins.generator(seed, "network"))
    return network


def deepest(shape: tuple[int, ...]) -> str:
    """The ConvNet whose last maps are at least 2x2 before pooling, up to 3 blocks; or "mlp"."""
    if len(shape) != 3:
        return "mlp"
    return f"convnet{min(3, max(1, min(shape[1:]).bit_length() - 2))}"


def require_images(shape: tuple[int, ...], what: str, at_least: int = 1) -> None:
    """OptionError unless records are (channels, height, width) of at least that many pixels."""
    if len(shape) != 3 or min(shape[1:]) < at_least:
        raise OptionError(
            f"{what} needs images of shape (channels, height, width), at least {at_least} pixels "
            f"wide and high; these records have shape {shape}: use network 'mlp'"
        )


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw weights as PyTorch does by default: uniform within 1/sqrt(fan-in)."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            bound = 1 / math.sqrt(module.weight[0].numel())
            module.weight.uniform_(-bound, bound, generator=generator)
            if module.bias is not None:
                module.bias.uniform_(-bound, bound, generator=generator)
        elif isinstance(module, nn.GroupNorm):
            module.weight.fill_(1)
            module.bias.fill_(0)


def _blank(layer: type[Layer], *sizes: int, **options: Any) -> Layer:
    """A layer with unset parameters: PyTorch's own would be drawn from global random state.

    torch.nn.utils.skip_init does the same and takes a second to import what it needs.
    """
    made = layer(*sizes, device="meta", **options)
    for name, parameter in list(made.named_parameters(recurse=False)):
        setattr(made, name, nn.Parameter(torch.empty(parameter.shape)))
    return made


def _halve(maps: Tensor) -> Tensor:
    """2x2 average pooling as a sum of row pairs and one matrix product.

    On a CPU the same numbers as ``avg_pool2d`` in a quarter of its time forward, and under half
    of it backward.
    """
    n, channels, height, width = maps.shape
    pairs = maps.reshape(n, channels, height // 2, 2, width)
    columns = torch.full((2, 1), 0.25, dtype=maps.dtype, device=maps.device)
    pool = torch.kron(torch.eye(width // 2, dtype=maps.dtype, device=maps.device), columns)
    return (pairs[:, :, :, 0] + pairs[:, :, :, 1]) @ pool


def _pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    height, width = images.shape[-2:]
    extra_rows, extra_columns = -height % multiple, -width % multiple
    if not extra_rows and not extra_columns:
        return images
    top, left = extra_rows // 2, extra_columns // 2
    return F.pad(images, (left, extra_columns - left, top, extra_rows - top))
