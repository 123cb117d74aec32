"""Quantile regression: how high a non-member's signal may be, predicted for each record."""

from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field
from sklearn.ensemble import HistGradientBoostingRegressor

from limbeck.audit.attacks.base import MembershipAttack, Observed, folds_of
from limbeck.coins import numpy_generator
from limbeck.recipe import options
from limbeck.registry import register

_ROWS = 50_000
"""Non-member trials that a regression is fitted to, at most; a random sample of more."""

_LEAF = 100
"""Trials in a leaf, at least: a high quantile of fewer is their maximum."""

_LABEL = 2
"""The column of the class, where it is known."""

_RESOLUTION = 1e-6
"""A reach below this share of the signals' size is float32 rounding, not spread."""


def quantile_regression(
    observed: Observed, *, fpr: float = 0.05, folds: int = 4
) -> Float[np.ndarray, "runs records"]:
    """Scores of the quantile attack [Bertran 2023, arXiv:2307.03694], signals averaged over views.

    Two quantiles of a non-member's signal are regressed by pinball loss on what is known of the
    record: the median m and the (1 - fpr) quantile q. The score (signal - m) / (q - m) exceeds 1
    where the paper's attack at this false-positive rate says member, and ranks beyond it.

    The features are the mean and the standard deviation of the record's signal over the runs
    without it, and its class where labels are known; the paper's regression sees the record
    itself. The non-members are the (run, record) trials of the reference runs, each with features
    from the others. Reference runs are judged fold by fold, by regressions on the other folds
    alone; every other run by a regression on them all. What is regressed is the signal's
    distance from the record's mean, so that the trees need not follow the mean's whole range.

    A record without any non-member trial in the runs that judge it scores 0.
    """
    x = observed.signals.mean(1, dtype=np.float64)
    outside = ~observed.membership
    scores = np.zeros(x.shape)
    for train, judged in folds_of(observed.references, folds):
        rows = outside & train[:, None]
        mean, spread, count = _leave_one_out(x, rows)
        fit = rows & (count > 0)
        judge = (count > 0) & judged[:, None]
        if not fit.any():
            continue
        features, own = (_features(mean, spread, observed.labels, which) for which in (fit, judge))
        chosen = np.arange(len(features))
        if len(features) > _ROWS:
            draws = numpy_generator(0, "quantile-regression", int(judged.argmax()))
            chosen = np.sort(draws.choice(chosen, _ROWS, replace=False))
        residual = (x - mean)[fit][chosen]
        middle, high = (
            _regressed(features[chosen], residual, own, quantile) for quantile in (0.5, 1 - fpr)
        )
        floor = _RESOLUTION * max(1.0, float(np.abs(x).max()))
        scores[judge] = ((x - mean)[judge] - middle) / np.maximum(high - middle, floor)
    # Beyond the ninth decimal is the rounding of the means, which depends on their counts.
    return scores.round(9)


def _leave_one_out(
    x: Float[np.ndarray, "runs records"], rows: Bool[np.ndarray, "runs records"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation (NaN below two) and number of the rows' values but one's own."""
    total = rows.sum(0)
    centre = np.einsum("rj,rj->j", x, rows) / np.maximum(total, 1)
    deviation = x - centre
    count = total - rows
    shift = -deviation * rows / np.maximum(count, 1)
    squares = np.einsum("rj,rj,rj->j", deviation, deviation, rows)
    left = squares - rows * deviation**2 - count * shift**2
    with np.errstate(invalid="ignore"):
        spread = np.sqrt(np.maximum(left, 0) / np.where(count > 1, count - 1, np.nan))
    return centre + shift, spread, count


def _features(
    mean: np.ndarray, spread: np.ndarray, labels: np.ndarray | None, which: np.ndarray
) -> Float[np.ndarray, "rows features"]:
    columns = [mean[which], spread[which]]
    if labels is not None:
        codes = np.unique(labels, return_inverse=True)[1]
        columns.append(np.broadcast_to(codes, which.shape)[which])
    return np.stack(columns, axis=1)


def _regressed(
    features: Float[np.ndarray, "rows features"],
    residual: Float[np.ndarray, " rows"],
    own: Float[np.ndarray, "judged features"],
    quantile: float,
) -> Float[np.ndarray, " judged"]:
    """The quantile of ``residual`` given the features, for each row of ``own``."""
    varies = [len(np.unique(column[~np.isnan(column)])) > 1 for column in features[:, :_LABEL].T]
    if len(residual) < 2 * _LEAF or not all(varies):
        # Too little for two leaves, or records that nothing tells apart.
        return np.full(len(own), np.quantile(residual, quantile))
    found: np.ndarray = (
        HistGradientBoostingRegressor(
            loss="quantile",
            quantile=quantile,
            learning_rate=0.15,
            max_iter=40,
            max_leaf_nodes=15,
            min_samples_leaf=_LEAF,
            categorical_features=[_LABEL] if features.shape[1] > _LABEL else None,
            early_stopping=False,
            random_state=0,
        )
        .fit(features, residual)
        .predict(own)
    )
    return found


@register(
    "quantile-regression",
    kind="attack",
    summary="how far a signal lies above the quantile predicted for a non-member like this record",
    paper="Bertran et al. 2023, arXiv 2307.03694",
    cost="a few seconds of gradient boosting",
)
@options
class QuantileRegression(MembershipAttack):
    """The quantile-regression attack; see ``quantile_regression`` for what the options mean."""

    fpr: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    folds: Annotated[int, Field(ge=2)] = 4

    def score(self, observed: Observed) -> Float[np.ndarray, "runs records"]:
        return quantile_regression(observed, fpr=self.fpr, folds=self.folds)
