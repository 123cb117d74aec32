"""The accuracy on private records as a figure that may be published, with its interval."""

import math

from limbeck.privacy.score import Logits, NoisyScore
from limbeck.types import Estimate, Guarantee

_DEVIATIONS = {0.95: 1.959963984540054}
_SURE = 3.0  # deviations that the number of records is assumed not to be off by


def private_accuracy(score: NoisyScore, logits: Logits) -> tuple[Estimate, Guarantee]:
    """Accuracy of ``logits`` on the records behind ``score``: one noisy answer, and its cost.

    The interval holds of the accuracy on the population that the units were sampled from: it allows
    for the noise and for the sampling, and for nothing that another training would change.
    """
    counts, guarantee = score.counts(logits)
    right, wrong = counts.values.tolist()
    return interval(right, wrong, counts.noise), guarantee


def interval(right: float, wrong: float, noise: float, level: float = 0.95) -> Estimate:
    """The rate p behind noisy counts of right and wrong ones, each with noise of this deviation.

    All p are in it for which (1 - p) right - p wrong, of mean 0, is not too far from 0: its
    variance is n p (1 - p) of sampling [Wilson 1927] and ((1 - p)^2 + p^2) noise^2. The number n
    is not known but for noise: the largest that it may be is taken. Where the counts do not add up
    to anything, the value is 0.5.
    """
    z = _DEVIATIONS[level]
    total = right + wrong
    most = max(0.0, total) + _SURE * math.sqrt(2) * noise
    # (right - p total)^2 <= z^2 (most p (1 - p) + noise^2 (1 - 2 p + 2 p^2)): a p^2 - 2 b p + c.
    sampling, added = z**2 * most, (z * noise) ** 2
    a = total**2 + sampling - 2 * added
    b = right * total + sampling / 2 - added
    c = right**2 - added
    low, high = 0.0, 1.0
    if a > 0:
        reach = math.sqrt(max(0.0, b**2 - a * c))
        low, high = ((b + side * reach) / a for side in (-1, 1))
    value = right / total if total > 0 else 0.5
    low, high = max(0.0, min(low, 1.0)), min(1.0, max(high, 0.0))
    return Estimate(min(max(value, low), high), low, high, max(0, round(total)), level)
