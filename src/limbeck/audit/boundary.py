"""Attacks at the noisy-sum boundary: by somebody who sees the release itself and all other records.

What a private synthesizer publishes is post-processing of its noisy sums. So the strongest audit
of its guarantee looks at the sums: the records planted have statistics of the largest norm that is
allowed, at right angles to each other, and everything else is known. Then the release tells of
each record exactly what the claimed trade-off curve permits, and an audit can be tight.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float

from limbeck import coins as seeded
from limbeck.audit.inference.gdp_test import gdp_lower_bound, gdp_p_value, refutes
from limbeck.audit.noisy_queries import Release, through_budget
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.privacy.claim import Claim
from limbeck.privacy.gaussian import mu_of
from limbeck.types import Estimate

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


@dataclass(frozen=True)
class Boundary:
    """What an attack at the noisy-sum boundary made of a claim.

    attack: its name, of ``ATTACKS``. claimed: epsilon. bound: the measured lower bound on it, at
    95%. p_value: of the claimed mu-GDP curve. refuted: beyond the familywise 0.1% of an alarm.
    seeds: of the noise of each run that seed enumeration thinks it found.
    """

    attack: str
    claimed: float
    bound: Estimate
    p_value: float
    refuted: bool
    seeds: tuple[int, ...] = ()


Name = Literal["matched-filter", "seed-enumeration", "lattice", "scale"]


def attack(
    claim: Claim,
    name: Name = "matched-filter",
    *,
    release: Release | None = None,
    units: int = 500,
    runs: int = 20,
    wide: int = 1,
    seeds: Sequence[int] = range(1000),
    seed: int = 0,
) -> Boundary:
    """Hold a claim against what an attack sees of ``units`` planted records in each of some runs.

    release: the mechanism, called with no seed for what is attacked; None: limbeck's own. Seed
    enumeration calls it with each of ``seeds``, too, on the known records alone.
    wide: coordinates that each planted record's statistic is spread over. The lattice and the scale
    of a release show in many coordinates; known records are 0 there. With one unit, each run is a
    trial of its own.
    OptionError where the claim is none, or ``name`` is no attack.
    """
    if name not in ATTACKS:
        raise OptionError(f"no attack at the boundary is called {name!r}: {', '.join(ATTACKS)}")
    mechanism = release or through_budget(claim)
    planted = _Planted.of(claim, units, runs, seed, wide)
    seen = np.stack([mechanism(records, None) for records in planted.runs()])
    found: list[int] = []
    if name == "seed-enumeration":
        known = planted.known()
        # The noise that a seed gives is the same for every run: made once.
        noise = {tried: mechanism(known, tried) for tried in seeds}
        each = [find_seed(one, noise.__getitem__, list(noise)) for one in seen]
        found, seen = [which for which, _ in each], np.stack([left for _, left in each])
    rest = np.zeros_like(planted.rest) if name == "seed-enumeration" else planted.rest
    own = (seen - rest).reshape(runs, units, wide)
    if name == "lattice":
        scores = on_lattice(own)
    elif name == "scale":
        scores = -np.square(own).sum(-1)
    else:
        scores = own.sum(-1)  # the matched filter, for statistics of equal coordinates
    coins = planted.coins
    if units == 1:
        scores, coins = scores.T, coins.T
    assert claim.epsilon is not None, "checked when the records were planted"
    mu = mu_of(claim.epsilon, claim.delta)
    return Boundary(
        attack=name,
        claimed=claim.epsilon,
        bound=gdp_lower_bound(scores, coins, delta=claim.delta, independent=True),
        p_value=gdp_p_value(scores, coins, mu, independent=True),
        refuted=refutes(scores, coins, mu, independent=True),
        seeds=tuple(found),
    )


ATTACKS: tuple[Name, ...] = get_args(Name)
"""What ``attack`` knows: the most powerful test of honest noise, and three of dishonest noise.

seed-enumeration: noise that can be guessed. lattice: floating-point sums. scale: noise whose size
tells the number of records, as of averages over a real batch.
"""


def on_lattice(released: Float[np.ndarray, "*trials wide"]) -> Float[np.ndarray, "*trials"]:
    """How few small coordinates are off the lattice that float32 noise on a statistic would leave.

    Where t + noise is rounded to float32 and much smaller than t, it is a multiple of half a unit
    in the last place of t; where t is 0 it hardly ever is [Mironov 2012, CCS, "On significance of
    the least significant bits for differential privacy"; for Gaussian noise Jin et al. 2022,
    arXiv:2112.05307]. Here t is the statistic of a member, 1 over the root of ``wide``.
    """
    value = released.shape[-1] ** -0.5
    half = 2.0 ** (math.floor(math.log2(value)) - 24)
    off = (np.abs(released) < value / 8) & (released / half != np.rint(released / half))
    scores: np.ndarray = -off.sum(-1).astype(np.float64)
    return scores


def observe(
    claim: Claim, *, units: int = 500, runs: int = 20, seed: int = 0, insecure: bool = False
) -> tuple[Float[np.ndarray, "runs units"], Bool[np.ndarray, "runs units"]]:
    """Matched-filter scores and fair coins of ``units`` records in each run of a claimed release.

    Every run is a budget of its own, spent on one sum, with noise from the system's entropy or,
    where ``insecure``, from the seed, for tests that must repeat. Each unit has its own coordinate,
    so trials are independent (see ``inference.gdp_test``); under "replace-one" a unit that is out
    has the opposite statistic in its place. OptionError where the claim is none.
    """
    planted, mechanism = _Planted.of(claim, units, runs, seed), through_budget(claim)
    released = [
        mechanism(records, seeded.derive(seed, "boundary noise", run) if insecure else None)
        for run, records in enumerate(planted.runs())
    ]
    return matched_filter(np.stack(released), planted.rest, np.eye(units)), planted.coins


@dataclass(frozen=True, eq=False)
class _Planted:
    """Known records, then the planted ones, then their stand-ins, and who is in each run.

    rest: (units * wide,), the sum of the known records' statistics.
    """

    records: LabeledDataset
    coins: Bool[np.ndarray, "runs units"]
    rest: Float[np.ndarray, " d"]
    replaced: bool

    @classmethod
    def of(cls, claim: Claim, units: int, runs: int, seed: int, wide: int = 1) -> "_Planted":
        if claim.epsilon is None:
            raise OptionError("without noise there is no claim to audit: give an epsilon")
        coins = seeded.numpy_generator(seed, "boundary").random((runs, units)) < 0.5
        known = torch.rand(_KNOWN, units, generator=seeded.generator(seed, "known records"))
        known = known / units if wide == 1 else torch.zeros(_KNOWN, units * wide)
        rows = torch.eye(units).repeat_interleave(wide, 1) / wide**0.5
        against = torch.arange(_KNOWN + 2 * units) >= _KNOWN + units
        everyone = LabeledDataset(
            torch.cat([known, rows, rows]),
            against.long(),
            ("for", "against"),
            name="planted records",
        )
        rest = known.double().sum(0).numpy()
        return cls(everyone, coins, rest, claim.adjacency == "replace-one")

    def runs(self) -> Iterator[LabeledDataset]:
        """The records of each run."""
        for row in self.coins:
            member = np.concatenate([np.ones(_KNOWN, bool), row, ~row & self.replaced])
            yield self.records.select(torch.from_numpy(member))

    def known(self) -> LabeledDataset:
        """The records that the attacker knows to be in every run."""
        return self.records.select(torch.arange(len(self.records)) < _KNOWN)
