"""Per-class thresholds: a score's rank among the non-members of its own class."""

import numpy as np
from jaxtyping import Float

from limbeck.audit.attacks.base import Observed
from limbeck.errors import OptionError


def class_ranks(
    scores: Float[np.ndarray, "runs records"], observed: Observed
) -> Float[np.ndarray, "runs records"]:
    """The share of its class's non-member scores in the other reference runs below each score.

    One threshold on the ranks is a threshold for each class on the scores, all with the same
    false-positive rate: the thresholds per class of Song and Mittal (2021, arXiv:2003.10595) as a
    single ROC curve. Ties count half; scores above (or below) all of their class's non-members
    are ties, so that no false-positive rate below classes / non-members can be told. A class
    without a non-member in any other reference run has rank 1/2: nothing is known of it.

    OptionError where ``observed`` has no labels.
    """
    labels = observed.labels
    if labels is None:
        raise OptionError(
            f"signals of shape {observed.signals.shape} come without labels, which thresholds per "
            "class need: give the class of each record"
        )
    known = observed.references
    ranks = np.empty(scores.shape)
    for label in np.unique(labels):
        own = labels == label
        values = scores[:, own]
        reference = ~observed.membership[:, own] & known[:, None]
        below = _below(values[reference], values)
        count = np.full(len(values), np.count_nonzero(reference))
        # Leaving a run out is subtracting what it counts in itself.
        for run in np.flatnonzero(known):
            mine = values[run, reference[run]]
            below[run] -= _below(mine, values[run])
            count[run] -= len(mine)
        below /= np.maximum(count, 1)[:, None]
        below[count == 0] = 0.5
        ranks[:, own] = below
    return ranks


def _below(reference: Float[np.ndarray, " n"], values: np.ndarray) -> np.ndarray:
    """How many of the references are below each value, ties counting half."""
    ordered = np.sort(reference)
    return (np.searchsorted(ordered, values) + np.searchsorted(ordered, values, "right")) / 2
