"""The distance from each record to the nearest released image, as a signal for LiRA."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from limbeck.audit.images.embedders import Labelled, of_class
from limbeck.audit.images.measures import Measure
from limbeck.data.dataset import LabeledDataset


def nearest(
    records: LabeledDataset, releases: Sequence[Labelled], measures: Sequence[Measure]
) -> Float32[np.ndarray, "runs kinds records"]:
    """Minus the distance to the nearest image of the record's class in each run's release.

    Raw distances tell easy records from hard ones, and the two halves of a split that is not
    random, far better than members from others: only compared across shadow runs (LiRA on these
    signals), or with a reference (``calibrated``), do they speak of membership.

    Where a release has no image of the class, the nearest of any class counts.
    kinds: in the order of ``measures``.
    """
    found = np.empty((len(releases), len(measures), len(records)), dtype=np.float32)
    for kind, measure in enumerate(measures):
        prepared = measure.prepare(records.inputs)
        for run, release in enumerate(releases):
            images = measure.prepare(release.inputs.to(prepared.device))
            labels = release.labels.to(prepared.device)
            for label in records.labels.unique().tolist():
                own = records.labels == label
                distances = measure.between(prepared[own], images[of_class(labels, label)])
                found[run, kind, own.cpu().numpy()] = -distances.amin(1).cpu().numpy()
    return found


def calibrated(
    records: LabeledDataset,
    releases: Sequence[Labelled],
    population: LabeledDataset,
    measures: Sequence[Measure],
) -> Float32[np.ndarray, "runs kinds records"]:
    """How much nearer the release comes to each record than other records of its class do.

    The reference stands in for a reference model [Chen et al. 2020, arXiv 1909.03935]:
    a record that lies near everything is no evidence. For a finished set without shadow
    runs, where LiRA has nothing to compare with.

    population: records that are neither members nor among ``records``.
    """
    found = nearest(records, releases, measures)
    found -= nearest(records, [population], measures)
    return found
