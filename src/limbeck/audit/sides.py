"""The two sides that an audit of a finished set compares, and whether that is fair."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from limbeck import coins
from limbeck.audit.images.blind import blind
from limbeck.audit.set_evidence import Split
from limbeck.data.dataset import LabeledDataset

MOST = 2_000
"""Records of a side that are attacked at most, drawn at random."""

NOT_RANDOM = 0.01
"""Level at which a split is called not random: that costs a verdict, and risks none."""


@dataclass(frozen=True, eq=False)
class Sides:
    """The records that are attacked.

    members, others: whose scores are compared. population: a part of the control records that
    calibrates the scores. settles: bool (others,), those that settle thresholds; the rest is
    judged by them.
    """

    members: LabeledDataset
    others: LabeledDataset
    population: LabeledDataset
    settles: np.ndarray

    @property
    def records(self) -> LabeledDataset:
        """Members, then others."""
        return LabeledDataset(
            torch.cat([self.members.inputs, self.others.inputs]),
            torch.cat([self.members.labels, self.others.labels]),
            self.members.classes,
        )


def draw(members: LabeledDataset, control: LabeledDataset, seed: int) -> Sides:
    """At most ``MOST`` members and twice as many control records, one of each group.

    Half of the control calibrates, a quarter settles thresholds, a quarter is judged.
    """
    inside = _drawn(members, MOST, seed, "members")
    outside = _drawn(control, 2 * MOST, seed, "control")
    half = len(outside) // 2
    others = control.select(outside[half:])
    settles = np.arange(len(others)) < len(others) // 2
    return Sides(members.select(inside), others, control.select(outside[:half]), settles)


def _drawn(data: LabeledDataset, most: int, seed: int, side: str) -> Tensor:
    """At most ``most`` records in random order, one of each group."""
    order = coins.numpy_generator(seed, "finished", side).permutation(len(data))
    if data.groups is not None:
        groups = data.groups.numpy()[order]
        order = order[np.sort(np.unique(groups, return_index=True)[1])]
    return torch.from_numpy(order[:most])


def examine(sides: Sides, seed: int) -> Split:
    """The blind classifier on the inputs, and a chi-squared test of the classes' shares."""
    records = sides.records
    member = np.arange(len(records)) < len(sides.members)
    seen = blind(records.inputs.numpy(), member, seed=seed)
    counts = np.stack([sides.members.counts().numpy(), sides.others.counts().numpy()])
    counts = counts[:, counts.any(0)]
    labels = float(stats.chi2_contingency(counts).pvalue) if counts.shape[1] > 1 else 1.0
    return Split(
        random=min(seen.p_value, labels) >= NOT_RANDOM,
        auc=dict(seen.auc),
        p_value=seen.p_value,
        labels_p_value=labels,
    )
