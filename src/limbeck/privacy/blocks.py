"""Answers of several sets of records at once: side by side, on the integer grid, with noise."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limbeck import coins
from limbeck.privacy.noise import discrete_gaussian
from limbeck.privacy.records import Bound


def cut(answers: Float[Tensor, "n ..."], bound: Bound) -> Int64[Tensor, "n ..."]:
    """Each answer in whole steps of the grid, shrunk to the norm where it is longer."""
    return bound.cut(answers.flatten(1)).reshape(answers.shape)


@dataclass
class Noise:
    """The noise of a sequence of integer sums: fresh for each of them.

    scale: of every coordinate, in grid steps; 0: none, where no guarantee was asked for.
    insecure_seed: for tests and the shadow runs of audits: noise that can be repeated.
    """

    scale: float
    insecure_seed: int | None = None
    drawn: int = 0

    def added(self, total: Int64[Tensor, "..."], bound: Bound) -> Float[Tensor, "..."]:
        """The sum with noise on every coordinate, in the answers' own units.

        Numbers become floats after the noise, never before.
        """
        if self.scale:
            seed = self.insecure_seed
            own = None if seed is None else coins.derive(seed, "noise", self.drawn)
            values: np.ndarray = total.flatten().numpy()
            noisy = discrete_gaussian(values, self.scale, insecure_seed=own)
            total = torch.from_numpy(noisy).reshape(total.shape)
        self.drawn += 1
        return (total.double() * bound.step).float()


def padded(
    inputs: Float[Tensor, "n ..."], place: Int64[Tensor, " n"], places: int
) -> tuple[Float[Tensor, "places m ..."], Int64[Tensor, " places"]]:
    """The records of each place side by side, zeros behind them, and how many each has."""
    sizes = torch.bincount(place, minlength=places)
    order = torch.argsort(place, stable=True)
    starts = sizes.cumsum(0) - sizes
    within = torch.arange(len(order)) - starts[place[order]]
    made = inputs.new_zeros(places, max(1, int(sizes.max())), *inputs.shape[1:])
    made[place[order], within] = inputs[order]
    return made, sizes
