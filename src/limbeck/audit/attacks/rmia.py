"""RMIA: a record's probability, relative to its usual one, against that of population points.

Every run is attacked from all the others. The mean over the others is taken by adding up what
comes before and after a run: subtracting its own term from the total would cancel where one
probability is many orders of magnitude above the rest.
"""

from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float32
from pydantic import Field
from scipy import special

from limbeck.audit.attacks.base import MembershipAttack, Observed, Signal, blocks
from limbeck.errors import OptionError
from limbeck.recipe import options
from limbeck.registry import register

_BLOCK = 2**20
"""Values per block and view: bounds the working arrays to a few dozen MiB."""

_RESOLUTION = 1e-9
"""Relative difference of two ratios below which they are a tie: beyond it lies only rounding."""

_SMALLEST = 1e-300
"""Below this no probability is told from another: no run gives the record any."""


def rmia(
    margins: Float32[np.ndarray, "runs views records"],
    population: Float32[np.ndarray, "runs views points"],
    membership: Bool[np.ndarray, "runs records"],
    *,
    online: bool = True,
    gamma: float = 1.0,
    a: float = 0.3,
    reference_runs: Bool[np.ndarray, " runs"] | None = None,
) -> Float[np.ndarray, "runs records"]:
    """Scores of the relative attack [Zarifzadeh 2024, arXiv:2312.03262] in [0, 1].

    With p(x | run) the probability that a run's model gives to x's label, the sigmoid of its
    margin, LR(x, z) = [p(x | run) / p(x)] / [p(z | run) / p(z)], and the score is the share of
    the population points z with LR > gamma, averaged over the views (each has its own z).

    population: margins of points that are in no run; members among them would pass for typical
        non-members and hide the leak.
    online: p(x) is the mean of the mean probabilities with and without x in the run; p(z) the
        mean over all runs, which are all without z. Otherwise offline, without any run that held
        x: p = ((1 + a) p_out + 1 - a) / 2 for x and z alike.
    gamma: how many times more than z's the probability of x must be raised. The paper's
        experiments take 2; 1, the default here, left fewer ties and named more members of
        undefended networks.
    a: in [0, 1]; the probability of a record without it in training stands for its usual one the
        better, the nearer a is to 1.
    reference_runs: the runs to take means over; a run among them never serves itself.

    All references count, with no trimming. Where a mean lacks every reference, the ratio is 1:
    the references say nothing. Scores are multiples of 1 / (views * points), with ties at 0 and 1
    in particular: a threshold cannot tell more false-positive rates apart than that.
    """
    seen = Observed(margins, membership, reference_runs, population)
    known = seen.references
    runs, views, points = population.shape
    total = np.zeros(membership.shape)
    everyone = np.broadcast_to(known[:, None], (runs, points))
    for view in range(views):
        p = _probability(population[:, view])
        outside = _mean_of_others(p, everyone)
        typical = np.sort(_ratio(p, outside if online else _offline(outside, a)), axis=1)
        for block in blocks(*membership.shape, values=_BLOCK):
            p, inside = _probability(margins[:, view, block]), membership[:, block]
            usual = _mean_of_others(p, ~inside & known[:, None])
            if online:
                usual += _mean_of_others(p, inside & known[:, None])
                usual /= 2
            else:
                usual = _offline(usual, a)
            # Strictly less, and by more than rounding: LR = gamma does not count.
            bar = _ratio(p, usual) * ((1 - _RESOLUTION) / gamma)
            for run in range(runs):
                total[run, block] += np.searchsorted(typical[run], bar[run])
    total /= views * points
    return total


def _probability(margins: Float32[np.ndarray, "runs n"]) -> Float[np.ndarray, "runs n"]:
    p: np.ndarray = margins.astype(np.float64)
    special.expit(p, out=p)
    np.maximum(p, _SMALLEST, out=p)
    return p


def _mean_of_others(
    p: Float[np.ndarray, "runs n"], used: Bool[np.ndarray, "runs n"]
) -> Float[np.ndarray, "runs n"]:
    """For each run the mean over the used runs but itself; NaN where there is none."""
    terms = np.where(used, p, 0.0)
    total = np.zeros(p.shape)
    total[1:] += np.cumsum(terms[:-1], axis=0)
    total[:-1] += np.cumsum(terms[:0:-1], axis=0)[::-1]
    count = used.sum(0) - used
    total /= np.maximum(count, 1)
    total[count == 0] = np.nan
    return total


def _offline(outside: Float[np.ndarray, "runs n"], a: float) -> Float[np.ndarray, "runs n"]:
    # The brackets matter: beside 1, a tiny probability would vanish.
    return ((1 + a) * outside + (1 - a)) / 2


def _ratio(
    p: Float[np.ndarray, "runs n"], usual: Float[np.ndarray, "runs n"]
) -> Float[np.ndarray, "runs n"]:
    return np.where(np.isnan(usual), 1.0, p / usual)


@register(
    "rmia",
    kind="attack",
    summary="a record's raised probability against that of population points",
    paper="Zarifzadeh et al. 2024, arXiv 2312.03262",
    cost="none beyond the shadow runs and their answers on the population points",
)
@options
class RMIA(MembershipAttack):
    """The relative membership-inference attack; see ``rmia`` for what the options mean."""

    online: bool = True
    gamma: Annotated[float, Field(gt=0)] = 1.0
    a: Annotated[float, Field(ge=0, le=1)] = 0.3
    reads: ClassVar[tuple[Signal, ...]] = ("margin",)

    @property
    def title(self) -> str:
        return "rmia" if self.online else "rmia-offline"

    def applies(self, observed: Observed) -> bool:
        return observed.population is not None

    def score(self, observed: Observed) -> Float[np.ndarray, "runs records"]:
        if observed.population is None:
            raise OptionError(
                f"rmia compares the records of signals {observed.signals.shape} with population "
                "points, and there are none: give the signals of records that are in no run"
            )
        return rmia(
            observed.signals,
            observed.population,
            observed.membership,
            online=self.online,
            gamma=self.gamma,
            a=self.a,
            reference_runs=observed.reference_runs,
        )
