"""What a synthetic set is worth: test accuracy of fresh networks trained on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

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
class _Test:
    """A test set as NumPy arrays, which worker processes share instead of copying."""

    inputs: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    @classmethod
    def of(cls, data: LabeledDataset) -> "_Test":
        return cls(data.inputs.cpu().numpy(), data.labels.cpu().numpy(), data.classes)

    def dataset(self) -> LabeledDataset:
        inputs, labels = (torch.from_numpy(np.array(a)) for a in (self.inputs, self.labels))
        return LabeledDataset(inputs, labels, self.classes, name="test")


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

    Returns an Estimate in [0, 1] with Student's 95% interval over all trained networks, its
    ``trials``; NaN bounds for a single network. Raises DatasetError where sets and test do not
    match, OptionError for a network that cannot serve them.
    """
    sets = list(synthetic) if isinstance(synthetic, Sequence) else [synthetic]
    if not sets or networks < 1:
        raise OptionError(f"nothing to evaluate: {len(sets)} sets, {networks} networks")
    for data in sets:
        if data.shape != test.shape or data.classes != test.classes:
            raise DatasetError(
                f"{data.name} ({len(data.classes)} classes, records {data.shape}) does not match "
                f"{test.name} ({len(test.classes)} classes, records {test.shape}); evaluate on "
                "the test part of the data it was made from"
            )
    chosen = trainer or build("standard", {"network": network, "recipe": recipe}, "trainer")
    chosen.resolve(test.shape)
    trials = [(i, k) for i in range(len(sets)) for k in range(networks)]
    seeds = {trial: coins.derive(seed, "evaluate", *trial) for trial in trials}
    accuracies: dict[tuple[int, int], float] = {}

    def finished(trial: tuple[int, int], accuracy: float) -> None:
        accuracies[trial] = accuracy
        if progress:
            progress(len(accuracies) / len(trials))

    if workers == 1 or device != "cpu":
        with one_thread():
            classifiers = chosen.fit_many(
                [sets[i] for i, _ in trials], [seeds[t] for t in trials], device=device
            )
            for trial, classifier in zip(trials, classifiers, strict=True):
                finished(trial, classifier.accuracy(test))
    else:
        work = partial(_train_one, chosen, sets, seeds, _Test.of(test))
        with pool(workers) as run:
            for trial, accuracy in run(work, trials):
                finished(trial, accuracy)
    return Estimate.of_mean([accuracies[trial] for trial in trials])


def _train_one(
    trainer: Trainer,
    sets: Sequence[TrainingSet],
    seeds: dict[tuple[int, int], int],
    test: _Test,
    trial: tuple[int, int],
) -> tuple[tuple[int, int], float]:
    classifier = trainer.fit(sets[trial[0]], seed=seeds[trial])
    return trial, classifier.accuracy(test.dataset())
