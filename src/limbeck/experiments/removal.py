"""One record taken away: how far that moves condensed images, and networks trained on them.

Distribution matching with a linear embedding has a closed form: every image moves by the difference
of class means, s_j = s_j(0) + mean of T_c - mean of S_c(0), so that one of n_c records moves each
image of its class by |x - mean of the others| / n_c. From it Dong et al. 2022 (arXiv 2206.00240)
derive an effect of O(m/n) of one of n records on networks trained on m images.

It is the effect of a record on average and for a start that no record enters. It is no differential
privacy and bounds no worst case: nothing here is, or can be turned into, an epsilon.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.experiments import rates
from limbeck.synthesize.initialise.base import labels
from limbeck.train.base import Classifier
from limbeck.train.standard import Standard
from limbeck.types import Estimate


@dataclass(frozen=True)
class Grid:
    """Where the effect is measured.

    sizes: records n, with ``ipc`` images per class. ipcs: images per class, with the most records.
    steps: of training a linear network on all images at once.
    """

    sizes: tuple[int, ...] = (150, 300, 600, 1200)
    ipcs: tuple[int, ...] = (1, 2, 5, 10)
    ipc: int = 5
    steps: int = 40

    def fits(self, data: LabeledDataset) -> None:
        """OptionError where the data have too few records of a class."""
        fewest = int(data.counts().min())
        needed = max(self.sizes) // len(data.classes)
        if fewest < needed or min(self.sizes) // len(data.classes) <= self.ipc:
            raise OptionError(
                f"{data.name}: a class has {fewest} records, the grid of {self.sizes} records and "
                f"{self.ipc} images per class needs {needed}, and more records than images"
            )


def linear_dm(
    private: LabeledDataset, initial: Float[Tensor, "images ..."], ipc: int
) -> SyntheticDataset:
    """The minimiser of distribution matching with a linear embedding, class by class."""
    classes = len(private.classes)
    sums = torch.zeros(classes, *private.shape).index_add_(0, private.labels, private.inputs)
    counts = private.counts().view(-1, *[1] * len(private.shape))
    several = initial.unflatten(0, (classes, ipc))
    moved = several + (sums / counts - several.mean(1))[:, None]
    return SyntheticDataset(moved.flatten(0, 1), labels(classes, ipc), private.classes)


def effects(data: LabeledDataset, grid: Grid, row: int, seed: int) -> dict[str, np.ndarray]:
    """What the removal of one random record moves, at every point of the grid.

    "images": mean distance of the class's images. "start": the same from real images, the record
    among them. "weights": distance of a linear network's parameters. "losses": sum over all images
    of the change of their loss. Names end in " by n" or " by m".
    """
    order = _balanced(data, seed, row)
    found: dict[str, list[float]] = {}
    for size in grid.sizes:
        for name, value in _effect(data, order[:size], grid.ipc, grid.steps, seed, row).items():
            found.setdefault(f"{name} by n", []).append(value)
    most = order[: max(grid.sizes)]
    for ipc in grid.ipcs:
        for name, value in _effect(data, most, ipc, grid.steps, seed, row).items():
            found.setdefault(f"{name} by m", []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def slope(at: tuple[int, ...], effect: Float[np.ndarray, "rows points"]) -> Estimate:
    """The exponent of a power law, fitted to each row, averaged; Student's interval over rows."""
    x = np.log(np.asarray(at, dtype=float))
    x -= x.mean()
    slopes = np.log(effect) @ x / (x @ x)
    return rates.mean(slopes)


def _balanced(data: LabeledDataset, seed: int, row: int) -> Tensor:
    """Records in random order, a class after the other, so that any first n are balanced."""
    shuffled = torch.randperm(len(data), generator=coins.generator(seed, "removal", row))
    own = data.labels[shuffled]
    turn = torch.zeros(len(data), dtype=torch.int64)
    for label in range(len(data.classes)):
        members = own == label
        turn[members] = torch.arange(int(members.sum()))
    return shuffled[torch.argsort(turn, stable=True)]


def _effect(
    data: LabeledDataset, records: Tensor, ipc: int, steps: int, seed: int, row: int
) -> dict[str, float]:
    """The effect of taking the first of ``records`` away from the others."""
    whole, rest = data.select(records), data.select(records[1:])
    label = int(whole.labels[0])
    noise = torch.rand(
        len(data.classes) * ipc,
        *data.shape,
        generator=coins.generator(seed, "removal start", row),
    )
    both = [linear_dm(part, noise, ipc) for part in (whole, rest)]
    mine = slice(label * ipc, (label + 1) * ipc)
    own = whole.inputs[whole.labels == label]
    starts = [noise.clone(), noise.clone()]
    starts[0][mine] = own[:ipc]
    # The record's slot starts from the next record of the class instead.
    starts[1][mine] = torch.cat([own[ipc : ipc + 1], own[1:ipc]])
    begun = [linear_dm(part, start, ipc) for part, start in zip((whole, rest), starts, strict=True)]
    trainer = Standard("linear", steps=steps, augment=False, batch=len(noise))
    first, second = (trainer.fit(made, seed=seed) for made in both)
    return {
        "images": _moved(both, mine),
        "start": _moved(begun, mine),
        "weights": _apart(first, second),
        "losses": float((_losses(first, both[0]) - _losses(first, both[1])).abs().sum()),
    }


def _moved(both: list[SyntheticDataset], mine: slice) -> float:
    change = (both[0].inputs[mine] - both[1].inputs[mine]).flatten(1).double()
    return float(change.norm(dim=1).mean())


def _apart(one: Classifier, other: Classifier) -> float:
    theirs = other.state()
    parts = [(value - theirs[name]).double().flatten() for name, value in one.state().items()]
    return float(torch.cat(parts).norm())


def _losses(classifier: Classifier, made: SyntheticDataset) -> Float[Tensor, " images"]:
    logits = classifier.logits(made.inputs).double()
    return F.cross_entropy(logits, made.labels, reduction="none")
