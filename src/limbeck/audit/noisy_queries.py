"""The kinds of noisy query that private methods ask, as releases for attacks at the boundary.

Each is asked of planted records (see ``boundary``) through a budget of its own, by the code that
private methods use: sums over all records (``private-ridge``, ``private-copula``,
``private-matching``, ``dp-merf``), sampled steps (``dp-sgd``, ``psg``, ``dp-kip``), blocks of
classes (``dp-sinkhorn``) and shards (``gs-wgan``).
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.privacy.claim import Claim
from limbeck.privacy.records import Bound

Release = Callable[[LabeledDataset, int | None], Float[np.ndarray, " d"]]
"""A noisy sum of ``signed`` inputs of records, each of norm 1 at most; and the seed of its noise.

None as the seed is a real release, whose noise is the mechanism's own affair.
"""


def signed(inputs: Float[Tensor, "n d"], side: Tensor) -> Float[Tensor, "n d"]:
    """The statistic of planted records: their inputs, or the opposite for those that stand in."""
    return inputs * (1 - 2 * side)[:, None]


def through_budget(claim: Claim) -> Release:
    """One sum over all records, with all of a budget."""

    def release(private: LabeledDataset, seed: int | None) -> Float[np.ndarray, " d"]:
        budget = claim.budget(private, insecure_seed=seed)
        found: np.ndarray = budget.release("boundary", signed, Bound.of(1.0), 1.0).values.numpy()
        return found

    return release


def through_steps(claim: Claim) -> Release:
    """One sampled step in which everybody takes part."""

    def release(private: LabeledDataset, seed: int | None) -> Float[np.ndarray, " d"]:
        budget = claim.budget(private, insecure_seed=seed)
        shapes = [torch.Size(private.shape)]
        sampler = budget.steps("boundary", shapes, rate=1.0, count=1, norm=1.0)
        [noisy] = sampler.step(lambda inputs, sides: [signed(inputs, sides)])
        found: np.ndarray = noisy.double().numpy()
        return found

    return release


def through_blocks(claim: Claim, *, wide: int = 1, opposed: bool = True) -> Release:
    """One step of blocks, a class for each planted record.

    A block may be anywhere in a ball, so that a record moves it farthest from one end to the other.
    wide: coordinates of each planted record. opposed: a class without its planted record answers
    the opposite of it; else nothing, and then records move answers half as far as is allowed.
    """

    def release(private: LabeledDataset, seed: int | None) -> Float[np.ndarray, " d"]:
        classes, rest = _classes_of(private, wide)
        budget = claim.budget(classes, insecure_seed=seed)
        sampler = budget.steps("boundary", [], rate=1.0, count=1, norm=1.0)
        answer = _Answer(wide, opposed)
        noisy = sampler.jointly(lambda records, _: answer(records), len(classes.classes))
        return answer.sum(noisy, rest)

    return release


def through_shards(claim: Claim, *, wide: int = 1, opposed: bool = True) -> Release:
    """One sum over shards, each of which holds a planted record; otherwise as blocks."""

    def release(private: LabeledDataset, seed: int | None) -> Float[np.ndarray, " d"]:
        classes, rest = _classes_of(private, wide)
        budget = claim.budget(classes, insecure_seed=seed)
        shards = budget.shards("boundary", shards=1, norm=0.5, count=1, share=1.0)
        answer = _Answer(wide, opposed)
        return answer.sum(shards.step(lambda records, _: answer(records)), rest)

    return release


QUERIES: dict[str, Callable[[Claim], Release]] = {
    "sum": through_budget,
    "sampled step": through_steps,
    "blocks": through_blocks,
    "shards": through_shards,
}
"""Every kind, as it tells most about a record."""


class _Answer:
    """What a class says of its planted record: half of its statistic, or the opposite or nothing.

    wide: coordinates of each planted record.
    """

    def __init__(self, wide: int, opposed: bool) -> None:
        self.wide, self.opposed = wide, opposed

    def __call__(self, records: Float[Tensor, "classes m 1"]) -> Float[Tensor, "classes wide"]:
        there = records.sum(1)
        half = there.clamp(min=0) - 0.5 if self.opposed else there / 2
        answers: Tensor = half.expand(-1, self.wide) / self.wide**0.5
        return answers

    def sum(
        self, noisy: Float[Tensor, "classes wide"], rest: Float[Tensor, "classes wide"]
    ) -> Float[np.ndarray, " d"]:
        """The noisy answers as a sum of statistics; floats move by what is known alone."""
        found = noisy.double()
        if self.opposed:
            found = found + 0.5 / self.wide**0.5 + rest
        values: np.ndarray = found.flatten().numpy()
        return values


def _classes_of(
    private: LabeledDataset, wide: int
) -> tuple[LabeledDataset, Float[Tensor, "units wide"]]:
    """A class for each planted record, which has a filler beside it; and the sum of known records.

    A planted record is 1, what stands in for it is -1, a filler is 0.
    """
    planted = (private.inputs**2).sum(1) > 0.5
    rows, sides = private.inputs[planted], private.labels[planted]
    units = private.shape[0] // wide
    signs = torch.cat([torch.zeros(units), (1 - 2 * sides).float()])
    labels = torch.cat([torch.arange(units), rows.argmax(1) // wide])
    made = LabeledDataset(signs[:, None], labels, tuple(map(str, range(units))), name="classes")
    return made, private.inputs[~planted].double().sum(0).reshape(units, wide)
