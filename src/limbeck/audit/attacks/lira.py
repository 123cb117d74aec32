"""LiRA, the likelihood-ratio attack, with every run attacked from all the others.

Per record, view and side (IN: runs with the record, OUT: runs without), a Gaussian is fitted to
the signals of the reference runs. Leaving a run out of its own references needs no second fit:
with n values of mean m and sum of squared deviations S, dropping x leaves the residual
x - m' = (x - m) n / (n - 1) and S' = S - (x - m)^2 n / (n - 1).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32

from limbeck.audit.attacks.base import MembershipAttack, Observed, blocks
from limbeck.recipe import options
from limbeck.registry import register

Variance = Literal["auto", "pooled", "per-record"]
_Column = Float[np.ndarray, " block"]

ENOUGH_REFERENCES = 32
"""Expected references on a side from which ``variance="auto"`` trusts a record's own variance."""

_RESOLUTION = 1e-6
"""A standard deviation below this share of the signals' size is float32 rounding, not spread."""

_BLOCK = 2**16
"""Values per block and view: the working arrays stay in the processor's cache."""


def lira(
    signals: Float32[np.ndarray, "runs views records"],
    membership: Bool[np.ndarray, "runs records"],
    *,
    online: bool = True,
    variance: Variance = "auto",
    reference_runs: Bool[np.ndarray, " runs"] | None = None,
) -> Float[np.ndarray, "runs records"]:
    """Scores of the likelihood-ratio attack [Carlini 2022, arXiv:2112.03570], averaged over views.

    online: log N(x; IN) - log N(x; OUT). Otherwise offline, with OUT alone: the standardised value
        (x - mean_out) / std_out, whose ranks are those of the paper's Phi without its ties.
    variance: "per-record", each record's own (divisor n - 1); "pooled", one per side and view,
        the mean of the records' own weighted by their degrees of freedom; "auto", pooled when fair
        coins leave a side fewer than 32 references on average, (reference runs - 1) / 2 of them
        (paper, section VI): a choice that no coin has a part in.
    reference_runs: the runs to fit the Gaussians on; a run among them never serves itself.

    A record with a single reference on a side takes the pooled variance. Where a side that the
    score needs has no reference at all, that (run, record) scores 0: the references say nothing.
    Whether they are missing depends on the other runs' coins only, so it cannot give a bit away.
    """
    seen = Observed(signals, membership, reference_runs)
    known = seen.references
    member = np.ascontiguousarray(seen.membership)
    counts = {True: (member & known[:, None]).sum(0), False: (~member & known[:, None]).sum(0)}
    sides = (True, False) if online else (False,)
    if variance == "auto":
        few = (int(known.sum()) - 1) / 2 < ENOUGH_REFERENCES
        variance = "pooled" if few else "per-record"
    # With three references on every side no record can need the pooled variance.
    pooled = {
        side: _pooled_variance(seen, known, counts[side], side)
        if variance == "pooled" or counts[side].min() < 3
        else np.ones(signals.shape[:2])
        for side in sides
    }
    scores = np.zeros(member.shape)
    for block in blocks(*member.shape, values=_BLOCK):
        inside = member[:, block]
        total = np.zeros(inside.shape)
        for view in range(signals.shape[1]):
            x = signals[:, view, block].astype(np.float64)
            fits = {
                side: _leave_one_out(
                    x, inside == side, known, pooled[side][:, view, None], variance == "pooled"
                )
                for side in sides
            }
            if online:
                total += fits[False].surprise() - fits[True].surprise()
            else:
                total += fits[False].residual / np.sqrt(fits[False].variance)
        for side in sides:
            left = counts[side][block] - ((inside == side) & known[:, None])
            total[left == 0] = 0.0
        # Beyond the ninth decimal is the rounding of the means. It depends on their counts, and is
        # all that there would be to rank in a mechanism that never varies.
        scores[:, block] = (total / signals.shape[1]).round(9)
    return scores


@dataclass(frozen=True)
class _Fit:
    """Each value's distance from the mean of its references on one side, and their variance."""

    residual: Float[np.ndarray, "runs block"]
    variance: Float[np.ndarray, "..."]

    def surprise(self) -> Float[np.ndarray, "runs block"]:
        """Minus the log-density, less the constant that both sides share."""
        surprise = self.residual**2
        surprise /= self.variance
        surprise += np.log(self.variance)
        surprise *= 0.5
        return surprise


def _moments(
    x: Float[np.ndarray, "runs block"], used: Bool[np.ndarray, "runs block"]
) -> tuple[_Column, Float[np.ndarray, "runs block"], _Column]:
    """Count, deviation of every value from the mean of the used ones, and their sum of squares."""
    n = used.sum(0).astype(np.float64)
    mean = np.einsum("rj,rj->j", x, used) / np.maximum(n, 1)
    deviation = x - mean
    return n, deviation, np.einsum("rj,rj,rj->j", deviation, deviation, used)


def _leave_one_out(
    x: Float[np.ndarray, "runs block"],
    on_side: Bool[np.ndarray, "runs block"],
    known: Bool[np.ndarray, " runs"],
    pooled: Float[np.ndarray, "runs 1"],
    pool: bool,
) -> _Fit:
    own = on_side & known[:, None]
    n, deviation, squares = _moments(x, own)
    grown = n / np.maximum(n - 1, 1)
    residual = deviation * np.where(own, grown, 1.0)
    floor = _RESOLUTION**2 * np.maximum(1.0, np.einsum("rj,rj->j", x, x) / len(x))
    if pool:
        return _Fit(residual, np.maximum(pooled, floor))
    freedom = n - 1 - own
    spread = squares - own * deviation * residual
    spread /= np.maximum(freedom, 1)
    return _Fit(residual, np.maximum(np.where(freedom > 0, spread, pooled), floor))


def _pooled_variance(
    seen: Observed,
    known: Bool[np.ndarray, " runs"],
    counts: np.ndarray,
    side: bool,
) -> Float[np.ndarray, "runs views"]:
    """Variance within records on one side, for each target run without its own terms."""
    runs, views, records = seen.signals.shape
    total = np.zeros(views)
    gone = np.zeros((runs, views))
    freedom = np.full(runs, float(np.maximum(counts - 1, 0).sum()))
    for block in blocks(runs, records, values=_BLOCK):
        own = (seen.membership[:, block] == side) & known[:, None]
        freedom -= (own & (counts[block] > 1)).sum(1)
        for view in range(views):
            n, deviation, squares = _moments(seen.signals[:, view, block].astype(np.float64), own)
            total[view] += squares.sum()
            grown = np.where(n > 1, n / np.maximum(n - 1, 1), 0.0)
            gone[:, view] += np.einsum("rj,rj,rj,j->r", deviation, deviation, own, grown)
    # Without two references of any one record there is no spread to see: unit variance.
    left = (total - gone) / np.maximum(freedom, 1)[:, None]
    return np.where(freedom[:, None] > 0, np.maximum(left, 0.0), 1.0)


@register(
    "lira",
    kind="attack",
    summary="likelihood ratio of each record's signal under runs with and without it",
    paper="Carlini et al. 2022, arXiv 2112.03570",
    cost="none beyond the shadow runs",
)
@options
class LiRA(MembershipAttack):
    """The likelihood-ratio attack; see ``lira`` for what the options mean."""

    online: bool = True
    variance: Variance = "auto"

    @property
    def title(self) -> str:
        forced = "" if self.variance == "auto" else f"-{self.variance}"
        return ("lira" if self.online else "lira-offline") + forced

    @property
    def finds_direction(self) -> bool:
        return self.online

    def score(self, observed: Observed) -> Float[np.ndarray, "runs records"]:
        return lira(
            observed.signals,
            observed.membership,
            online=self.online,
            variance=self.variance,
            reference_runs=observed.reference_runs,
        )
