"""Records that a release holds as they are: what a coreset publishes outright."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float

from limbeck.audit import evidence
from limbeck.audit.inference.intervals import Clusters, rate
from limbeck.audit.inference.shadows import GROUPS, Shadows
from limbeck.data.hashing import content_key
from limbeck.data.synthetic import SyntheticDataset
from limbeck.types import Estimate


def kept(
    release: SyntheticDataset, inputs: Float[torch.Tensor, "records ..."]
) -> Bool[np.ndarray, " records"]:
    """Whether each of ``inputs`` is in ``release`` as it is, to 16 bits, under whatever label."""
    purpose = "kept records"
    found = torch.isin(content_key(inputs.cpu(), purpose), content_key(release.inputs, purpose))
    return found.numpy()


def share_kept(
    found: Bool[np.ndarray, "runs records"],
    membership: Bool[np.ndarray, "runs records"],
    clusters: Clusters | None = None,
) -> Estimate:
    """Of the records that were in a run, the share that its release holds, over all runs.

    Zhao and Zhang 2025 (arXiv 2502.12976) count it of mislabelled canaries: in their protocol a
    random coreset keeps about 40% of them, one chosen by forgetting events about 74%.
    clusters: records that share their coins; each by itself if None. NaN where none was in a run.
    """
    trials = int(np.count_nonzero(membership))
    if trials == 0:
        return Estimate(np.nan)
    value = np.count_nonzero(found & membership) / trials
    return rate(
        value,
        (found - value) * membership / trials,
        Clusters.separate(membership.shape[1]) if clusters is None else clusters,
        at_most=trials,
        trials=trials,
    )


def shares_kept(signals: Mapping[str, np.ndarray], shadows: Shadows) -> tuple[evidence.Kept, ...]:
    """The share of each group's members that the shadow runs' releases hold.

    signals: a mechanism's, with ``kept`` (runs, records of ``shadows``) where it releases records.
    """
    if "kept" not in signals:
        return ()
    found, made = signals["kept"], []
    for group in GROUPS:
        own = np.flatnonzero(shadows.groups == group)
        if len(own):
            units = shadows.units
            clusters = None if units is None else Clusters.of(units[own])
            share = share_kept(found[:, own], shadows.membership[:, own], clusters)
            made.append(evidence.Kept(group=group, share=evidence.Estimate.of(share)))
    return tuple(made)
