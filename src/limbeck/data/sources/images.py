"""Image files of any mode as float32 in [0, 1], and resizing by public options.

Resizing stretches to a square with an antialiased bilinear filter. Transparent pixels are laid on
black: their stored colour is undefined. Grey is the luma of ITU-R BT.601.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import interpolate

from limbeck.data.sources.base import Request
from limbeck.errors import DatasetError

ImageFile = Path | bytes
_LUMA = (0.299, 0.587, 0.114)
_GREY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def resize(
    images: Float[Tensor, "n c h w"], size: int | None, channels: int | None
) -> Float[Tensor, "n c2 h2 w2"]:
    """Images (n, c, h, w) in [0, 1] as (n, channels, size, size); None keeps what there is."""
    if channels == 3 and images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    if channels == 1 and images.shape[1] == 3:
        luma = torch.tensor(_LUMA).reshape(1, 3, 1, 1)
        images = (images * luma).sum(1, keepdim=True).clamp(max=1)
    if size is not None and images.shape[2:] != (size, size):
        images = interpolate(images, (size, size), mode="bilinear", antialias=True).clamp(0, 1)
    # One-channel tensors can come out with channels-last strides, which slow convolutions down.
    return images.clone(memory_format=torch.contiguous_format) if _is_strided(images) else images


def _is_strided(images: Tensor) -> bool:
    _, c, h, w = images.shape
    return images.stride() != (c * h * w, h * w, w, 1)


def common_form(files: Sequence[ImageFile], names: Sequence[str], request: Request) -> Request:
    """The request with its size and channels settled for all of ``files``, from headers alone.

    Channels left open become 3 when any file is in colour. A size left open stays open when
    all files agree on one; else DatasetError says which differ.
    """
    first: tuple[int, int] | None = None
    colour = False
    for file, name in zip(files, names, strict=True):
        with _open(file, name) as image:
            first = first or image.size
            if request.size is None and image.size != first:
                raise DatasetError(
                    f"{name} is {_text(image.size)} pixels, {names[0]} is {_text(first)}; say the "
                    "size to give all images, such as size=32"
                )
            colour = colour or _has_colour(image)
    return Request(**{**vars(request), "channels": request.channels or (3 if colour else 1)})


def decode(
    files: Sequence[ImageFile], names: Sequence[str], request: Request, *, crop: bool = False
) -> Float[Tensor, "n c h w"]:
    """The image files, one by one, in the form that ``common_form`` settled for all of them.

    crop: take the central square before resizing, instead of stretching to a square.
    DatasetError names the file that is no image or is cut short.
    """
    channels = request.channels or 3
    side = request.size or 1
    out = torch.empty(0, channels, side, side)
    for i, (file, name) in enumerate(zip(files, names, strict=True)):
        with _open(file, name) as image:
            pixels = torch.from_numpy(_pixels(image, request.size, channels, name, crop))
        if i == 0:
            out = torch.empty((len(files), *pixels.shape))
        out[i] = pixels
    return out


def _open(file: ImageFile, name: str) -> Image.Image:
    try:
        return Image.open(BytesIO(file) if isinstance(file, bytes) else file)
    except UnidentifiedImageError:
        raise DatasetError(f"{name} is not an image; remove it or convert it to PNG") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{name} cannot be read as an image ({error}); replace it") from None


def _pixels(
    image: Image.Image, size: int | None, channels: int, name: str, crop: bool
) -> NDArray[np.float32]:
    """One image as (channels, height, width) in [0, 1]."""
    try:
        image.load()
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise DatasetError(f"{name} is damaged or cut short ({error}); replace it") from None
    plain, top = _plain(image, channels, name)
    if crop:
        side = min(plain.size)
        left, upper = (plain.width - side) // 2, (plain.height - side) // 2
        plain = plain.crop((left, upper, left + side, upper + side))
    if size is not None and plain.size != (size, size):
        plain = plain.resize((size, size), Image.Resampling.BILINEAR)
    values = np.asarray(plain, dtype=np.float32) / top
    if values.ndim == 2:
        return np.repeat(values.clip(0, 1)[None], channels, 0)
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def _plain(image: Image.Image, channels: int, name: str) -> tuple[Image.Image, float]:
    """The image in mode L, RGB or (16-bit grey) F, and the value of white."""
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.float32)
        if wide.min() < 0 or wide.max() > 65535:
            raise DatasetError(
                f"{name} holds integers from {wide.min():g} to {wide.max():g}; grey images have 8 "
                "or 16 bits: convert it to a 16-bit PNG"
            )
        return Image.fromarray(wide), 65535.0
    if image.mode == "F":
        raise DatasetError(
            f"{name} holds floating-point pixels, whose range is unknown; convert it to a 16-bit "
            "PNG"
        )
    if image.mode == "P" or "transparency" in image.info or image.mode in ("LA", "La", "PA"):
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "RGBa"):
        solid = image.convert("RGBA")
        black = Image.new("RGBA", solid.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, solid).convert("RGB")
    return image.convert("L" if channels == 1 else "RGB"), 255.0


def _has_colour(image: Image.Image) -> bool:
    if image.mode in ("P", "PA"):
        return not _grey_palette(image)
    return image.mode not in _GREY_MODES


def _grey_palette(image: Image.Image) -> bool:
    colours = image.getpalette("RGB") or []
    return colours[0::3] == colours[1::3] == colours[2::3]


def _text(size: Sequence[int]) -> str:
    return "x".join(map(str, size))
