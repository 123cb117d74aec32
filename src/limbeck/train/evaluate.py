"""What a synthetic set is worth: test accuracy of fresh networks trained on it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from statistics import fmean

import numpy as np
import torch

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DatasetError, OptionError
from limbeck.recipe import build
from limbeck.train.base import Trainer, TrainingSet
from limbeck.types import Estimate
from limbeck.workers import one_thread, pool


@dataclass(frozen=True)
class Training:
    """One classifier to train: how, on what, from which seed."""

    trainer: Trainer
    data: TrainingSet
    seed: int


@dataclass(frozen=True)
class _Shared:
    """A dataset as NumPy arrays, which worker processes share instead of copying."""

    inputs: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    mirror: bool

    @classmethod
    def of(cls, data: LabeledDataset) -> "_Shared":
        return cls(data.inputs.cpu().numpy(), data.labels.cpu().numpy(), data.classes, data.mirror)

    def dataset(self) -> LabeledDataset:
        inputs, labels = (torch.from_numpy(np.array(a)) for a in (self.inputs, self.labels))
        return LabeledDataset(inputs, labels, self.classes, mirror=self.mirror, name="shared")


def evaluate(
    synthetic: TrainingSet | Sequence[TrainingSet],
    test: LabeledDataset,
    *,
    network: str = "convnet3",
    recipe: str = "search",
    trainer: Trainer | None = None,
    networks: int = 3,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Estimate:
    """Mean test accuracy of ``networks`` fresh networks on each synthetic set.

    network, recipe: of the trainer ``Standard``; ``trainer`` replaces them altogether.
    workers: processes to train in, on a CPU; the result does not depend on it.
    progress: called with the finished share in [0, 1].

    Returns an Estimate in [0, 1] with Student's 95% interval over its ``trials``: the networks of
    one set, or, of several, the sets, each represented by its mean; NaN bounds for a single trial.
    Raises DatasetError where sets and test do not match, OptionError for a network that cannot
    serve them.
    """
    sets = list(synthetic) if isinstance(synthetic, Sequence) else [synthetic]
    if not sets or networks < 1:
        raise OptionError(f"nothing to evaluate: {len(sets)} sets, {networks} networks")
    for data in sets:
        require_match(data, test)
    chosen = trainer or standard(network, recipe)
    chosen.resolve(test.shape)
    planned = trainings(chosen, sets, networks, seed)
    found = accuracies(planned, test, device=device, workers=workers, progress=progress)
    return Estimate.of_mean(independent(found, len(sets)))


def independent(accuracies: Sequence[float], sets: int) -> list[float]:
    """The independent trials among trainings in the order of ``trainings``.

    Networks that share a set err alike: several sets count by their means.
    """
    if sets == 1:
        return list(accuracies)
    repeats = len(accuracies) // sets
    return [fmean(accuracies[i * repeats : (i + 1) * repeats]) for i in range(sets)]


def standard(network: str, recipe: str) -> Trainer:
    """The trainer ``Standard`` with this network and recipe; OptionError where there is none."""
    made: Trainer = build("standard", {"network": network, "recipe": recipe}, "trainer")
    return made


def trainings(
    trainer: Trainer, sets: Sequence[TrainingSet], repeats: int, seed: int
) -> list[Training]:
    """``repeats`` trainings on each set, from seeds that set and repeat determine."""
    return [
        Training(trainer, data, coins.derive(seed, "evaluate", i, k))
        for i, data in enumerate(sets)
        for k in range(repeats)
    ]


def require_match(data: TrainingSet, test: LabeledDataset) -> None:
    """DatasetError unless a network trained on ``data`` can be tested on ``test``."""
    if data.shape != test.shape or data.classes != test.classes:
        raise DatasetError(
            f"{data.name} ({len(data.classes)} classes, records {data.shape}) does not match "
            f"{test.name} ({len(test.classes)} classes, records {test.shape}); evaluate on "
            "the test part of the data it was made from"
        )


def accuracies(
    planned: Sequence[Training],
    test: LabeledDataset,
    *,
    device: str = "cpu",
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
) -> list[float]:
    """Test accuracy of each training, in their order, whatever the number of workers."""
    found: dict[int, float] = {}
    for i, accuracy in _run(planned, test, device, workers):
        found[i] = accuracy
        if progress:
            progress(len(found) / len(planned))
    return [found[i] for i in range(len(planned))]


def _run(
    planned: Sequence[Training], test: LabeledDataset, device: str, workers: int
) -> Iterator[tuple[int, float]]:
    if workers > 1 and device == "cpu":
        items = [(i, t.trainer, _shared(t.data), t.seed) for i, t in enumerate(planned)]
        with pool(workers) as run:
            yield from run(partial(_train_one, _Shared.of(test)), items)
        return
    # In one call where the trainer stays the same: it may train many networks together.
    for trainer, alike in groupby(enumerate(planned), key=lambda pair: pair[1].trainer):
        places, waiting = zip(*alike, strict=True)
        with one_thread():
            classifiers = trainer.fit_many(
                [t.data for t in waiting], [t.seed for t in waiting], device=device
            )
            for i, classifier in zip(places, classifiers, strict=True):
                yield i, classifier.accuracy(test)


def _shared(data: TrainingSet) -> "TrainingSet | _Shared":
    return _Shared.of(data) if isinstance(data, LabeledDataset) else data


def _train_one(
    test: _Shared, item: "tuple[int, Trainer, TrainingSet | _Shared, int]"
) -> tuple[int, float]:
    i, trainer, given, seed = item
    data = given.dataset() if isinstance(given, _Shared) else given
    return i, trainer.fit(data, seed=seed).accuracy(test.dataset())
