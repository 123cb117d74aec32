"""A dataset in a form that worker processes share."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limbeck.data.dataset import LabeledDataset


@dataclass(frozen=True, eq=False)
class Arrays:
    """A labelled dataset as NumPy arrays, which worker processes share without copying."""

    inputs: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None
    classes: tuple[str, ...]
    mirror: bool
    name: str

    @classmethod
    def of(cls, data: LabeledDataset) -> "Arrays":
        """The arrays of ``data``, on the CPU."""
        groups = None if data.groups is None else data.groups.cpu().numpy()
        return cls(
            data.inputs.cpu().numpy(),
            data.labels.cpu().numpy(),
            groups,
            data.classes,
            data.mirror,
            data.name,
        )

    def dataset(self) -> LabeledDataset:
        """The dataset again, without a copy."""
        return LabeledDataset(
            shared_tensor(self.inputs),
            shared_tensor(self.labels),
            self.classes,
            None if self.groups is None else shared_tensor(self.groups),
            self.mirror,
            self.name,
        )


def shared_tensor(array: np.ndarray) -> Tensor:
    """A tensor on the array's own memory: workers map it read-only, nothing here writes to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
