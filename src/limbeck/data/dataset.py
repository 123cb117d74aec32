"""A private labelled dataset: validated once, then immutable."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64
from torch import Tensor

from limbeck.errors import DatasetError
from limbeck.types import ClassesFrom


@dataclass(frozen=True, eq=False)
class LabeledDataset:
    """``n`` labelled records of one fixed shape; none at all, where only a guarantee is served.

    inputs: float32 in [0, 1], shape (n, *feature_shape); images are (n, c, h, w).
    labels: int64 in [0, len(classes)), shape (n,).
    classes: the names of the classes; some may have no record.
    groups: int64 (n,), equal for the records of one person; None when each record stands alone.
    mirror: whether a left-right mirrored input keeps its label (never true of digits).
    name: what to call the data in messages and reports.
    limit: these are at most so many records, kept of all that were given; None: all of them.
    classes_from: where ``classes`` come from: a "list" of the user's, the "source" itself, or the
        "data", where a record that is alone in its class gives itself away.
    Raises DatasetError, naming the shapes, when these do not fit together.
    """

    # Plain tensors here: this class itself checks shapes and types, and says what to do next.
    inputs: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    groups: Tensor | None = None
    mirror: bool = False
    name: str = "dataset"
    limit: int | None = None
    classes_from: ClassesFrom = "list"

    def __post_init__(self) -> None:
        shape = "x".join(map(str, self.inputs.shape))
        n = len(self.inputs)
        if self.inputs.dim() < 2 or 0 in self.inputs.shape[1:]:
            raise DatasetError(
                f"{self.name}: inputs have shape {shape}; they need at least one feature axis: "
                "(records, *feature_shape)"
            )
        if self.inputs.dtype != torch.float32:
            raise DatasetError(
                f"{self.name}: inputs (shape {shape}) are {self.inputs.dtype}; give "
                "float32 in [0, 1]"
            )
        for what, values in (("labels", self.labels), ("groups", self.groups)):
            if values is not None and values.dtype != torch.int64:
                raise DatasetError(f"{self.name}: {what} are {values.dtype}; give int64")
            if values is not None and values.shape != (n,):
                raise DatasetError(
                    f"{self.name}: {what} have {_size(values)} entries, inputs have {n} (shape "
                    f"{shape}); give one entry of {what} per record"
                )
        if not bool(torch.isfinite(self.inputs).all()):
            bad = int((~torch.isfinite(self.inputs)).flatten(1).any(1).sum())
            raise DatasetError(
                f"{self.name}: {bad} of {n} records (shape {shape}) hold NaN or infinity; "
                "remove or fill them first"
            )
        if n == 0:
            return
        low, high = float(self.inputs.min()), float(self.inputs.max())
        if low < 0 or high > 1:
            raise DatasetError(
                f"{self.name}: inputs (shape {shape}) range from {low:.4g} to {high:.4g}; scale "
                "them to [0, 1] by their data type or a public range"
            )
        first, last = int(self.labels.min()), int(self.labels.max())
        if first < 0 or last >= len(self.classes):
            raise DatasetError(
                f"{self.name}: labels range from {first} to {last}, but there are "
                f"{len(self.classes)} classes; labels must be 0 to {len(self.classes) - 1}"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one record."""
        return tuple(self.inputs.shape[1:])

    @property
    def is_images(self) -> bool:
        """Whether records are (channels, height, width)."""
        return self.inputs.dim() == 4

    def counts(self) -> Int64[Tensor, " classes"]:
        """Records per class. Private under add/remove adjacency: never publish it unnoised."""
        return torch.bincount(self.labels, minlength=len(self.classes))

    def require_some(self) -> None:
        """DatasetError when there is no record: nothing can be measured on none."""
        if len(self) == 0:
            raise DatasetError(
                f"{self.name}: there is no record; give more records, or another test share"
            )

    def require_every_class(self) -> None:
        """DatasetError when a class has no record: nothing can be condensed from an empty class."""
        empty = [c for c, k in zip(self.classes, self.counts().tolist(), strict=True) if k == 0]
        if empty:
            raise DatasetError(
                f"{self.name}: no record of class {', '.join(map(repr, empty[:5]))} among "
                f"{len(self)}; drop the class, add records of it, or keep more records (a smaller "
                "test share, a larger limit)"
            )

    def select(self, index: Tensor | Sequence[int]) -> "LabeledDataset":
        """The records at ``index`` (integers, or a bool mask), in that order."""
        at = torch.as_tensor(index)
        groups = None if self.groups is None else self.groups[at]
        return replace(self, inputs=self.inputs[at], labels=self.labels[at], groups=groups)

    def to(self, device: str | torch.device) -> "LabeledDataset":
        """The same records on another device."""
        groups = None if self.groups is None else self.groups.to(device)
        return replace(
            self, inputs=self.inputs.to(device), labels=self.labels.to(device), groups=groups
        )

    def fingerprint(self) -> str:
        """SHA-256 of everything that determines what a method computes from this dataset."""
        digest = hashlib.sha256()
        digest.update(repr((self.classes, tuple(self.inputs.shape), self.mirror)).encode())
        for values in (self.inputs, self.labels, self.groups):
            if values is not None:
                digest.update(values.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def _size(values: Tensor) -> str:
    return "x".join(map(str, values.shape)) or "scalar"
