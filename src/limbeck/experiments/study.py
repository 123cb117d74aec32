"""One paper's procedure at one scale, cut into tasks that are kept as they finish."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.audit.plan import digest
from limbeck.audit.provenance import versions
from limbeck.audit.store import Store, as_tensors
from limbeck.errors import OptionError
from limbeck.experiments.claims import Claim
from limbeck.workers import cpu_seconds, pool

SPENT = "cpu_seconds"
"""Name under which each row's processor time is kept beside its values."""

Values = Mapping[str, np.ndarray]
"""What rows of one group yielded, by name; the first axis is the rows."""

Found = Mapping[str, Values]
"""All rows of every group, in order."""


@dataclass(frozen=True)
class Task:
    """Some rows of one group of like work; finished and kept as a whole."""

    group: str
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """Figures to be printed beside the claims: a caption, columns, and rows of words."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Conclusion:
    """What a study shows."""

    claims: tuple[Claim, ...]
    tables: tuple[Table, ...]


class Study(ABC):
    """A paper's procedure. Subclasses are frozen dataclasses that worker processes can be sent.

    paper: its key in ``published.toml``. remarks: what differs from the paper, in sentences.
    device: where to compute.
    """

    paper: str
    remarks: tuple[str, ...]
    device: str

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """JSON values that determine every result, data and options included."""

    @abstractmethod
    def tasks(self) -> tuple[Task, ...]:
        """All there is to do; tasks of a group in ascending order of their rows."""

    @abstractmethod
    def perform(self, task: Task) -> dict[str, np.ndarray]:
        """Run a task in this process; every array's first axis is the task's rows."""

    @abstractmethod
    def seconds(self, group: str) -> float:
        """CPU-seconds of one row of a group, from a trial of a second or so."""

    @abstractmethod
    def conclude(self, found: Found) -> "Conclusion":
        """The paper's claims beside what was found, and the figures behind them."""


def forecast(study: Study, folder: str | Path, *, overwrite: bool = False) -> dict[str, float]:
    """CPU-seconds by group of the rows that ``folder`` does not hold, before anything runs.

    Raises StoreError where the folder holds another study's results, unless ``overwrite``.
    """
    described, keys = _keyed(study)
    store = Store(folder)
    store.holds_another(described["hash"], overwrite=overwrite)
    missing = _rows(task for task, key in keys.items() if not store.has(key))
    return {group: count * study.seconds(group) for group, count in missing.items()}


def execute(
    study: Study,
    folder: str | Path,
    *,
    workers: int = 1,
    overwrite: bool = False,
    weights: Mapping[str, float] | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Everything that the study yields by group; what ``folder`` holds already is not run again.

    weights: cost of each group's missing rows (``forecast``), to tell the share that is done.
    progress: called with the finished share in [0, 1] of what was missing, and the group at work.
    Raises StoreError where the folder holds another study's results, unless ``overwrite``.
    """
    described, keys = _keyed(study)
    store = Store(folder)
    store.begin(described, overwrite=overwrite)
    missing = [task for task, key in keys.items() if not store.has(key)]
    shares, done = _shares(missing, weights), 0.0
    if progress is not None and missing:
        progress(done, missing[0].group)
    with pool(workers) as run:
        for task, values in run(partial(_timed, study), missing):
            store.write(keys[task], as_tensors(values))
            done += shares[task]
            if progress is not None:
                progress(min(done, 1.0), task.group)
    return _gathered({task: store.read(key) for task, key in keys.items()})


def _keyed(study: Study) -> tuple[dict[str, Any], dict[Task, str]]:
    """What determines the results, with its hash, and the name that each task is kept under."""
    described = {**study.described(), "versions": versions()}
    plan_hash = digest(described)
    tasks = study.tasks()
    keys = {
        task: digest({"plan": plan_hash, "group": task.group, "rows": list(task.rows)})
        for task in tasks
    }
    if len(set(keys.values())) < len(tasks):
        raise OptionError(f"{study.paper}: {len(tasks)} tasks have fewer keys: name groups apart")
    return {**described, "hash": plan_hash}, keys


def _rows(tasks: Iterable[Task]) -> dict[str, int]:
    """How many rows of each group there are."""
    counted: dict[str, int] = {}
    for task in tasks:
        counted[task.group] = counted.get(task.group, 0) + len(task.rows)
    return counted


def _timed(study: Study, task: Task) -> tuple[Task, dict[str, np.ndarray]]:
    started = cpu_seconds()
    values = study.perform(task)
    each = (cpu_seconds() - started) / len(task.rows)
    return task, {**values, SPENT: np.full(len(task.rows), each)}


def _shares(tasks: Sequence[Task], weights: Mapping[str, float] | None) -> dict[Task, float]:
    """Each task's part of the whole; by numbers of rows where no weights are known."""
    rows = _rows(tasks)
    known = weights or rows
    total = sum(known[group] for group in rows) or 1.0
    return {t: known[t.group] * len(t.rows) / rows[t.group] / total for t in tasks}


def _gathered(stored: Mapping[Task, Mapping[str, Any]]) -> dict[str, dict[str, np.ndarray]]:
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for task, values in stored.items():
        group = found.setdefault(task.group, {})
        for name, value in values.items():
            group.setdefault(name, []).append(value.numpy())
    return {
        group: {name: np.concatenate(parts) for name, parts in values.items()}
        for group, values in found.items()
    }
