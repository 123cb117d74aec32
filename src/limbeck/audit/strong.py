"""The strong adversary: who knows every record but one, and can repeat the mechanism at will.

He runs the whole mechanism many times with and without the target and learns what tells the two
apart. It is what differential privacy bounds, so that a bound from below may rest on it; every
trial is a run of its own, so that trials are independent. The price is a run per trial, so it is
for few targets; a mechanism that reads sums pays for one reading of the data in all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from limbeck import coins
from limbeck.audit.arrays import Arrays
from limbeck.audit.images.embedders import Embedders, known_embedders, random_embedders
from limbeck.audit.images.measures import standard
from limbeck.audit.images.nearest import Nearest
from limbeck.audit.images.tracing import Tracing
from limbeck.audit.inference.trials import Strong, judge_trials, sides
from limbeck.audit.plan import array_digest, digest
from limbeck.audit.provenance import versions
from limbeck.audit.signals import margins
from limbeck.audit.store import Store
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.mechanism.base import Mechanism, Release
from limbeck.recipe import recipe
from limbeck.workers import pool

FEWEST_TRIALS = 16
_EMBEDDINGS = 8
"""Embeddings of the release that the target is traced in, at most."""

_POPULATION = 2_000
"""Known records that say how embeddings spread, at most."""

_CHUNK = 8  # trials of one task: what a kill can lose


def strong(
    mechanism: Mechanism,
    private: LabeledDataset,
    targets: Sequence[int],
    *,
    trials: int = 64,
    known: Bool[np.ndarray, " records"] | None = None,
    delta: float = 1e-5,
    level: float = 0.95,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    store: Store | None = None,
    progress: Callable[[float], None] | None = None,
) -> Strong:
    """Attack each target with ``trials`` runs of the mechanism, half of them with the target.

    Of released images the adversary reads how near they come to the target under each measure of
    ``audit.images.measures.standard``, and the tracing statistic in each of the mechanism's own
    embeddings that the target enters (its public coins; else in public random ones), with the
    other records as reference; of a released classifier, the margin and the hinge of the target.
    ``judge_trials`` says what is made of them. Seeds are the mechanism's secret and never shared.

    trials: per target, a multiple of 4 and at least 16. known: bool (records,), the records that
        are in every run beside the target; None: all.
    store: keeps what is finished, so that an attack that was killed goes on where it stopped.
    OptionError for targets that are no records, or too few trials.
    """
    rest = np.ones(len(private), dtype=bool) if known is None else known
    _check(private, targets, trials, rest)
    mechanism = mechanism.resolve(private)
    inside, _ = sides(trials)
    rows = np.repeat(rest[None], len(targets) * trials, axis=0)
    for at, target in enumerate(targets):
        rows[at * trials : (at + 1) * trials, target] = inside
    seeds = [
        coins.derive(seed, "strong", int(target), trial)
        for target in targets
        for trial in range(trials)
    ]
    job = _Job(mechanism, Arrays.of(private), rest, device)
    determines = {
        "part": "strong",
        "mechanism": recipe(mechanism),
        "private": private.fingerprint(),
        "known": array_digest(rest),
        "device": device,
        "versions": versions(),
    }
    tasks = []
    for at, target in enumerate(targets):
        for start in range(at * trials, (at + 1) * trials, _CHUNK):
            part = slice(start, min(start + _CHUNK, (at + 1) * trials))
            own = {"target": int(target), "first": start - at * trials, "seeds": seeds[part]}
            key = digest({**determines, **own})
            tasks.append(_Task(key, int(target), part, rows[part], tuple(seeds[part])))
    found = {}
    if store is not None:
        found = {task.key: store.read(task.key) for task in tasks if store.has(task.key)}
    missing = [task for task in tasks if task.key not in found]
    if missing:
        reading = mechanism.read(private, torch.from_numpy(rows), seeds, device=device)
        with pool(workers) as run:
            for key, kept in run(partial(_signals, job), (_with(t, reading) for t in missing)):
                found[key] = kept
                if store is not None:
                    store.write(key, kept)
                if progress is not None:
                    progress(len(found) / len(tasks))
    names = bytes(found[tasks[0].key]["names"].tolist()).decode().split()
    values = np.concatenate([found[task.key]["signals"].numpy() for task in tasks])
    signals = values.reshape(len(targets), trials, -1)
    return judge_trials(signals, names, targets, delta=delta, level=level)


@dataclass(frozen=True, eq=False)
class _Job:
    """What all trials share."""

    mechanism: Mechanism
    private: Arrays
    known: np.ndarray
    device: str


@dataclass(frozen=True, eq=False)
class _Task:
    """A few trials of one target: their rows, and their part of the shared reading."""

    key: str
    target: int
    at: slice
    membership: np.ndarray
    seeds: tuple[int, ...]
    reading: dict[str, np.ndarray] | None = None


def _with(task: _Task, reading: Mapping[str, Tensor] | None) -> _Task:
    if reading is None:
        return task
    return replace(
        task, reading={name: values[task.at].numpy() for name, values in reading.items()}
    )


def _signals(job: _Job, task: _Task) -> tuple[str, dict[str, Tensor]]:
    """The task's key, the names and the values (trials, signals) of what the adversary reads."""
    private = job.private.dataset()
    shared = None
    if task.reading is not None:
        shared = {name: torch.tensor(values) for name, values in task.reading.items()}
    releases = job.mechanism.run_many(
        private,
        torch.from_numpy(task.membership),
        list(task.seeds),
        device=job.device,
        reading=shared,
    )
    reader = _Reader(job, private, task.target)
    seen = [reader.read(release) for release in releases]
    return task.key, {
        "names": torch.tensor(list(" ".join(seen[0]).encode()), dtype=torch.uint8),
        "signals": torch.tensor([list(values.values()) for values in seen], dtype=torch.float64),
    }


class _Reader:
    """Reads releases about one target; what depends on the target alone is done once."""

    def __init__(self, job: _Job, private: LabeledDataset, target: int) -> None:
        self._target = private.select([target]).to(job.device)
        self._job = job
        self._private = private
        self._images: tuple[list[str], Nearest, list[Tracing]] | None = None

    def read(self, release: Release) -> dict[str, float]:
        """Values by name, higher where the target is likelier in."""
        found: dict[str, float] = {}
        if release.synthetic is not None:
            kinds, near, traced = self._of_images()
            found.update(zip(kinds, near.signal(release.synthetic)[:, 0].tolist(), strict=True))
            parts = [float(one.signal(release.synthetic)[0]) for one in traced]
            found.update({f"tracing-{k}": value for k, value in enumerate(parts)})
            found["tracing"] = float(np.mean(parts))
        if release.classifier is not None:
            logits = release.classifier.logits(self._target.inputs)
            margin, hinge = margins(logits, self._target.labels)[:, 0].tolist()
            found.update({"margin": margin, "hinge": hinge})
        return found

    def _of_images(self) -> tuple[list[str], Nearest, list[Tracing]]:
        if self._images is None:
            measures = standard(self._target.shape, device=self._job.device)
            usual = self._private.select(self._usual())
            traced = [
                Tracing(self._target, usual, Embedders((embed,))) for embed in self._embeddings()
            ]
            kinds = [f"nearest-{measure.name}" for measure in measures]
            self._images = kinds, Nearest(self._target, measures), traced
        return self._images

    def _usual(self) -> Int64[torch.Tensor, " m"]:
        """Known records beside the target, spread over all of them."""
        others = self._job.known.copy()
        others[(self._private.inputs == self._target.inputs.cpu()).flatten(1).all(1).numpy()] = (
            False
        )
        every = np.flatnonzero(others)
        return torch.from_numpy(every[:: max(1, len(every) // _POPULATION)])

    def _embeddings(self) -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
        synthesizer = getattr(self._job.mechanism, "synthesizer", None)
        chosen = None
        if synthesizer is not None:
            chosen = known_embedders(synthesizer, self._private, device=self._job.device)
        if chosen is None:
            chosen = random_embedders(self._target.shape, _EMBEDDINGS, device=self._job.device)
        entered = np.ones(len(chosen.embed), dtype=bool)
        if chosen.entered is not None:
            entered = chosen.entered(self._target.inputs.cpu())[0].cpu().numpy()
        for k in np.flatnonzero(entered)[:_EMBEDDINGS]:
            yield chosen.embed[k]


def _check(private: LabeledDataset, targets: Sequence[int], trials: int, known: np.ndarray) -> None:
    if known.shape != (len(private),):
        raise OptionError(
            f"known has shape {known.shape}, not ({len(private)},): one entry per private record"
        )
    if not len(targets) or min(targets) < 0 or max(targets) >= len(private):
        raise OptionError(
            f"targets {list(targets)!r:.60} of {len(private)} private records: give at least one "
            "index of a record"
        )
    if trials < FEWEST_TRIALS or trials % 4:
        raise OptionError(
            f"{trials} trials per target: half are with it, and half of each are judged; give a "
            f"multiple of 4, {FEWEST_TRIALS} or more"
        )
