"""The distance from each record to the nearest released image, as a signal for LiRA."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from limbeck.audit.images.embedders import Labelled, of_class
from limbeck.audit.images.measures import Measure
from limbeck.data.dataset import LabeledDataset


class Nearest:
    """Minus the distance from each record to the nearest image of its class in a release.

    Raw distances tell easy records from hard ones, and the two halves of a split that is not
    random, far better than members from others: only compared across shadow runs (LiRA on these
    signals), or with a reference (``calibrated``), do they speak of membership.

    Where a release has no image of the class, the nearest of any class counts. What depends on
    the records alone is done once, however many releases are read.
    """

    def __init__(self, records: LabeledDataset, measures: Sequence[Measure]) -> None:
        self._measures = measures
        self._prepared = [measure.prepare(records.inputs) for measure in measures]
        self._of_class = {
            label: records.labels == label for label in records.labels.unique().tolist()
        }
        self._records = len(records)

    def signal(self, release: Labelled) -> Float32[np.ndarray, "measures records"]:
        """One row per measure."""
        found = np.empty((len(self._measures), self._records), dtype=np.float32)
        for kind, (measure, own) in enumerate(zip(self._measures, self._prepared, strict=True)):
            images = measure.prepare(release.inputs.to(own.device))
            labels = release.labels.to(own.device)
            for label, rows in self._of_class.items():
                distances = measure.between(own[rows], images[of_class(labels, label)])
                found[kind, rows.cpu().numpy()] = -distances.amin(1).cpu().numpy()
        return found


def nearest(
    records: LabeledDataset, releases: Sequence[Labelled], measures: Sequence[Measure]
) -> Float32[np.ndarray, "runs kinds records"]:
    """``Nearest`` of several releases; kinds in the order of ``measures``."""
    prepared = Nearest(records, measures)
    return np.stack([prepared.signal(release) for release in releases])


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
