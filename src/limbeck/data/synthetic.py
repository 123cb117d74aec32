"""A synthetic dataset: what a synthesizer releases, with the card that says how it was made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import TensorDataset

from limbeck.errors import DatasetError


@dataclass(frozen=True, eq=False)
class SyntheticDataset:
    """Records made to stand in for private ones.

    inputs: float32 in [0, 1], shape (n, *feature_shape).
    labels: int64 in [0, len(classes)), shape (n,).
    classes: names of the classes, those of the private dataset.
    soft_labels: float32 (n, classes), rows summing to 1, or None when labels are hard.
    mirror: whether a left-right mirrored input keeps its label.
    name: what to call the set in messages and reports.
    card: JSON values that say how it was made: "recipe", "guarantee", "holds_real_records"; with
        multi-formation "formation" (its factor) and "slots_per_class".
    """

    inputs: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    soft_labels: Tensor | None = None
    mirror: bool = False
    name: str = "synthetic"
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.inputs)
        if self.labels.shape != (n,):
            raise DatasetError(
                f"{self.name}: {len(self.labels)} labels for {n} synthetic records; give one each"
            )
        if self.soft_labels is not None and self.soft_labels.shape != (n, len(self.classes)):
            raise DatasetError(
                f"{self.name}: soft labels have shape {tuple(self.soft_labels.shape)}; they need "
                f"({n}, {len(self.classes)}): one row per record, one column per class"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one record."""
        return tuple(self.inputs.shape[1:])

    def torch(self) -> TensorDataset:
        """The set for a PyTorch ``DataLoader``: pairs (input, target).

        input: float32 in [0, 1], the shape of one record. target: the soft label, float32
        (classes,), where there are soft labels, else the label, int64 (). ``cross_entropy`` takes
        either.
        """
        targets = self.labels if self.soft_labels is None else self.soft_labels
        return TensorDataset(self.inputs, targets)

    def save(self, folder: str | Path) -> Path:
        """Write ``dataset.safetensors``, ``card.json`` and, for images, ``preview.png``."""
        from limbeck.data.release import save

        return save(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> "SyntheticDataset":
        """Read what ``save`` wrote; StoreError when it is missing or damaged."""
        from limbeck.data.release import load

        return load(Path(folder))
