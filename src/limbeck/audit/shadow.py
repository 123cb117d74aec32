"""Shadow runs: the whole mechanism, run again and again on random subsets, and what each leaks.

A chunk is a few rows of the plan's membership matrix, one task of the worker pool. It runs the
mechanism on each row's subset, reads the signals off each release, and hands back those alone:
models, logits and synthetic sets do not outlive their run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from limbeck.audit.arrays import Arrays, shared_tensor
from limbeck.audit.images.embedders import known_embedders
from limbeck.audit.images.kept import kept
from limbeck.audit.images.signals import ImageSignals
from limbeck.audit.images.starts import Started, started
from limbeck.audit.inference.checks import control_signals
from limbeck.audit.plan import Plan
from limbeck.audit.signals import observe
from limbeck.audit.views import View
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.mechanism.base import Mechanism
from limbeck.workers import cpu_seconds, forget_peak_memory, peak_memory


@dataclass(frozen=True, eq=False)
class Job:
    """What all chunks of one audited mechanism share; jobs of one key are the same.

    observed: the records whose signals are read, in the order of Plan.groups.
    population: bool (observed,), those that are in no run.
    test: for the accuracy of utility runs.
    control_shift: of the positive control, whose signals cover the canaries.
    softmax: whether the whole answers to the observed records are kept.
    networks: that the attacker trains for himself on each release.
    """

    key: str
    mechanism: Mechanism
    private: Arrays
    observed: Arrays
    population: np.ndarray
    test: Arrays
    membership: np.ndarray
    seeds: tuple[int, ...]
    shadow_runs: int
    views: tuple[View, ...]
    canary: np.ndarray
    control_shift: float
    device: str
    softmax: bool = False
    networks: int = 2

    @classmethod
    def of(
        cls,
        mechanism: Mechanism,
        plan: Plan,
        test: LabeledDataset,
        *,
        key: str,
        control_shift: float,
        device: str,
        softmax: bool = False,
    ) -> "Job":
        """The job of auditing ``mechanism`` under ``plan``; ``key`` is a hash of both."""
        return cls(
            key=key,
            mechanism=mechanism,
            private=Arrays.of(plan.data),
            observed=Arrays.of(plan.queries),
            population=np.array(plan.groups) == "control",
            test=Arrays.of(test),
            membership=plan.membership,
            seeds=plan.seeds,
            shadow_runs=plan.runs,
            views=plan.views,
            canary=plan.canary,
            control_shift=control_shift,
            device=device,
            softmax=softmax,
            networks=plan.preset.networks,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, eq=False)
class Chunk:
    """Rows of the membership matrix to run, and their part of the shared reading, if any."""

    key: str
    rows: tuple[int, ...]
    reading: dict[str, np.ndarray] | None = None


@dataclass(frozen=True)
class Finished:
    """A chunk's results by name, first axis rows, and what they cost."""

    key: str
    rows: tuple[int, ...]
    values: dict[str, np.ndarray]
    cpu_seconds: float
    peak_memory_mib: float


def read(job: Job, chunk: Chunk) -> Finished:
    """The one reading of the private data that all runs share; empty if there is none."""
    forget_peak_memory()
    started = cpu_seconds()
    rows = list(chunk.rows)
    reading = job.mechanism.read(
        job.private.dataset(),
        torch.from_numpy(job.membership[rows]),
        [job.seeds[row] for row in rows],
        device=job.device,
    )
    values = {name: value.numpy() for name, value in (reading or {}).items()}
    return _finished(chunk, values, started)


def run(job: Job, chunk: Chunk) -> Finished:
    """Run the mechanism on every row of ``chunk`` and return the signals of each release.

    Shadow rows yield ``signals`` (rows, views, kinds, observed), ``control`` (rows, views,
    canaries), where the job asks for them ``softmax`` (rows, observed, classes), and, where images
    are released and some observed records are in no run, ``images`` (rows, image kinds, observed
    that are not in the population); where real records are, ``kept`` (rows, observed), those that
    the release holds; utility rows yield ``accuracy`` (rows,) on the test data, and the first of
    them its synthetic set, ``example_inputs`` and ``example_labels``, for the report's picture;
    and, where images begin as private records, ``starts`` (rows, measures, images) and
    ``start_chance`` (rows,), see ``images.starts``.
    """
    forget_peak_memory()
    started = cpu_seconds()
    rows = list(chunk.rows)
    membership = job.membership[rows]
    reading = None
    if chunk.reading is not None:
        reading = {name: shared_tensor(values) for name, values in chunk.reading.items()}
    releases = job.mechanism.run_many(
        job.private.dataset(),
        torch.from_numpy(membership),
        [job.seeds[row] for row in rows],
        device=job.device,
        reading=reading,
    )
    observed, test = job.observed.dataset(), job.test.dataset()
    signals, images, held, accuracy, answers = [], [], [], [], []
    starts: list[Started] = []
    values: dict[str, np.ndarray] = {}
    for row, release in zip(rows, releases, strict=True):
        if release.classifier is None:
            raise OptionError("a mechanism without a classifier has no signals: give it a trainer")
        if row < job.shadow_runs:
            signals.append(observe(release.classifier, observed.inputs, observed.labels, job.views))
            if job.softmax:
                answers.append(release.classifier.logits(observed.inputs).softmax(1).cpu().numpy())
            if release.synthetic is not None and np.count_nonzero(job.population) > 1:
                images.append(_image_signals(job).read(release.synthetic))
            if release.synthetic is not None and job.mechanism.holds_real_records:
                held.append(kept(release.synthetic, observed.inputs))
        else:
            accuracy.append(release.classifier.accuracy(test))
            began = _started(job, row, release.synthetic)
            starts += [] if began is None else [began]
        if row == job.shadow_runs and release.synthetic is not None:
            values["example_inputs"] = release.synthetic.inputs.numpy()
            values["example_labels"] = release.synthetic.labels.numpy()
    if signals:
        values["signals"] = np.stack(signals)
        values["control"] = np.concatenate(list(_control(job, rows)))
    if starts:
        values["starts"] = np.stack([one.ranks for one in starts])
        values["start_chance"] = np.array([one.chance for one in starts])
    if answers:
        values["softmax"] = np.stack(answers).astype(np.float32)
    if images:
        values["images"] = np.stack(images)
    if held:
        values["kept"] = np.stack(held)
    if accuracy:
        values["accuracy"] = np.array(accuracy)
    return _finished(chunk, values, started)


def _started(job: Job, row: int, synthetic: SyntheticDataset | None) -> Started | None:
    if synthetic is None:
        return None
    member = torch.from_numpy(job.membership[row])
    return started(job.mechanism, job.private.dataset(), member, job.seeds[row], synthetic)


@lru_cache(maxsize=1)
def _image_signals(job: Job) -> ImageSignals:
    """What reads released images, kept by a worker from one chunk of a job to the next."""
    observed, outside = job.observed.dataset(), torch.from_numpy(job.population)
    records, population = (
        replace(part, inputs=part.inputs.to(job.device), labels=part.labels.to(job.device))
        for part in (observed.select(~outside), observed.select(outside))
    )
    synthesizer = getattr(job.mechanism, "synthesizer", None)
    known = None
    if synthesizer is not None:
        known = known_embedders(synthesizer, job.private.dataset(), device=job.device)
    return ImageSignals(records, population, known=known, networks=job.networks)


def _control(job: Job, rows: list[int]) -> Iterator[np.ndarray]:
    # Each row draws from its own seed: how rows are put into chunks changes nothing.
    for row in rows:
        members = job.membership[[row]][:, job.canary]
        yield control_signals(members, job.control_shift, len(job.views), seed=job.seeds[row])


def _finished(chunk: Chunk, values: dict[str, np.ndarray], started: float) -> Finished:
    spent = cpu_seconds() - started
    return Finished(chunk.key, chunk.rows, values, spent, peak_memory() / 2**20)
