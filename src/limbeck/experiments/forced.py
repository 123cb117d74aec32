"""Canaries forced into the images that condensation starts from, beside canaries only trained on.

In half of its IN runs, by another fair coin, a canary is forced into the start; in the other half
it is kept out of it. Both arms share the runs without the canary as non-members, so that one attack
judges both: what the start leaks, and what is learnt afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from limbeck import coins
from limbeck.audit.plan import Plan
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.synthesize.condense.base import Condenser
from limbeck.synthesize.initialise.real import pick


@dataclass(frozen=True, eq=False)
class Starts:
    """What the images of each run start from.

    forced: bool (rows, canaries), in the start of this run. allowed: bool (rows, records), the
    members that the start is made of, ``ipc`` of each class.
    """

    forced: np.ndarray
    allowed: np.ndarray
    ipc: int

    @classmethod
    def draw(cls, made: Plan, ipc: int) -> "Starts":
        """The starts of every run of a plan; no more canaries than there is room for."""
        rows = [_start(made, run, ipc) for run in range(len(made.membership))]
        forced, allowed = (np.stack(parts) for parts in zip(*rows, strict=True))
        return cls(forced, allowed, ipc)


def numbered(private: LabeledDataset) -> LabeledDataset:
    """The same records, each with its number as its group: a subset tells which it holds.

    OptionError where records already have groups, which would be lost.
    """
    if private.groups is not None:
        raise OptionError(
            f"{private.name}: {len(private)} records with groups cannot be told apart by number; "
            "give data without groups"
        )
    ids = torch.arange(len(private))
    return LabeledDataset(
        private.inputs, private.labels, private.classes, ids, private.mirror, private.name
    )


def forcing(method: Condenser, starts: Starts, seeds: Mapping[int, int]) -> Condenser:
    """The same method, whose start is made of the records that ``starts`` allows in each run.

    seeds: the row of each run by its seed. The private data must be ``numbered``.
    """
    chosen = {seed: starts.allowed[row] for seed, row in seeds.items()}

    class Forced(type(method)):  # type: ignore[misc]
        allowed: ClassVar[dict[int, np.ndarray]] = chosen

        def initial(
            self, private: LabeledDataset, seed: int, *, member: Tensor | None = None
        ) -> Tensor:
            mine = torch.from_numpy(self.allowed[seed])[private.groups]
            begun: Tensor = super().initial(private, seed, member=mine)
            return begun

    made: Condenser = Forced(**{f.name: getattr(method, f.name) for f in fields(method)})
    return made


def traced(
    data: LabeledDataset, allowed: Bool[np.ndarray, " records"], images: Tensor, ipc: int, seed: int
) -> float:
    """Share of the images whose nearest record (L2) of their class is the one they started from.

    images: ``ipc`` of each class, class by class. A guess finds one in the records of the class.
    """
    source = pick(data, torch.from_numpy(allowed), ipc, seed)
    hits = 0
    for label, (own, begun) in enumerate(zip(images.split(ipc), source.split(ipc), strict=True)):
        candidates = (data.labels == label).nonzero()[:, 0]
        distances = torch.cdist(own.flatten(1), data.inputs[candidates].flatten(1))
        hits += int((candidates[distances.argmin(1)] == begun).sum())
    return hits / len(images)


def _start(made: Plan, run: int, ipc: int) -> tuple[np.ndarray, np.ndarray]:
    """Canaries forced into the start of one run, and all records of the start."""
    generator = coins.numpy_generator(0, "forced", run)
    inside = made.membership[run, made.canary]
    wanted = inside & (generator.random(len(made.canary)) < 0.5)
    labels = made.data.labels.numpy()
    others = made.membership[run].copy()
    others[made.canary] = False
    chosen = np.zeros(len(labels), dtype=bool)
    for label in range(len(made.data.classes)):
        canaries = made.canary[wanted & (labels[made.canary] == label)]
        wanted[np.isin(made.canary, canaries[ipc:])] = False  # no room for more
        rest = np.flatnonzero(others & (labels == label))
        fill = generator.permutation(rest)[: ipc - len(canaries[:ipc])]
        chosen[canaries[:ipc]] = chosen[fill] = True
    return wanted, chosen
