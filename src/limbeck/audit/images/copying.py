"""Visible copying: how near the released images come to private ones, and to control records.

A description, never a verdict: sets with no image near a private one leak membership as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from limbeck.audit.images.embedders import Labelled
from limbeck.audit.images.lpips import Lpips
from limbeck.audit.images.measures import L2, Measure
from limbeck.audit.inference.intervals import clopper_pearson
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.types import Estimate

_BLOCK = 1024
_SAMPLE = 512
_ROUNDING = 1e-4  # of float32 distances between records of norm 1 at most

NOT_COMPUTED = "not computed: LPIPS needs the weights of its feature network"


@dataclass(frozen=True, eq=False)
class Distances:
    """Distances of the released images to private and to control records under one measure.

    nearest: integers (images, k), the private records nearest to each image, nearest first.
    private: float (images,), the distance to the nearest of all private records.
    control: float (images,), that to the nearest control record that is left, and nearest_control
        integers (images,), which that is.
    closer: the share of images nearer to a private than to a control record, ties counting
        half; records with a near-duplicate on either side are left out.
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
    duplicates: how many (private, control) records have a near-duplicate on either side.
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

    duplicate: records of different groups within this distance (root mean squared difference of
        values in [0, 1]) are near-duplicates, see ``distinct``. A copy of a private record that
        has one is still seen in ``private`` and ``nearest``; it says nothing in the comparison.
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
    duplicates: how many (private, control) records have a near-duplicate on either side.
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
                "near-duplicate; give control records that are not copies of private ones"
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


def close(
    a: LabeledDataset, b: LabeledDataset, distance: float
) -> tuple[Bool[Tensor, " a"], Bool[Tensor, " b"]]:
    """Which records of each side have a record within ``distance`` (see ``L2``) on the other."""
    prepare = L2().prepare
    others = prepare(b.inputs.to(a.inputs.device))
    found = torch.zeros(len(b), dtype=torch.bool, device=others.device)
    own = []
    for block in prepare(a.inputs).split(_BLOCK):
        near = torch.cdist(block, others) <= distance
        own.append(near.any(1))
        found |= near.any(0)
    return torch.cat(own), found


def distinct(
    private: LabeledDataset, control: LabeledDataset, distance: float
) -> tuple[Bool[Tensor, " private"], Bool[Tensor, " control"]]:
    """Which records have no near-duplicate (see ``L2``), on the other side or their own.

    To leave out those with a twin on the other side alone would not be fair to sides of unequal
    sizes: a record whose twin happens to be on its own side would stay, which happens oftener on
    the larger one. So twins go wherever they are, and each record that is left might as well have
    been on either side. Records of one group may be alike: they are on one side together.
    """
    device = private.inputs.device
    pooled = L2().prepare(torch.cat([private.inputs, control.inputs.to(device)]))
    owner = _owners(private, control).to(device)
    # Twins lie at most ``distance`` apart along any axis: sorted along the one that spreads the
    # records most, each block is compared with its neighbourhood alone.
    along = pooled @ _widest_axis(pooled)
    along, order = along.sort()
    pooled, owner = pooled[order], owner[order]
    alone = torch.ones(len(pooled), dtype=torch.bool, device=device)
    reach = distance + _ROUNDING
    for start in range(0, len(pooled), _BLOCK):
        part = slice(start, min(start + _BLOCK, len(pooled)))
        ends = torch.stack([along[part][0] - reach, along[part][-1] + reach])
        low, high = torch.searchsorted(along, ends).tolist()
        near = torch.cdist(pooled[part], pooled[low:high]) <= distance
        alone[part] = ~(near & (owner[part][:, None] != owner[low:high])).any(1)
    found = torch.empty_like(alone)
    found[order] = alone
    return found[: len(private)], found[len(private) :]


def _owners(private: LabeledDataset, control: LabeledDataset) -> Int64[Tensor, " n"]:
    """Whose each record is, numbered over both sides; no one has records on both."""
    sides, first = [], 0
    for side in (private, control):
        own = torch.arange(len(side))
        if side.groups is not None:
            own = torch.unique(side.groups.cpu(), return_inverse=True)[1]
        sides.append(own + first)
        first += len(side)
    return torch.cat(sides)


def _widest_axis(points: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    """A unit vector, near the first principal axis of some of the points."""
    some = points[:: max(1, len(points) // _SAMPLE)]
    centred = some - some.mean(0)
    _, vectors = torch.linalg.eigh(centred @ centred.mT)
    axis = centred.mT @ vectors[:, -1]
    unit: Tensor = axis / axis.norm().clamp(min=1e-12)
    return unit
