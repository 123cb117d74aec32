"""Synthetic sets in files that other tools read: NumPy, image folders, Hugging Face."""

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError, StoreError
from limbeck.files import write_bytes

Format = Literal["npz", "folder", "huggingface"]


def export(synthetic: SyntheticDataset, path: str | Path, format: Format) -> Path:  # noqa: A002
    """Write the set to a new ``path`` in another tool's format; returns the path.

    npz: float32 ``inputs``, ``labels``, ``classes`` and ``soft_labels`` where there are some;
        reads back exactly with ``load``.
    folder: 8-bit PNG files in one folder per class, named ``00-class`` so that their order is
        the order of the labels. Loses soft labels, and precision below 1/255.
    huggingface: a ``datasets.Dataset`` with 8-bit images, class labels, soft labels; records that
        are not images of 1 or 3 channels are flattened to vectors.

    OptionError when the format does not fit the data or ``path``; StoreError when ``path`` exists
    already. Either way, and when the disk is full, nothing is left at ``path``.
    """
    target = Path(path)
    if target.exists():
        raise StoreError(f"{target} exists already; remove it or choose another path")
    if format == "npz" and target.suffix != ".npz":
        raise OptionError(f"{target}: a NumPy archive is known by its name; write {target}.npz")
    if format == "folder" and not _is_images(synthetic):
        raise OptionError(
            f"{synthetic.name}: records of shape {synthetic.shape} are not images of 1 or 3 "
            "channels; export them as npz"
        )
    if format == "huggingface" and find_spec("datasets") is None:
        raise OptionError(
            "exporting to huggingface needs datasets; install it with pip install 'limbeck[tables]'"
        )
    if format == "npz":
        return write_bytes(target, _npz(synthetic))
    writers: Mapping[str, Callable[[SyntheticDataset, Path], None]] = {
        "folder": _folder,
        "huggingface": _huggingface,
    }
    return _whole(target, lambda place: writers[format](synthetic, place))


def losses(synthetic: SyntheticDataset, format: Format) -> list[str]:  # noqa: A002
    """What an export in this format leaves out of the set, in words."""
    lost = []
    if format == "folder" and synthetic.soft_labels is not None:
        lost.append("soft labels")
    if format != "npz" and _is_images(synthetic):
        lost.append("differences of pixels below 1/255")
    if format == "huggingface" and not _is_images(synthetic) and len(synthetic.shape) > 1:
        lost.append(f"the shape {synthetic.shape} of a record")
    return lost


def class_folders(classes: Sequence[str]) -> list[str]:
    """Names of one folder per class, whose order is the order of the labels."""
    digits = len(str(len(classes) - 1))
    # A class name may hold what a file name cannot ("T-shirt/top").
    safe = [re.sub(r"[^\w .()+-]", "-", name) for name in classes]
    return [f"{i:0{digits}d}-{name}" for i, name in enumerate(safe)]


def _is_images(synthetic: SyntheticDataset) -> bool:
    return len(synthetic.shape) == 3 and synthetic.shape[0] in (1, 3)


def _whole(target: Path, write: Callable[[Path], None]) -> Path:
    """A folder appears under its name only when everything is in it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".tmp-{target.name}-"))
    try:
        write(temporary / "whole")
        (temporary / "whole").rename(target)
    finally:
        shutil.rmtree(temporary)
    return target


def _npz(synthetic: SyntheticDataset) -> bytes:
    arrays: dict[str, Any] = {
        "inputs": synthetic.inputs.cpu().numpy(),
        "labels": synthetic.labels.cpu().numpy(),
        "classes": np.array(synthetic.classes),
    }
    if synthetic.soft_labels is not None:
        arrays["soft_labels"] = synthetic.soft_labels.cpu().numpy()
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _pictures(synthetic: SyntheticDataset) -> list[Image.Image]:
    pixels = (synthetic.inputs.cpu().clamp(0, 1) * 255).round().byte()
    if pixels.shape[1] == 1:
        return [Image.fromarray(p) for p in pixels[:, 0].numpy()]
    return [Image.fromarray(p) for p in pixels.permute(0, 2, 3, 1).contiguous().numpy()]


def _folder(synthetic: SyntheticDataset, folder: Path) -> None:
    names = class_folders(synthetic.classes)
    for i, (picture, label) in enumerate(
        zip(_pictures(synthetic), synthetic.labels.tolist(), strict=True)
    ):
        place = folder / names[label]
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{i:06d}.png")


def _huggingface(synthetic: SyntheticDataset, folder: Path) -> None:
    import datasets

    columns: dict[str, object] = {"label": synthetic.labels.tolist()}
    features: dict[str, object] = {"label": datasets.ClassLabel(names=list(synthetic.classes))}
    if _is_images(synthetic):
        columns["image"] = _pictures(synthetic)
        features["image"] = datasets.Image()
    else:
        columns["input"] = synthetic.inputs.flatten(1).tolist()
        features["input"] = datasets.Sequence(datasets.Value("float32"))
    if synthetic.soft_labels is not None:
        columns["soft_label"] = synthetic.soft_labels.tolist()
        features["soft_label"] = datasets.Sequence(datasets.Value("float32"))
    made = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    drawing = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()  # a set this small is written at once
    try:
        made.save_to_disk(str(folder))
    finally:
        if drawing:
            datasets.enable_progress_bars()
