"""ResNet-18 in the small-image form of the condensation literature's tests across architectures."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.nn.networks.base import Network
from limbeck.nn.networks.layers import Norm, blank, convolution, halvings, normalisation

WIDTH = 64


class ResNet18(Network):
    """ResNet-18 (He et al. 2016) for small images: a 3x3 stem of stride 1, no pooling after it.

    Four stages of two basic blocks with 64, 128, 256 and 512 channels and instance or group norm;
    the last three stages halve the image, as long as 2x2 pixels remain; the mean of each map; a
    linear head. Other widths than 64 scale every layer alike.
    """

    def __init__(
        self, shape: tuple[int, ...], classes: int, *, width: int, norm: Norm = "instance"
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            convolution(shape[0], width, 3, padding=1, bias=False),
            normalisation(norm, width),
            nn.ReLU(),
        )
        halved = halvings(shape, 3)
        blocks: list[nn.Module] = []
        before = width
        for stage in range(4):
            after, stride = width * 2**stage, 2 if 1 <= stage <= halved else 1
            blocks += [_Block(before, after, stride, norm), _Block(after, after, 1, norm)]
            before = after
        self.blocks = nn.Sequential(*blocks)
        self.features = before
        self.head = blank(nn.Linear, self.features, classes)

    def embed(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """The mean of each map of the last stage."""
        maps: Tensor = self.blocks(self.stem(inputs))
        return maps.mean((2, 3))


class _Block(nn.Module):
    """Two 3x3 convolutions beside the identity, or beside a 1x1 convolution where sizes change."""

    def __init__(self, before: int, after: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            convolution(before, after, 3, padding=1, stride=stride, bias=False),
            normalisation(norm, after),
            nn.ReLU(),
            convolution(after, after, 3, padding=1, bias=False),
            normalisation(norm, after),
        )
        self.beside: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.beside = nn.Sequential(
                convolution(before, after, 1, stride=stride, bias=False),
                normalisation(norm, after),
            )

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.inner(maps) + self.beside(maps))
