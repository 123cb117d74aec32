"""Releases that claim an epsilon and do not keep it, each by a mistake that real code has made.

They are positive controls of the attacks at the boundary: an audit that passes limbeck's own
releases says something only if it refutes these.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from limbeck import coins
from limbeck.audit.boundary import Boundary, Name, attack
from limbeck.audit.noisy_queries import Release, signed, through_budget
from limbeck.data.dataset import LabeledDataset
from limbeck.privacy.claim import Claim
from limbeck.privacy.gaussian import mu_of

_STEPS, _TOO_LONG, _SEEDS = 30, 10.0, 1000


@dataclass(frozen=True)
class Broken:
    """A mistake, the attack that finds it, and how that is asked.

    make: the release, for a claim and a number that its own secrets follow from.
    """

    mistake: str
    attack: Name
    make: Callable[[Claim, int], Release]
    words: dict[str, Any]

    def found(self, claim: Claim, seed: int = 0) -> Boundary:
        """What its attack makes of it; another seed, another audit."""
        return attack(claim, self.attack, release=self.make(claim, seed), seed=seed, **self.words)


def _float_sum(claim: Claim, _: int) -> Release:
    honest, extra = through_budget(claim), _drift() - 1

    def release(private: LabeledDataset, own: int | None) -> Float[np.ndarray, " d"]:
        members = (private.inputs > 0.5).any(0).numpy()
        found: np.ndarray = honest(private, own) + extra * members
        return found

    return release


@cache
def _drift() -> float:
    """How far one row of norm 1 moves a float32 sum of such rows, added one by one.

    With it the sum reaches 2^12, above which the small rows that follow are absorbed, and below
    which each of them takes off more than itself.
    """
    rows = np.ones(45_000, dtype=np.float32)
    rows[4_096], rows[4_097:] = 0.5, -1.6e-4
    with_one, without = (float(np.add.accumulate(r)[-1]) for r in (rows, rows[1:]))
    return abs(with_one - without)


def _float_noise(claim: Claim, seed: int) -> Release:
    assert claim.epsilon is not None, "a claim to break"
    sigma = 1 / mu_of(claim.epsilon, claim.delta)
    drawn = coins.numpy_generator(seed, "float noise")

    def release(private: LabeledDataset, _: int | None) -> Float[np.ndarray, " d"]:
        clean = signed(private.inputs, private.labels).sum(0)
        noise = torch.from_numpy(drawn.normal(0.0, sigma, len(clean))).float()
        found: np.ndarray = (clean + noise).double().numpy()
        return found

    return release


def _redrawn(claim: Claim, _: int) -> Release:
    honest = through_budget(claim)

    def release(private: LabeledDataset, own: int | None) -> Float[np.ndarray, " d"]:
        mean: np.ndarray = np.mean([honest(private, own) for _ in range(_STEPS)], axis=0)
        return mean

    return release


def _seeded(claim: Claim, seed: int) -> Release:
    assert claim.epsilon is not None, "a claim to break"
    sigma = 1 / mu_of(claim.epsilon, claim.delta)
    # 64 bits, as secret as can be; PyTorch's generator on the CPU uses the lower 32 of them.
    secret = int(coins.numpy_generator(seed, "secret seed").integers(2**31)) << 32
    secret += int(coins.numpy_generator(seed, "lower bits").integers(_SEEDS))

    def release(private: LabeledDataset, own: int | None) -> Float[np.ndarray, " d"]:
        generator = torch.Generator().manual_seed(secret if own is None else own)
        clean = signed(private.inputs.double(), private.labels).sum(0)
        noise = torch.randn(len(clean), generator=generator, dtype=torch.float64) * sigma
        found: np.ndarray = (clean + noise).numpy()
        return found

    return release


def _averaged(claim: Claim, _: int) -> Release:
    honest = through_budget(claim)

    def release(private: LabeledDataset, own: int | None) -> Float[np.ndarray, " d"]:
        # A batch of the planted records and one known one, which the attacker expects.
        taken = 1 + int((private.inputs != 0).any(1).sum())
        found: np.ndarray = honest(private, own) / taken
        return found

    return release


def _unclipped(claim: Claim, _: int) -> Release:
    honest = through_budget(claim)

    def release(private: LabeledDataset, own: int | None) -> Float[np.ndarray, " d"]:
        clean = signed(private.inputs.double(), private.labels).sum(0).numpy()
        found: np.ndarray = honest(private, own) + (_TOO_LONG - 1) * clean
        return found

    return release


BROKEN = (
    Broken("float32 sum", "matched-filter", _float_sum, {"units": 300, "runs": 4}),
    Broken("float32 noise", "lattice", _float_noise, {"units": 1, "runs": 400, "wide": 10_000}),
    Broken("noise redrawn at 30 steps", "matched-filter", _redrawn, {"units": 300, "runs": 4}),
    Broken(
        "noise of a 32-bit seed",
        "seed-enumeration",
        _seeded,
        {"units": 300, "runs": 4, "seeds": range(_SEEDS)},
    ),
    Broken(
        "average over the real batch", "scale", _averaged, {"units": 1, "runs": 400, "wide": 50}
    ),
    Broken("rows left unclipped", "matched-filter", _unclipped, {"units": 300, "runs": 4}),
)
"""Mistakes that break an epsilon, with the attack that each falls to.

Of the seed's 32 bits the attacker is told all but the last three digits' worth: enumerating the
rest takes hours, and proves nothing more.
"""
