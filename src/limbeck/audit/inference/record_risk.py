"""How exposed is a single record: its own TPR, shrunk towards the others, with its own interval.

A record is in some 16 of 32 judged runs, so its own share of hits hardly tells 0.8 from 1; the
other records say which risks there are. Hits of a record are Binomial(n, p); risks p are drawn
from a mixture of a beta distribution and, with a small weight, the uniform one, which keeps a
lone exposed record from being averaged away. The three parameters of the mixture are not fixed
at their best fit: each value counts by how well all records fit it (empirical Bayes with the
uncertainty of the fit, a hierarchical model on a grid).

Value and interval are the mean and the central quantiles of the risk given the record's own hits
and everybody else's. Over the records the intervals hold at their level if the risks are like
such a mixture; for one record picked because it stands out that is not claimed, but shrinkage
already allows for the picking. Runs are taken as independent, records of one run too.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from limbeck.audit.attacks.base import MembershipAttack, Observed
from limbeck.audit.inference.roc import Trials
from limbeck.errors import OptionError

_MEANS = special.expit(np.linspace(-8, 5, 27))
_SIZES = np.geomspace(0.3, 1000, 16)
_STRAYS = np.array([1e-4, 1e-3, 1e-2, 0.1])
_RISKS = special.expit(np.linspace(-14, 14, 241))
_NEGLIGIBLE = 1e-4
"""Parameters of the mixture with less than this of the best weight are left out."""


@dataclass(frozen=True)
class RecordRisk:
    """The chance of each record's membership being named, with intervals at ``level``.

    value, low, high: (records,), rates. hits, trials: (records,), the counts behind them: runs of
    the judged half that held the record, and those of them whose score exceeded the threshold.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    hits: np.ndarray
    trials: np.ndarray
    level: float = 0.95


def record_risk(
    attack: MembershipAttack,
    observed: Observed,
    halves: np.ndarray,
    *,
    fpr: float = 0.01,
    level: float = 0.95,
) -> RecordRisk:
    """Each record's TPR in the judged half of the runs, at a threshold of the other half.

    observed: signals (runs, views, records) and coins. halves: bool (runs,), True for the judged
    half B; half A gives the references and, leave-one-out, the one threshold whose FPR over all
    records is ``fpr``. Leave-one-out scores of one record are negatively related to its own coin
    [measured: AUC 0.43-0.46 at 64 runs], so none of them is counted.

    Raises OptionError where a half is missing or too small to give a threshold.
    """
    if halves.all() or not halves.any():
        raise OptionError(
            f"halves has {int(halves.sum())} of {len(halves)} runs in the judged half: both halves "
            "need runs"
        )
    inside = observed.membership
    known = observed.of_runs(~halves)
    reference = Trials(attack.score(known), known.membership)
    threshold = float(np.median(reference.thresholds((fpr,))))
    scores = attack.score(replace(observed, reference_runs=~halves))[halves]
    judged = inside[halves]
    hits = np.count_nonzero((scores > threshold) & judged, axis=0)
    return shrunk(hits, np.count_nonzero(judged, axis=0), level=level)


def shrunk(
    hits: Int[np.ndarray, " records"], trials: Int[np.ndarray, " records"], *, level: float = 0.95
) -> RecordRisk:
    """Risk of every record from its hits and those of all others; 0 trials get the others' risks.

    Raises OptionError for counts that cannot be.
    """
    if hits.shape != trials.shape or not len(hits) or (hits < 0).any() or (hits > trials).any():
        raise OptionError(
            f"hits of shape {hits.shape} with trials of shape {trials.shape}: each record needs "
            "from 0 to trials hits"
        )
    pairs, which, count = np.unique(
        np.stack([hits, trials], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    k, n = pairs[:, 0, None], pairs[:, 1, None]
    mean, size, stray = (
        axis.ravel() for axis in np.meshgrid(_MEANS, _SIZES, _STRAYS, indexing="ij")
    )
    a, b = mean * size, (1 - mean) * size
    # Chance of each pair's hits under either part, (pairs, grid); the binomial factor cancels.
    usual = np.log1p(-stray) + special.betaln(k + a, n - k + b) - special.betaln(a, b)
    uniform = np.log(stray) + special.betaln(k + 1, n - k + 1)
    either = np.logaddexp(usual, uniform)
    fit = count @ either
    weight = np.exp(fit - fit.max())
    kept = weight > _NEGLIGIBLE
    weight = weight[kept] / weight[kept].sum()
    share = np.exp(usual[:, kept] - either[:, kept])  # of the usual part, per pair
    cumulative = _mixture_cdf(k, n, a[kept], b[kept], weight, share)
    tail = (1 - level) / 2
    low, high = (
        np.array([np.interp(q, row, _RISKS) for row in cumulative]) for q in (tail, 1 - tail)
    )
    usual_mean = (k + a[kept]) / (n + a[kept] + b[kept])
    # As in Clopper-Pearson's interval, nothing rules out 0 without a hit, nor 1 without a miss.
    low[k[:, 0] == 0], high[(k == n)[:, 0]] = 0.0, 1.0
    value = (weight * (share * usual_mean + (1 - share) * (k + 1) / (n + 2))).sum(1)
    which = which.reshape(-1)
    return RecordRisk(value[which], low[which], high[which], hits, trials, level)


def _mixture_cdf(
    k: Int[np.ndarray, "pairs 1"],
    n: Int[np.ndarray, "pairs 1"],
    a: Float[np.ndarray, " grid"],
    b: Float[np.ndarray, " grid"],
    weight: Float[np.ndarray, " grid"],
    share: Float[np.ndarray, "pairs grid"],
) -> Float[np.ndarray, "pairs risks"]:
    """Distribution function of each pair's risk at ``_RISKS``, over the kept parameters."""
    total = np.empty((len(k), len(_RISKS)))
    # The same a and b come with several shares of strays: one distribution function for all.
    (a, b), which = np.unique(np.stack([a, b]), axis=1, return_inverse=True)
    which = which.reshape(-1)
    for row, (hit, of) in enumerate(zip(k[:, 0], n[:, 0], strict=True)):
        usual = special.betainc(hit + a[:, None], of - hit + b[:, None], _RISKS)
        total[row] = np.bincount(which, weight * share[row], len(a)) @ usual
        total[row] += (weight @ (1 - share[row])) * special.betainc(hit + 1, of - hit + 1, _RISKS)
    return total
