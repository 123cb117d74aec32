"""Attacks at the noisy-sum boundary: by somebody who sees the release itself and all other records.

What a private synthesizer publishes is post-processing of its noisy sums. So the strongest audit
of its guarantee looks at the sums: the records planted have statistics of the largest norm that is
allowed, at right angles to each other, and everything else is known. Then the release tells of
each record exactly what the claimed trade-off curve permits, and an audit can be tight.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float

from limbeck import coins as seeded
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.privacy.claim import Claim
from limbeck.privacy.records import Bound

_KNOWN = 16
"""Records beside the planted ones; the attacker knows them all."""


def matched_filter(
    released: Float[np.ndarray, "runs d"],
    rest: Float[np.ndarray, " d"],
    statistics: Float[np.ndarray, "units d"],
) -> Float[np.ndarray, "runs units"]:
    """How much of each unit's statistic is in the release less what is known of it.

    <release - rest, statistic of the unit>, the most powerful score for Gaussian noise where the
    units' statistics are orthogonal (the Neyman-Pearson lemma). Higher means more likely a member.
    """
    found: np.ndarray = (released - rest) @ statistics.T
    return found


def find_seed(
    released: Float[np.ndarray, " d"],
    repeat: Callable[[int], Float[np.ndarray, " d"]],
    seeds: Sequence[int],
) -> tuple[int, Float[np.ndarray, " d"]]:
    """The seed that the noise came from, if it is one of ``seeds``, and the release without it.

    repeat: what the mechanism releases of the known records alone with this seed. With the right
    seed the noise cancels, and what remains is the sum of the unknown members' statistics: nearly
    nothing beside noise. Seed enumeration breaks every mechanism whose noise a seed determines
    that can be guessed, however much noise there is.
    """
    if not seeds:
        raise OptionError("no seeds to try: give at least one")
    left = {seed: released - repeat(seed) for seed in seeds}
    found = min(left, key=lambda seed: float(np.abs(left[seed]).sum()))
    return found, left[found]


def observe(
    claim: Claim, *, units: int = 500, runs: int = 20, seed: int = 0, insecure: bool = False
) -> tuple[Float[np.ndarray, "runs units"], Bool[np.ndarray, "runs units"]]:
    """Matched-filter scores and fair coins of ``units`` records in each run of a claimed release.

    Every run is a budget of its own, spent on one sum, with noise from the system's entropy or,
    where ``insecure``, from the seed, for tests that must repeat. Each unit has its own coordinate,
    so trials are independent (see ``inference.gdp_test``); under "replace-one" a unit that is out
    has the opposite statistic in its place. OptionError where the claim is none.
    """
    if claim.epsilon is None:
        raise OptionError("without noise there is no claim to audit: give an epsilon")
    generator = seeded.numpy_generator(seed, "boundary")
    coins = generator.random((runs, units)) < 0.5
    known = torch.rand(_KNOWN, units, generator=seeded.generator(seed, "known records"))
    against = torch.arange(_KNOWN + 2 * units) >= _KNOWN + units
    everyone = LabeledDataset(
        torch.cat([known / units, torch.eye(units), torch.eye(units)]),
        against.long(),
        ("for", "against"),
        name="planted records",
    )

    def signed(inputs: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        return inputs * (1 - 2 * side)[:, None]

    replaced = claim.adjacency == "replace-one"
    released = []
    for run, row in enumerate(coins):
        member = np.concatenate([np.ones(_KNOWN, bool), row, ~row & replaced])
        secret = seeded.derive(seed, "boundary noise", run) if insecure else None
        budget = claim.budget(everyone.select(torch.from_numpy(member)), insecure_seed=secret)
        released.append(budget.release("boundary", signed, Bound.of(1.0), 1.0).values.numpy())
    rest = (known / units).double().sum(0).numpy()
    return matched_filter(np.stack(released), rest, np.eye(units)), coins
