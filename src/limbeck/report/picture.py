"""The picture of a synthetic set: one strip of images per class, as PNG bytes."""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from limbeck.data.synthetic import SyntheticDataset

MAX_CLASSES = 20
MAX_PER_CLASS = 10
MAX_BYTES = 700_000
_LARGEST_TILE = 64
_TILE = 56
_GAP = 4


@dataclass(frozen=True)
class Strip:
    """One class of the picture: its name, how many of its images are shown, and the PNG."""

    name: str
    shown: int
    total: int
    png: bytes


def strips(synthetic: SyntheticDataset) -> tuple[Strip, ...]:
    """The first images of the first classes, a strip each; empty where records are no images.

    Small images are enlarged without smoothing, large ones reduced. Fewer images per class are
    shown where the strips would together pass ``MAX_BYTES``.
    """
    if synthetic.inputs.dim() != 4 or synthetic.shape[0] not in (1, 3):
        return ()
    shown = MAX_PER_CLASS
    made = _strips(synthetic, shown)
    while sum(len(strip.png) for strip in made) > MAX_BYTES and shown > 1:
        shown //= 2
        made = _strips(synthetic, shown)
    return made


def _strips(synthetic: SyntheticDataset, shown: int) -> tuple[Strip, ...]:
    made = []
    for c, name in enumerate(synthetic.classes[:MAX_CLASSES]):
        images = synthetic.inputs[synthetic.labels == c]
        if len(images):
            first = images[:shown]
            made.append(Strip(name, len(first), len(images), strip_png(first)))
    return tuple(made)


def strip_png(images: Float[Tensor, "n c h w"]) -> bytes:
    """The images side by side, white gaps between them, in one PNG without metadata."""
    pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    tiles = [_tile(Image.fromarray(p.squeeze(-1) if p.shape[-1] == 1 else p)) for p in pixels]
    width, height = tiles[0].size
    size = (len(tiles) * (width + _GAP) - _GAP, height)
    strip = Image.new(tiles[0].mode, size, color="white")
    for i, tile in enumerate(tiles):
        strip.paste(tile, (i * (width + _GAP), 0))
    return _png(strip)


def reencoded(png: bytes) -> bytes:
    """A PNG found in an audit folder: decoded, reduced to at most 900 pixels, written anew."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        plain = image.convert("RGB")
    plain.thumbnail((900, 900))
    return _png(plain)


def _tile(image: Image.Image) -> Image.Image:
    longest = max(image.size)
    if longest > _LARGEST_TILE:
        ratio = _LARGEST_TILE / longest
        size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
        return image.resize(size, Image.Resampling.BOX)
    factor = max(1, _TILE // longest)
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _png(image: Image.Image) -> bytes:
    # Made from pixels alone: no text chunk, colour profile or time of another file comes along.
    plain = Image.fromarray(np.asarray(image))
    written = io.BytesIO()
    plain.save(written, format="PNG", optimize=True)
    return written.getvalue()
