"""Arrays as records: lengths checked, integers scaled by type, floats by a public range."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.hashing import bytes_keys, content_key
from limbeck.data.sources.base import Records, Request
from limbeck.data.sources.images import resize
from limbeck.data.sources.labels import UNLISTED, numbered
from limbeck.errors import DatasetError, OptionError

_TOPS = {np.dtype(np.bool_): 1.0, np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}
Scale = Callable[[NDArray[Any]], Tensor]
_BLOCK = 4096


def from_arrays(
    inputs: NDArray[Any],
    labels: NDArray[Any],
    *,
    where: str,
    request: Request,
    classes: tuple[str, ...] | None = None,
    groups: NDArray[Any] | None = None,
    top: float | None = None,
) -> Records:
    """Records of an array (n, *shape) and its labels (n,).

    Integers are divided by ``top``, by default the highest value of uint8 and uint16; other
    numbers must lie in [0, 1] or come with a public ``value_range``. Images may be (n, h, w),
    (n, h, w, c) or (n, c, h, w) with 1 or 3 channels. Labels are integers, or words, which are
    then the classes (see ``labels``). DatasetError names ``where`` and the shapes; where a
    guarantee is to be claimed, records that cannot be used are left out instead.
    """
    _check(inputs, labels, request, where)
    if groups is not None and groups.shape != labels.shape:
        raise DatasetError(
            f"{where}: {len(groups)} groups for {len(labels)} records; give one entry per record"
        )
    inputs = _channels_first(inputs)
    if request.size is not None and inputs.ndim != 4:
        raise OptionError(f"{where}: size is for images, but inputs have shape {_text(inputs)}")
    found = numbered(labels, classes, request, where)
    scale, fits = _scale(inputs, top, request, where)

    def read(index: Tensor) -> Tensor:
        chosen = scale(inputs[index.numpy()])
        return resize(chosen, request.size, request.channels) if chosen.dim() == 4 else chosen

    def keys() -> Tensor:
        starts = range(0, max(1, len(inputs)), _BLOCK)
        blocks = (inputs[start : start + _BLOCK] for start in starts)
        return torch.cat([content_key(scale(block), "record") for block in blocks])

    usable = torch.from_numpy(fits) & (found.numbers != UNLISTED)
    members = None
    if groups is not None:
        members, named = group_numbers(groups, request, where)
        usable &= named
    records = Records(found.numbers, found.classes, read, keys, members, found.origin)
    return records.usable(usable, where)


def group_numbers(
    groups: NDArray[Any], request: Request, where: str
) -> tuple[Int64[Tensor, " n"], Bool[Tensor, " n"]]:
    """Numbers, equal where the names of the groups are, and which records have a name.

    A number is itself, and words their hash: not a rank among the names, which would change with
    every other group that comes or goes. DatasetError where a record has no name: those without
    one are not one person. Where a guarantee is to be claimed, it is said which have none instead.
    """
    if groups.dtype.kind in "biu":
        return torch.from_numpy(groups.astype(np.int64)), torch.ones(len(groups), dtype=torch.bool)
    # NaN alone is unlike itself.
    words = groups.astype(str)
    nameless = (groups != groups) | np.isin(words, ("", "None"))
    if nameless.any() and not request.guaranteed:
        raise DatasetError(
            f"{where}: {int(nameless.sum())} of {len(groups)} records have no group, the first is "
            f"record {int(nameless.argmax())}; give each a name, one of its own where nobody else "
            "belongs to it"
        )
    names, at = np.unique(words, return_inverse=True)
    numbers = bytes_keys(str(name).encode() for name in names)[torch.from_numpy(at)]
    return numbers, torch.from_numpy(~nameless)


def rescale(values: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """Values of the public range [low, high] as [0, 1]; what lies outside is clipped to it.

    Clipping is a fixed function of one record, so it keeps every guarantee; a range taken from
    the data would not.
    """
    # Single precision holds every 8- and 16-bit value exactly and halves the memory of images.
    unit: NDArray[Any] = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    np.subtract(unit, low, out=unit)
    np.divide(unit, high - low, out=unit)
    return np.clip(unit, 0.0, 1.0, out=unit).astype(np.float32, copy=False)


def _check(inputs: NDArray[Any], labels: NDArray[Any], request: Request, where: str) -> None:
    empty = len(inputs) == 0 if inputs.ndim else True
    if inputs.ndim < 2 or 0 in inputs.shape[1:] or (empty and not request.guaranteed):
        raise DatasetError(
            f"{where}: inputs have shape {_text(inputs)}; they need at least one record and one "
            "feature axis: (records, *feature_shape)"
        )
    if labels.shape != (len(inputs),):
        raise DatasetError(
            f"{where}: labels have shape {_text(labels)}, inputs {_text(inputs)}; give one label "
            "per record"
        )
    if inputs.dtype.kind not in "buif":
        raise DatasetError(f"{where}: inputs are {inputs.dtype}; give numbers")


def _channels_first(inputs: NDArray[Any]) -> NDArray[Any]:
    if inputs.ndim == 3:
        return inputs[:, None]
    if inputs.ndim == 4 and inputs.shape[1] not in (1, 3) and inputs.shape[3] in (1, 3):
        return np.moveaxis(inputs, 3, 1)
    return inputs


def _scale(
    inputs: NDArray[Any], top: float | None, request: Request, where: str
) -> tuple[Scale, NDArray[np.bool_]]:
    """The function that turns stored values into float32 in [0, 1], and which records it serves.

    DatasetError where it does not serve all, unless a guarantee is to be claimed.
    """
    if request.value_range is None and top is None and inputs.dtype in _TOPS:
        top = _TOPS[inputs.dtype]
    clipped = request.value_range is not None
    usable = _finite(inputs, clipped)
    if not usable.all() and not request.guaranteed:
        raise DatasetError(
            f"{where}: {int((~usable).sum())} of {len(inputs)} records (shape {_text(inputs)}) "
            "hold NaN or infinity; remove or fill them first"
        )
    if clipped or top is not None:
        low, high = request.value_range or (0.0, float(top or 1.0))
        if not request.guaranteed:
            _check_range(inputs, low, high, where)
        return lambda values: torch.from_numpy(rescale(values, low, high)), usable
    within = ((inputs >= 0) & (inputs <= 1)).all(tuple(range(1, inputs.ndim)))
    if not within.all() and not request.guaranteed:
        raise DatasetError(
            f"{where}: inputs ({_text(inputs)} {inputs.dtype}) range from {inputs.min():.4g} to "
            f"{inputs.max():.4g}; say their public range (value_range) or scale them to [0, 1]"
        )
    return lambda values: torch.from_numpy(values.astype(np.float32)), usable & within


def _finite(inputs: NDArray[Any], clipped: bool) -> NDArray[np.bool_]:
    """Records (n,) without NaN, and without infinity unless values are clipped to a range."""
    if inputs.dtype.kind != "f":
        return np.ones(len(inputs), dtype=np.bool_)
    bad = np.isnan(inputs) if clipped else ~np.isfinite(inputs)
    fine: NDArray[np.bool_] = ~bad.any(tuple(range(1, inputs.ndim)))
    return fine


def _check_range(inputs: NDArray[Any], low: float, high: float, where: str) -> None:
    """Clipping hides single outliers on purpose; a range in another unit is refused."""
    if len(inputs) and (inputs.min() > high or inputs.max() < low):
        raise DatasetError(
            f"{where}: every input lies outside the public range {low:g} to {high:g} (they run "
            f"from {inputs.min():.4g} to {inputs.max():.4g}); correct the range"
        )


def _text(array: NDArray[Any]) -> str:
    return "x".join(map(str, array.shape)) or "scalar"
