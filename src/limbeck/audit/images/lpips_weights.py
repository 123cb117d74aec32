"""LPIPS over AlexNet, its weights read from a file that the user brings: limbeck ships none."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from limbeck.audit.images.lpips import Lpips
from limbeck.errors import OptionError

# Convolutions of AlexNet's features as torchvision numbers them: stride and padding of each.
_CONVOLUTIONS = {0: (4, 2), 3: (1, 2), 6: (1, 1), 8: (1, 1), 10: (1, 1)}
_POOLED_BEFORE = (3, 6)
# The scaling of the published metric, of colours in [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_LEAST_SIDE = 64


def load_lpips(path: str | Path) -> Lpips:
    """LPIPS as published (version 0.1, AlexNet), from a safetensors file.

    The file holds ``features.N.weight`` and ``features.N.bias`` (N = 0, 3, 6, 8, 10) of
    torchvision's AlexNet, and ``linL.model.1.weight`` (L = 0 to 4) of the metric's linear layers:
    the names that both publish. Grey images are shown in three equal colours, and those of fewer
    than 64 pixels a side are enlarged to that, since the network needs about as many.

    OptionError, in one line, where the file is missing, damaged or lacks a tensor.
    """
    if Path(path).is_dir():
        raise OptionError(f"{path} is a folder: name the .safetensors file in it")
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise OptionError(
            f"{path} cannot be read as safetensors ({error}); write AlexNet's features and the "
            "linear layers of LPIPS to such a file"
        ) from None
    names = [f"features.{n}.{part}" for n in _CONVOLUTIONS for part in ("weight", "bias")]
    names += [f"lin{layer}.model.1.weight" for layer in range(len(_CONVOLUTIONS))]
    missing = [name for name in names if name not in found]
    if missing:
        raise OptionError(
            f"{path} holds {len(found)} tensors and lacks {missing[0]!r}; it needs AlexNet's "
            "features.N.weight and .bias and LPIPS' linL.model.1.weight"
        )
    network = {name: found[name].float() for name in names}
    linear = (network[f"lin{layer}.model.1.weight"] for layer in range(len(_CONVOLUTIONS)))
    return Lpips(partial(_maps, network), tuple(one.flatten().clamp(min=0) for one in linear))


@torch.no_grad()
def _maps(network: Mapping[str, Tensor], images: Tensor) -> list[Tensor]:
    """The maps after each convolution's rectifier, of images (n, 1 or 3, h, w) in [0, 1]."""
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise OptionError(
            f"lpips: records of shape {tuple(images.shape[1:])} are no images of 1 or 3 channels; "
            "leave its weights out"
        )
    shift, scale = (torch.tensor(v).view(1, 3, 1, 1).to(images) for v in (_SHIFT, _SCALE))
    if min(images.shape[2:]) < _LEAST_SIDE:
        size = [max(side, _LEAST_SIDE) for side in images.shape[2:]]
        images = F.interpolate(images, size=size, mode="bilinear")
    seen = (2 * images.expand(-1, 3, -1, -1) - 1 - shift) / scale
    maps = []
    for number, (stride, padding) in _CONVOLUTIONS.items():
        if number in _POOLED_BEFORE:
            seen = F.max_pool2d(seen, 3, 2)
        weight, bias = (network[f"features.{number}.{part}"] for part in ("weight", "bias"))
        seen = F.conv2d(seen, weight.to(seen), bias.to(seen), stride, padding).relu()
        maps.append(seen)
    return maps
