"""What a synthetic set is worth beside the same number of real records, and beside all of them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any, Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.splits import sample_per_class
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import DatasetError, OptionError
from limbeck.train.base import Trainer, TrainingSet
from limbeck.train.evaluate import (
    Training,
    accuracies,
    independent,
    require_match,
    standard,
    trainings,
)
from limbeck.train.welch import welch
from limbeck.types import Estimate

LabelKind = Literal["hard", "soft"]


@dataclass(frozen=True)
class Utility:
    """Accuracy of one architecture trained on synthetic sets, and what it is compared with.

    network: the trainer's title, its network's name where it trains one.
    labels: what it was trained on, the sets' "hard" labels or their "soft" ones.
    accuracy: on the test set. The interval of each estimate is over trainings, not over tests.
    random_subset: the same training on random real records, as many of each class.
    improvement: accuracy minus that of the random subset, with Welch's interval.
    full_data: accuracy of the trainer's own recipe for many records on all private records.
    recovered: accuracy as a share of the full data's.
    pixel_fair: False where one slot of the set holds several images: the random subset then has
        one image a slot, as many pixels in fewer images.

    What was not measured is None; ``note`` says why.
    """

    network: str
    labels: LabelKind
    accuracy: Estimate
    random_subset: Estimate | None = None
    improvement: Estimate | None = None
    full_data: Estimate | None = None
    recovered: Estimate | None = None
    pixel_fair: bool = True
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        values = {name: getattr(self, name) for name in asdict(self)}
        return {k: v.to_json() if isinstance(v, Estimate) else v for k, v in values.items()}


def utility(
    synthetic: TrainingSet | Sequence[TrainingSet],
    test: LabeledDataset,
    *,
    private: LabeledDataset | None = None,
    networks: Sequence[str] = ("convnet3",),
    recipe: str = "search",
    trainers: Sequence[Trainer] = (),
    repeats: int = 3,
    full_repeats: int = 1,
    hard_labels: bool = False,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
) -> list[Utility]:
    """Accuracy across architectures of networks trained on the sets; a row each, hard labels first.

    private: the records that were condensed. With them, every architecture is also trained, by
        the same recipe, on as many random subsets as there are trainings on the sets, a fresh one
        each time, and ``full_repeats`` times on all records (longest first).
    networks, recipe: of the trainer ``Standard``; ``trainers`` replaces them altogether.
    repeats: trainings on each set. With one set intervals are over its trainings; with several
        they are over the sets, each represented by its mean.
    hard_labels: leave soft labels out. Otherwise sets that have them give two rows: they are
        trained on both kinds, which are never pooled.
    workers: processes to train in, on a CPU; the result does not depend on it.
    progress: called with the finished share in [0, 1] of all trainings.

    Raises DatasetError where sets, test and private records do not match, and OptionError where a
    class has fewer private than synthetic records or a network cannot serve the records.
    """
    sets = list(synthetic) if isinstance(synthetic, Sequence) else [synthetic]
    if not sets or repeats < 1 or full_repeats < 1:
        raise OptionError(
            f"nothing to evaluate: {len(sets)} sets, {repeats} repeats, {full_repeats} full_repeats"
        )
    for data in [*sets, *([] if private is None else [private])]:
        require_match(data, test)
    chosen = list(trainers) or [standard(network, recipe) for network in networks]
    for trainer in chosen:
        trainer.resolve(test.shape)
    versions = _versions(sets, hard_labels)
    subsets = [] if private is None else _subsets(sets, private, repeats, seed)

    groups: list[list[Training]] = []
    for trainer in chosen:
        everything = private is not None and _serves(trainer, private)
        many = [private] if private is not None and everything else []
        groups.append(trainings(trainer.for_many_records(), many, full_repeats, seed))
        groups += [trainings(trainer, version, repeats, seed) for version in versions.values()]
        groups.append(
            [
                Training(trainer, data, coins.derive(seed, "evaluate", "random", i))
                for i, data in enumerate(subsets)
            ]
        )
    planned = [training for group in groups for training in group]
    found = iter(accuracies(planned, test, device=device, workers=workers, progress=progress))
    measured = iter([[next(found) for _ in group] for group in groups])

    rows = []
    for trainer in chosen:
        full = next(measured)
        own = {kind: independent(next(measured), len(sets)) for kind in versions}
        random = next(measured)
        for kind, values in own.items():
            row = _row(trainer.title, kind, values, random, full)
            rows.append(_remarks(row, sets, trainer, private))
    return rows


def _versions(
    sets: Sequence[TrainingSet], hard_labels: bool
) -> dict[LabelKind, Sequence[TrainingSet]]:
    """The sets by the kind of labels to train on."""
    soft = [isinstance(s, SyntheticDataset) and s.soft_labels is not None for s in sets]
    if hard_labels or not any(soft):
        return {"hard": [_hard(data) for data in sets]}
    if not all(soft):
        missing = sets[soft.index(False)]
        raise DatasetError(
            f"{missing.name} has hard labels alone, other sets have soft ones too, and the two are "
            "not to be mixed; evaluate them apart, or all with hard labels"
        )
    return {"hard": [_hard(data) for data in sets], "soft": sets}


def _hard(data: TrainingSet) -> TrainingSet:
    return replace(data, soft_labels=None) if isinstance(data, SyntheticDataset) else data


def _formation(data: TrainingSet) -> int:
    """Images on a side of each slot; 1: every image is a slot of its own."""
    return int(data.card.get("formation") or 1) if isinstance(data, SyntheticDataset) else 1


def _quota(data: TrainingSet) -> Int64[Tensor, " classes"]:
    """Real records of each class that match the set: one an image, or one a slot of several."""
    counts = torch.bincount(data.labels.cpu(), minlength=len(data.classes))
    factor = _formation(data)
    slots = data.card.get("slots_per_class") if isinstance(data, SyntheticDataset) else None
    if factor > 1 and slots is not None:
        return counts.clamp(max=int(slots))
    return counts // factor**2


def _subsets(
    sets: Sequence[TrainingSet], private: LabeledDataset, repeats: int, seed: int
) -> list[LabeledDataset]:
    """A fresh random subset for each training on each set."""
    return [
        private.select(
            sample_per_class(
                private.labels.cpu(), _quota(data), coins.derive(seed, "random subset", i, k)
            )
        )
        for i, data in enumerate(sets)
        for k in range(repeats)
    ]


def _serves(trainer: Trainer, private: LabeledDataset) -> bool:
    return trainer.most_records is None or len(private) <= trainer.most_records


def _row(
    network: str,
    labels: LabelKind,
    own: Sequence[float],
    random: Sequence[float],
    full: Sequence[float],
) -> Utility:
    row = Utility(network, labels, Estimate.of_mean(own))
    mean = fmean(own)
    if random:
        row = replace(
            row,
            random_subset=Estimate.of_mean(random),
            improvement=welch(mean - fmean(random), [(own, 1.0), (random, -1.0)], -1.0, 1.0),
        )
    if full:
        whole = fmean(full)
        row = replace(row, full_data=Estimate.of_mean(full))
        if whole > 0:
            # The slopes of mean / whole in its two means.
            parts = [(own, 1 / whole), (full, -mean / whole**2)]
            row = replace(row, recovered=welch(mean / whole, parts, 0.0))
    return row


def _remarks(
    row: Utility, sets: Sequence[TrainingSet], trainer: Trainer, private: LabeledDataset | None
) -> Utility:
    """The row with what its reader must know."""
    notes = []
    several = max(_formation(data) for data in sets)
    if several > 1:
        notes.append(
            f"not pixel-fair: {several**2} low-resolution images are decoded from each slot, and "
            "the random subset has as many images as the set has slots"
        )
    if private is not None and not _serves(trainer, private):
        notes.append(
            f"full data not measured: {trainer.title} serves at most {trainer.most_records} "
            f"records, there are {len(private)}"
        )
    return replace(row, pixel_fair=several == 1, note="; ".join(notes))
