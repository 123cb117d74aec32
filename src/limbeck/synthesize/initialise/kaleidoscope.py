"""Start from private images seen through a kaleidoscope."""

import math
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.base import FromRecords
from limbeck.synthesize.initialise.real import Real

JITTER = 0.05  # largest change of contrast (a factor) and of brightness, in each round
_SECTORS = (2, 3, 4)
# Sides of tiles, as shares of the frame's: from a half, so that they hold its middle, where
# the object mostly is; under 1, so that a mirror shows.
_TILE = (0.5, 0.8)
_CENTRE = 0.3  # farthest that a wedge's tip lies from the middle, as a share of half the side


@register(
    "kaleidoscope",
    kind="initialisation",
    summary="Random private images, a random piece of each mirrored to fill the frame",
    paper="limbeck's reconstruction of an unpublished transformation",
    access="records",
    cost="milliseconds",
)
@options
class Kaleidoscope(FromRecords):
    """The images of "real" after ``strength`` rounds of mirrors.

    In each round a random wedge or tile of the image is mirrored and rotated until it fills the
    frame; then the image is flipped, its quarters are shuffled, and contrast and brightness are
    jittered by up to 5%. Every pixel comes from the record, wherever it then stands.

    This is a reconstruction: the published operation is not known exactly. It only looks unlike
    the record, and is no privacy mechanism: what it protects is measured by attacks, never by how
    dissimilar the images are.

    strength: rounds; 0 gives the real images exactly.
    """

    strength: Annotated[int, Field(ge=0, le=100)] = 3

    def check(self, form: Form, per_class: int) -> None:
        if not form.is_images:
            raise OptionError(
                f"init kaleidoscope needs images (channels, height, width), and the records of "
                f"{form.name} have shape {form.shape}; use average, k-means or noise"
            )

    def read(
        self, private: LabeledDataset, member: Bool[Tensor, " records"], per_class: int, seed: int
    ) -> Float[Tensor, "images ..."]:
        self.check(Form.of(private), per_class)
        real = Real().read(private, member, per_class, seed)
        return kaleidoscope(real, self.strength, coins.generator(seed, "kaleidoscope"))

    def sources(
        self, private: LabeledDataset, member: Bool[Tensor, " records"], per_class: int, seed: int
    ) -> Int64[Tensor, "images 1"]:
        return Real().sources(private, member, per_class, seed)


def kaleidoscope(
    images: Float[Tensor, "n c h w"],
    strength: int,
    generator: torch.Generator,
    *,
    jitter: float = JITTER,
) -> Float[Tensor, "n c h w"]:
    """The images after ``strength`` rounds, each with coins of its own; values stay in [0, 1]."""
    height, width = images.shape[2:]
    # A round says where each place of the frame is taken from; the rounds compose as such maps,
    # and pixels are fetched once, so that none is blurred or invented.
    at = _centres(height, width).expand(len(images), -1, -1)
    for _ in range(strength):
        at = _mirrored(_shuffled(_flipped(at, generator), generator), generator)
        images = _jittered(images, jitter, generator)
    sides = torch.tensor([height, width])
    pixel = ((at + 1) / 2 * sides).long().clamp(min=torch.zeros_like(sides), max=sides - 1)
    source = (pixel[..., 0] * width + pixel[..., 1]).to(images.device)
    fetched: Tensor = images.flatten(2).gather(2, source[:, None].expand(-1, images.shape[1], -1))
    return fetched.reshape(images.shape)


def _centres(height: int, width: int) -> Tensor:
    """Places (row, column) of the pixels' centres in the frame [-1, 1] x [-1, 1], (h * w, 2)."""
    rows, columns = ((2 * torch.arange(side) + 1) / side - 1 for side in (height, width))
    return torch.cartesian_prod(rows, columns)


def _flipped(at: Tensor, generator: torch.Generator) -> Tensor:
    """Each image upside down, left to right, both or neither."""
    return at * (2.0 * torch.randint(2, (len(at), 1, 2), generator=generator) - 1)


def _shuffled(at: Tensor, generator: torch.Generator) -> Tensor:
    """The four quarters of each image in random order."""
    quarters = torch.cartesian_prod(torch.tensor([-0.5, 0.5]), torch.tensor([-0.5, 0.5]))
    here = (at >= 0).long() @ torch.tensor([2, 1])
    order = torch.rand(len(at), 4, generator=generator).argsort(1)
    return at - quarters[here] + quarters[order.gather(1, here)]


def _mirrored(at: Tensor, generator: torch.Generator) -> Tensor:
    """Each image filled with mirror images of a wedge or of a tile of it."""
    wedge, tile = _wedge(at, generator), _tile(at, generator)
    return torch.where(torch.rand(len(at), 1, 1, generator=generator) < 0.5, wedge, tile)


def _wedge(at: Tensor, generator: torch.Generator) -> Tensor:
    """As between two mirrors at an angle of pi / sectors that meet somewhere near the middle."""
    kind = torch.randint(len(_SECTORS), (len(at), 1), generator=generator)
    angle = math.pi / torch.tensor(_SECTORS)[kind]
    turn = 2 * math.pi * torch.rand(len(at), 1, generator=generator)
    tip = _CENTRE * (2 * torch.rand(len(at), 1, 2, generator=generator) - 1)
    around = torch.atan2(at[..., 0], at[..., 1])
    within = angle / 2 * _reflected(around / (angle / 2))
    direction = torch.stack([(within + turn).sin(), (within + turn).cos()], 2)
    return _reflected(tip + at.norm(dim=2, keepdim=True) * direction)


def _tile(at: Tensor, generator: torch.Generator) -> Tensor:
    """A tile at its own size and its mirror images beside it, all turned by a quarter or not."""
    low, high = _TILE
    side = low + (high - low) * torch.rand(len(at), 1, 2, generator=generator)
    middle = (1 - side) * (2 * torch.rand(len(at), 1, 2, generator=generator) - 1)
    start = 4 * torch.rand(len(at), 1, 2, generator=generator)
    turned = torch.randint(2, (len(at), 1, 1), generator=generator) == 1
    at = torch.where(turned, at.flip(2), at)
    return middle + side * _reflected(at / side + start)


def _reflected(values: Tensor) -> Tensor:
    """Values beyond [-1, 1] mirrored back into it, as often as needed; those within unchanged."""
    return 1 - ((values + 1).remainder(4) - 2).abs()


def _jittered(images: Tensor, jitter: float, generator: torch.Generator) -> Tensor:
    drawn = jitter * (2 * torch.rand(2, len(images), 1, 1, 1, generator=generator) - 1)
    contrast, brightness = drawn.to(images)
    moved: Tensor = images + contrast * (images - 0.5) + brightness
    return moved.clamp(0, 1)
