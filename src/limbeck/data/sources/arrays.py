"""Arrays as records: lengths checked, integers scaled by type, floats by a public range."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.hashing import bytes_keys, content_key
from limbeck.data.sources.base import Records, Request
from limbeck.data.sources.images import resize
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
    then the classes. DatasetError names ``where`` and the shapes.
    """
    _check(inputs, labels, where)
    if groups is not None and groups.shape != labels.shape:
        raise DatasetError(
            f"{where}: {len(groups)} groups for {len(labels)} records; give one entry per record"
        )
    inputs = _channels_first(inputs)
    if request.size is not None and inputs.ndim != 4:
        raise OptionError(f"{where}: size is for images, but inputs have shape {_text(inputs)}")
    numbers, names = _numbered(labels, classes, where)
    scale = _scale(inputs, top, request.value_range, where)

    def read(index: Tensor) -> Tensor:
        chosen = scale(inputs[index.numpy()])
        return resize(chosen, request.size, request.channels) if chosen.dim() == 4 else chosen

    def keys() -> Tensor:
        blocks = (inputs[start : start + _BLOCK] for start in range(0, len(inputs), _BLOCK))
        return torch.cat([content_key(scale(block), "record") for block in blocks])

    numbered = None if groups is None else group_numbers(groups, where)
    return Records(numbers, names, read, keys, numbered)


def group_numbers(groups: NDArray[Any], where: str) -> Tensor:
    """int64 (n,), equal where the names of the groups are: a number itself, or a hash of words.

    Not a rank among the names, which would change with every other group that comes or goes.
    DatasetError where a record has no name: those without one are not one person.
    """
    if groups.dtype.kind in "biu":
        return torch.from_numpy(groups.astype(np.int64))
    # NaN alone is unlike itself.
    nameless = (groups != groups) | np.isin(groups.astype(str), ("", "None"))
    if nameless.any():
        raise DatasetError(
            f"{where}: {int(nameless.sum())} of {len(groups)} records have no group, the first is "
            f"record {int(nameless.argmax())}; give each a name, one of its own where nobody else "
            "belongs to it"
        )
    names, at = np.unique(groups, return_inverse=True)
    return bytes_keys(str(name).encode() for name in names)[torch.from_numpy(at)]


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


def _check(inputs: NDArray[Any], labels: NDArray[Any], where: str) -> None:
    if inputs.ndim < 2 or inputs.size == 0:
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


def _numbered(
    labels: NDArray[Any], classes: tuple[str, ...] | None, where: str
) -> tuple[Tensor, tuple[str, ...]]:
    """Labels as int64 and the names of the classes."""
    if classes is not None and len(set(classes)) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise DatasetError(
            f"{where}: two classes are called {twice!r}; give each a name of its own"
        )
    if labels.dtype.kind in "US":
        words = labels.astype(str)
        names = np.unique(words) if classes is None else np.array(classes)
        order = np.argsort(names, kind="stable")
        at = order[np.searchsorted(names, words, sorter=order).clip(max=len(names) - 1)]
        if (names[at] != words).any():
            unknown = words[names[at] != words][0]
            raise DatasetError(
                f"{where}: label {str(unknown)!r} is none of the {len(names)} classes; correct "
                "the label or the list of classes"
            )
        return torch.from_numpy(at.astype(np.int64)), tuple(names.tolist())
    if labels.dtype.kind not in "iu":
        raise DatasetError(f"{where}: labels are {labels.dtype}; give integers or words")
    numbers = torch.from_numpy(labels.astype(np.int64))
    first, last = int(numbers.min()), int(numbers.max())
    if first < 0 or (classes is not None and last >= len(classes)):
        among = "" if classes is None else f" of {len(classes)} classes"
        raise DatasetError(
            f"{where}: labels ({len(numbers)}) range from {first} to {last}{among}; number the "
            "classes from 0"
        )
    if classes is None and last >= len(numbers):
        raise DatasetError(
            f"{where}: the highest label is {last}, but there are {len(numbers)} records; number "
            "the classes from 0 without gaps"
        )
    return numbers, classes or tuple(map(str, range(last + 1)))


def _scale(
    inputs: NDArray[Any], top: float | None, value_range: tuple[float, float] | None, where: str
) -> Scale:
    """The function that turns stored values into float32 in [0, 1]."""
    _check_finite(inputs, value_range is not None, where)
    if value_range is None and top is None and inputs.dtype in _TOPS:
        top = _TOPS[inputs.dtype]
    if value_range is not None or top is not None:
        low, high = value_range or (0.0, float(top or 1.0))
        _check_range(inputs, low, high, where)
        return lambda values: torch.from_numpy(rescale(values, low, high))
    if inputs.min() < 0 or inputs.max() > 1:
        raise DatasetError(
            f"{where}: inputs ({_text(inputs)} {inputs.dtype}) range from {inputs.min():.4g} to "
            f"{inputs.max():.4g}; say their public range (value_range) or scale them to [0, 1]"
        )
    return lambda values: torch.from_numpy(values.astype(np.float32))


def _check_finite(inputs: NDArray[Any], clipped: bool, where: str) -> None:
    """No NaN, and no infinity unless values are clipped to a range."""
    if inputs.dtype.kind != "f":
        return
    bad = np.isnan(inputs) if clipped else ~np.isfinite(inputs)
    if bad.any():
        raise DatasetError(
            f"{where}: {int(bad.reshape(len(inputs), -1).any(1).sum())} of {len(inputs)} records "
            f"(shape {_text(inputs)}) hold NaN or infinity; remove or fill them first"
        )


def _check_range(inputs: NDArray[Any], low: float, high: float, where: str) -> None:
    """Clipping hides single outliers on purpose; a range in another unit is refused."""
    if inputs.min() > high or inputs.max() < low:
        raise DatasetError(
            f"{where}: every input lies outside the public range {low:g} to {high:g} (they run "
            f"from {inputs.min():.4g} to {inputs.max():.4g}); correct the range"
        )


def _text(array: NDArray[Any]) -> str:
    return "x".join(map(str, array.shape)) or "scalar"
