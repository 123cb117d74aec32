"""Few images out of many drawn ones: condensed as what their teacher takes them for.

A record drawn from a noisy model of one class often looks like another one. The teacher, which saw
real records, is the better judge: each is condensed as of the class that it is taken for. All of
this is post-processing of drawn records and their soft labels.
"""

import torch
from torch.nn import functional as F

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.synthesize.base import Progress
from limbeck.synthesize.condense.dm_ridge import DistributionRidge


def condense_drawn(
    drawn: SyntheticDataset,
    ipc: int,
    steps: int,
    *,
    seed: int,
    device: str = "cpu",
    progress: Progress | None = None,
) -> SyntheticDataset:
    """``ipc`` images of each class with hard labels, by ``steps`` of "dm-ridge" from k-means.

    drawn: more than ``ipc`` records a class, with soft labels.
    """
    condenser = DistributionRidge(
        ipc=ipc, init="k-means", steps=steps, public_coins=coins.derive(seed, "pool")
    )
    return condenser.synthesize(
        as_taught(drawn, ipc, coins.generator(seed, "as taught")),
        seed=seed,
        device=device,
        progress=progress,
    )


def as_taught(drawn: SyntheticDataset, at_least: int, generator: torch.Generator) -> LabeledDataset:
    """Random records of each class by the teacher's choice, equally many of each.

    As many as the rarest class has, or ``at_least``: then that class's likeliest are added.
    """
    soft = drawn.soft_labels
    assert soft is not None, "drawn records have their teacher's labels"
    classes = soft.shape[1]
    taken = F.one_hot(soft.argmax(1), classes).bool()
    each = max(at_least, int(taken.sum(0).min()))
    order = 1 + torch.rand(len(soft), 1, generator=generator)
    chosen = torch.where(taken, order, soft).topk(each, dim=0).indices
    return LabeledDataset(
        drawn.inputs[chosen.mT.flatten()],
        torch.arange(classes).repeat_interleave(each),
        drawn.classes,
        mirror=drawn.mirror,
        name=drawn.name,
    )
