"""Visible copying: how near the released images come to private ones, and to control records.

A description, never a verdict: sets with no image near a private one leak membership as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from limbeck.audit.images.embedders import Labelled
from limbeck.audit.images.lpips import Lpips
from limbeck.audit.images.measures import L2, Measure
from limbeck.audit.inference.intervals import clopper_pearson
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.types import Estimate

_BLOCK = 1024

NOT_COMPUTED = "not computed: LPIPS needs the weights of its feature network"


@dataclass(frozen=True, eq=False)
class Distances:
    """Distances of the released images to private and to control records under one measure.

    nearest: integers (images, k), the private records nearest to each image, nearest first.
    private: float (images,), the distance to the nearest of all private records.
    control: float (images,), that to the nearest control record that is left, and nearest_control
        integers (images,), which that is.
    closer: the share of images nearer to a private than to a control record, ties counting
        half; near-duplicates between the two are left out on both sides.
    expected: that share where private and control records are alike.
    """

    measure: str
    nearest: np.ndarray
    private: np.ndarray
    control: np.ndarray
    nearest_control: np.ndarray
    closer: Estimate
    expected: float

    @property
    def explicit_privacy(self) -> float:
        """Mean over the images of the smallest distance to the private set.

        The explicit-privacy figure of the Kaleidoscope paper, under this measure.
        """
        return float(self.private.mean())

    def quantiles(self, levels: Sequence[float] = (0.0, 0.05, 0.5)) -> dict[str, list[float]]:
        """Quantiles of both distances over the images."""
        sides = {"private": self.private, "control": self.control}
        return {name: np.quantile(side, levels).tolist() for name, side in sides.items()}


@dataclass(frozen=True, eq=False)
class Copying:
    """What ``copying`` saw.

    measured: one entry a measure. lpips: why it is not among them, or None.
    duplicates: how many (private, control) records have a near-duplicate on the other side.
    """

    measured: tuple[Distances, ...]
    lpips: str | None
    duplicates: tuple[int, int]


def copying(
    release: Labelled,
    private: LabeledDataset,
    control: LabeledDataset,
    measures: Sequence[Measure],
    *,
    lpips: Lpips | None = None,
    k: int = 3,
    duplicate: float = 0.02,
) -> Copying:
    """Nearest private records of each released image, whatever their class, beside controls'.

    duplicate: records of the two sides within this distance (root mean squared difference of
        values in [0, 1]) are near-duplicates. A copy of a private record that has one is still
        seen in ``private`` and ``nearest``; it says nothing in the comparison.
    OptionError where no record is left on one side.
    """
    chosen = [*measures, lpips] if lpips is not None else list(measures)
    reference = Reference(private, control, chosen, duplicate=duplicate)
    return Copying(
        reference.distances(release, k=k),
        NOT_COMPUTED if lpips is None else None,
        reference.duplicates,
    )


class Reference:
    """The private and control records that any number of releases are compared with.

    What depends on the records alone is computed once; see ``copying``.
    duplicates: how many (private, control) records have a near-duplicate on the other side.
    """

    def __init__(
        self,
        private: LabeledDataset,
        control: LabeledDataset,
        measures: Sequence[Measure],
        *,
        duplicate: float = 0.02,
    ) -> None:
        kept, left = distinct(private, control, duplicate)
        if not bool(kept.any()) or not bool(left.any()):
            raise OptionError(
                f"every record of {private.name} or {control.name} (shapes "
                f"{tuple(private.inputs.shape)}, {tuple(control.inputs.shape)}) has a "
                "near-duplicate on the other side; give control records that are not copies of "
                "private ones"
            )
        self.duplicates = int((~kept).sum()), int((~left).sum())
        self._kept, self._device = kept, private.inputs.device
        self._others = left.nonzero()[:, 0].to(self._device)
        outside = control.inputs.to(self._device)[self._others]
        self._prepared = [(m, m.prepare(private.inputs), m.prepare(outside)) for m in measures]

    def distances(self, release: Labelled, *, k: int = 3) -> tuple[Distances, ...]:
        """One entry a measure. k: nearest private records that are named for each image."""
        inputs = release.inputs.to(self._device)
        return tuple(self._one(*prepared, inputs, k) for prepared in self._prepared)

    def _one(
        self, measure: Measure, private: Tensor, control: Tensor, inputs: Tensor, k: int
    ) -> Distances:
        images = measure.prepare(inputs)
        inside = measure.between(private, images).mT
        outside, nearest_control = measure.between(control, images).mT.min(1)
        smallest, order = inside.sort(dim=1, stable=True)
        compared = inside[:, self._kept].amin(1)
        nearer = float((compared < outside).sum()) + float((compared == outside).sum()) / 2
        trials = len(inputs)
        low, high = clopper_pearson(nearer, float(trials))
        records = int(self._kept.sum())
        return Distances(
            measure.name,
            order[:, :k].cpu().numpy(),
            smallest[:, 0].cpu().numpy(),
            outside.cpu().numpy(),
            self._others[nearest_control].cpu().numpy(),
            Estimate(nearer / trials, low, high, trials),
            records / (records + len(self._others)),
        )


def distinct(
    private: LabeledDataset, control: LabeledDataset, distance: float
) -> tuple[Bool[Tensor, " private"], Bool[Tensor, " control"]]:
    """Which records of each side have no record within ``distance`` (see ``L2``) on the other."""
    prepare = L2().prepare
    others = prepare(control.inputs.to(private.inputs.device))
    twins = torch.zeros(len(control), dtype=torch.bool, device=others.device)
    kept = []
    for block in prepare(private.inputs).split(_BLOCK):
        close = torch.cdist(block, others) <= distance
        kept.append(~close.any(1))
        twins |= close.any(0)
    return torch.cat(kept), ~twins
