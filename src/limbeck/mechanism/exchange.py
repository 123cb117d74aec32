"""Records handed to other programs and taken from them: NumPy archives or image folders."""

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.data.export import class_folders, export
from limbeck.data.sources.arrays import from_arrays
from limbeck.data.sources.base import Request
from limbeck.data.sources.folder import ImageFolder
from limbeck.data.sources.npz import read_archive
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import DatasetError
from limbeck.synthesize.form import Form

Layout = Literal["npz", "folder"]


def write(private: LabeledDataset, place: Path, layout: Layout) -> Path:
    """Write the records into the folder ``place``; returns the new file or folder.

    npz: ``input.npz`` with float32 ``inputs`` in [0, 1], int64 ``labels``, ``classes``, and
        ``groups`` where the data have some.
    folder: ``input/00-class/000000.png``, 8-bit images of 1 or 3 channels.
    """
    if layout == "folder":
        images = SyntheticDataset(private.inputs, private.labels, private.classes)
        return export(images, place / "input", "folder")
    groups: dict[str, Any] = {}
    if private.groups is not None:
        groups["groups"] = private.groups.cpu().numpy()
    path = place / "input.npz"
    # Not compressed: every shadow run writes its subset anew.
    np.savez(
        path,
        inputs=private.inputs.cpu().numpy(),
        labels=private.labels.cpu().numpy(),
        classes=np.array(private.classes),
        **groups,
    )
    return path


def target(place: Path, layout: Layout) -> Path:
    """The path in the folder ``place`` at which a program is asked to write."""
    return place / ("output" if layout == "folder" else "output.npz")


def read(path: Path, form: Form, *, name: str) -> SyntheticDataset:
    """A synthetic set that another program wrote at ``path``, an archive or a folder.

    name: what to call it. Records may be flattened. DatasetError, in one line, where anything is
    missing, not finite or of another form than ``form``.
    """
    if not path.exists():
        raise DatasetError(f"{name} is missing: nothing was written at {path.name}")
    try:
        made, soft_labels = _folder(path, form) if path.is_dir() else _archive(path, form)
    except DatasetError as error:
        # The path may be that of a temporary folder, which leads nowhere.
        raise DatasetError(str(error).replace(str(path), name)) from None
    # Rows of numbers come back as (n, d), and square ones look like images of one channel.
    flat = len(made.shape) == 1 or made.shape == (1, *form.shape)
    if made.shape != form.shape and not (flat and math.prod(made.shape) == math.prod(form.shape)):
        raise DatasetError(
            f"{name} has records of shape {made.shape}, the private ones have {form.shape}; give "
            "records of the same shape"
        )
    shaped = made.inputs.reshape(len(made), *form.shape)
    return SyntheticDataset(
        shaped, made.labels, form.classes, soft_labels=soft_labels, mirror=form.mirror, name=name
    )


def _archive(path: Path, form: Form) -> tuple[LabeledDataset, Tensor | None]:
    arrays = read_archive(path)
    missing = {"inputs", "labels"} - set(arrays)
    if missing:
        raise DatasetError(
            f"{path} holds {', '.join(sorted(arrays)) or 'nothing'} and lacks {min(missing)!r}; "
            "save it with np.savez(path, inputs=..., labels=...)"
        )
    named = tuple(map(str, arrays.get("classes", np.array(form.classes)).ravel().tolist()))
    if named != form.classes:
        raise DatasetError(
            f"{path} has the classes {_short(named)}, the private data {_short(form.classes)}; "
            "write the same in the same order, or leave them out"
        )
    records = from_arrays(
        arrays["inputs"],
        arrays["labels"],
        where=str(path),
        request=Request(),
        classes=form.classes,
    )
    made = records.take(records.everything(), str(path), form.mirror)
    if "soft_labels" not in arrays:
        return made, None
    soft, shape = arrays["soft_labels"], (len(made), len(form.classes))
    if soft.shape != shape or soft.dtype.kind != "f" or not _are_distributions(soft):
        raise DatasetError(
            f"{path}: soft_labels ({soft.dtype}, shape {soft.shape}) must be probabilities of "
            f"shape {shape}, each row with sum 1"
        )
    return made, torch.from_numpy(soft.astype(np.float32))


def _folder(path: Path, form: Form) -> tuple[LabeledDataset, None]:
    channels = form.shape[0] if form.is_images and form.shape[0] in (1, 3) else None
    records = ImageFolder().read(path, Request(channels=channels)).private
    # As limbeck calls folders, or plainly after the classes.
    numbers = {name: label for label, name in enumerate(class_folders(form.classes))}
    numbers |= {name: label for label, name in enumerate(form.classes)}
    strange = [name for name in records.classes if name not in numbers]
    if strange:
        raise DatasetError(
            f"{path} has a folder {strange[0]!r}, which is none of the classes "
            f"{_short(form.classes)}; name the folders after the classes"
        )
    renamed = torch.tensor([numbers[name] for name in records.classes])
    found = records.take(records.everything(), str(path), form.mirror)
    return LabeledDataset(found.inputs, renamed[found.labels], form.classes, name=str(path)), None


def _are_distributions(rows: np.ndarray) -> bool:
    """Whether every row is a probability distribution; NaN is none."""
    return bool((rows >= 0).all() and np.allclose(rows.sum(1), 1.0, atol=1e-3))


def _short(names: tuple[str, ...]) -> str:
    return ", ".join(names[:6]) + (" ..." if len(names) > 6 else "")
