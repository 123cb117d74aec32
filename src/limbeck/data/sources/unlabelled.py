"""Records without labels, to be classified: ``inputs`` of a .npz file, or images in one folder."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from limbeck.data.sources.arrays import from_arrays
from limbeck.data.sources.base import Request
from limbeck.data.sources.images import common_form, decode
from limbeck.data.sources.npz import read_archive


def inputs_only(
    spec: str,
    *,
    size: int | None = None,
    channels: int | None = None,
    value_range: tuple[float, float] | None = None,
) -> Tensor | None:
    """Inputs (n, *shape) in [0, 1] of data that hold no label; None where there may be labels.

    Options and errors are those of ``load``. Images come in the order of their names.
    """
    path = Path(spec).expanduser()
    request = Request(size=size, channels=channels, value_range=value_range)
    if path.suffix == ".npz" and path.is_file():
        arrays = read_archive(path)
        if "inputs" not in arrays or "labels" in arrays:
            return None
        inputs = arrays["inputs"]
        nobody = np.zeros(len(inputs) if inputs.ndim else 0, dtype=np.int64)
        records = from_arrays(inputs, nobody, where=str(path), request=request, classes=("any",))
        found: Tensor = records.inputs(records.everything())
        return found
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if not p.name.startswith("."))
        if files and all(p.is_file() and p.suffix.lower() in _PICTURES for p in files):
            shown = [str(file) for file in files]
            return torch.as_tensor(decode(files, shown, common_form(files, shown, request)))
    return None


_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
