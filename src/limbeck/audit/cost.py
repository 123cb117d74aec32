"""What an audit will cost: a short trial of each part, multiplied."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from limbeck.audit.images.embedders import known_embedders
from limbeck.audit.images.signals import ImageSignals
from limbeck.audit.plan import Plan
from limbeck.audit.signals import observe
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.mechanism.base import Mechanism
from limbeck.mechanism.pipeline import Pipeline
from limbeck.synthesize.base import Synthesizer
from limbeck.synthesize.form import Form
from limbeck.train.base import Classifier
from limbeck.workers import cpu_seconds, one_thread

_SLICE = 1_000  # records on which the reading of private data is timed
_QUERIED = 200  # records on which a classifier's answers are timed
_LONG_ENOUGH, _REPEATS = 0.1, 5  # CPU-seconds and times that short work is repeated for


@dataclass(frozen=True)
class Estimated:
    """CPU-seconds of one audited mechanism: reading the data once, and each run."""

    reading: float
    run: float
    rows: int

    @property
    def cpu_seconds(self) -> float:
        """All of it."""
        return self.reading + self.run * self.rows


def estimate(
    mechanism: Mechanism, plan: Plan, test: LabeledDataset, rows: int, device: str
) -> Estimated:
    """Time a few steps of ``mechanism`` on one thread and multiply; a few seconds of work.

    What is cut into steps has run once before it is timed: the first time also pays for starting
    up. The figure holds for this machine while it is otherwise idle. Mechanisms that cannot be
    cut into steps are run once in full.
    """
    with one_thread():
        if not isinstance(mechanism, Pipeline):
            return Estimated(0.0, _timed(lambda: mechanism.run(plan.data, seed=0)), rows)
        return _pipeline(mechanism, plan, test, rows, device)


@dataclass(frozen=True, eq=False)
class Trial:
    """A few steps of a pipeline, timed: CPU-seconds of one reading and of one run, multiplied.

    synthetic, classifier: what those few steps made; None where the pipeline makes none.
    """

    reading: float
    run: float
    synthetic: SyntheticDataset | None
    classifier: Classifier | None


def trial(pipeline: Pipeline, data: LabeledDataset, device: str) -> Trial:
    """Time a few steps of each part on ``data`` in this thread.

    Steps count from their second time on; reading private data, which a run does once, from its
    first.
    """
    reading, run = 0.0, 0.0
    synthetic, classifier = None, None
    if pipeline.synthesizer is not None:
        short, _ = pipeline.synthesizer.abridged()
        some = _slice(data, short.needs_per_class)
        membership = torch.ones(1, len(some), dtype=torch.bool)
        started = cpu_seconds()
        read = short.read(some, membership, [0], device=device)
        if read is None:
            synthetic = short.synthesize(some, seed=0, device=device)
            run += _whole(
                pipeline.synthesizer, lambda one: one.synthesize(data, seed=0, device=device)
            )
        else:
            reading = (cpu_seconds() - started) * len(data) / len(some)
            made = read
            synthetic = short.craft(made, Form.of(data), [0], device=device)[0]
            run += _whole(
                pipeline.synthesizer,
                lambda one: one.craft(made, Form.of(data), [0], device=device),
            )
    if pipeline.trainer is not None:
        trainer, factor = pipeline.trainer.abridged()
        training = data if synthetic is None else synthetic
        classifier = trainer.fit(training, seed=0, device=device)
        run += factor * _timed(lambda: trainer.fit(training, seed=0, device=device))
    return Trial(reading, run, synthetic, classifier)


def _pipeline(
    pipeline: Pipeline, plan: Plan, test: LabeledDataset, rows: int, device: str
) -> Estimated:
    data = plan.data
    tried = trial(pipeline, data, device)
    reading, run = tried.reading, tried.run
    synthetic, classifier = tried.synthetic, tried.classifier
    if pipeline.synthesizer is not None and synthetic is not None and len(plan.control) > 1:
        asked = data.select(plan.observed[:_QUERIED].tolist())
        known = known_embedders(pipeline.synthesizer, data, device=device)
        started = cpu_seconds()
        reader = ImageSignals(asked, plan.control, known=known, networks=plan.preset.networks)
        preparing = cpu_seconds() - started
        reading += preparing * len(plan.observed) / len(asked)
        made = synthetic
        run += _timed(lambda: reader.read(made))
    if classifier is not None:
        few = test.select(range(min(_QUERIED, len(test))))
        asked_of = classifier
        asking = _timed(lambda: observe(asked_of, few.inputs, few.labels, plan.views))
        run += asking * len(plan.groups) / len(few)
    return Estimated(reading, run, rows)


def _slice(data: LabeledDataset, least: int) -> LabeledDataset:
    """The first records of each class: about ``_SLICE`` in all, and at least ``least`` of each."""
    share = max(least, _SLICE // len(data.classes))
    own = [(data.labels == label).nonzero()[:share, 0] for label in range(len(data.classes))]
    return data.select(torch.cat(own))


def _whole(synthesizer: Synthesizer, make: Callable[[Synthesizer], object]) -> float:
    """CPU-seconds of a whole run, along the line through a short one and one four times as long.

    What a run pays once, however long it is, is not multiplied with its steps. Noise is set for
    a number of steps and then remembered, so that each length runs once before it is timed.
    """
    (short, factor), (longer, less) = synthesizer.abridged(), synthesizer.abridged(4)
    if less >= factor:
        return factor * _timed(lambda: make(short))
    make(short)
    first = _timed(lambda: make(short))
    make(longer)
    second = _timed(lambda: make(longer))
    step = max(0.0, second - first) / (1 / less - 1 / factor)
    return max(second, min(factor * first, first + (1 - 1 / factor) * step))


def _timed(work: Callable[[], object]) -> float:
    """CPU-seconds of some work; what is over in a moment is repeated, and the mean taken."""
    started, spent, times = cpu_seconds(), 0.0, 0
    while times == 0 or (spent < _LONG_ENOUGH and times < _REPEATS):
        work()
        times += 1
        spent = cpu_seconds() - started
    return spent / times
