"""A mechanism's shadow runs, chunk by chunk: what the store holds is read, the rest is run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch

from limbeck.audit import plan, shadow
from limbeck.audit.inference.sequential import Look
from limbeck.audit.store import Store, as_tensors
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.mechanism.base import Mechanism
from limbeck.privacy.gaussian import mu_of
from limbeck.recipe import recipe
from limbeck.workers import Run

DELTA = 1e-5
CONTROL_EPSILON = 4.0  # the leak planted as the positive control, at DELTA
_KEPT = (
    "signals",
    "images",
    "kept",
    "softmax",
    "control",
    "accuracy",
    "starts",
    "start_chance",
    "example_inputs",
    "example_labels",
)
_CHUNK = {"cpu": 2, "cuda": 32}  # runs a task: a GPU stacks many, a CPU loses less when killed


@dataclass(frozen=True)
class Audited:
    """One mechanism of a session: the subject itself, or its company.

    looks: where its runs may be judged and stopped at before all are made; empty: nowhere.
    claim: what cards state of its release (see ``audit.claimed``); None: nothing.
    """

    role: Literal["subject", "random-subset", "full-data"]
    title: str
    mechanism: Mechanism
    runs: int
    looks: tuple[Look, ...] = ()
    claim: dict[str, Any] | None = None

    @property
    def steps(self) -> tuple[int, ...]:
        """Shadow runs at each look; all of them where none was declared."""
        return tuple(look.runs for look in self.looks) or (self.runs,)


@dataclass(frozen=True, eq=False)
class Scheduler:
    """Runs what one audited mechanism's plan asks for.

    plan_hash: of everything that was fixed beforehand; part of every chunk's key.
    softmax: whether an attack reads the whole answers of the classifiers.
    """

    plan: plan.Plan
    plan_hash: str
    test: LabeledDataset
    device: str
    softmax: bool = False

    def keys(self, one: Audited) -> tuple[str, ...]:
        """The keys under which the store holds one mechanism's chunks, its reading's last."""
        parts = [self._chunk(one, rows) for rows in self._rows(one)]
        return tuple(c.key for c in (*parts, self._chunk(one, self._all_rows(one), "reading")))

    def signals(
        self,
        one: Audited,
        store: Store,
        run: Run,
        advance: Callable[[int], None],
    ) -> dict[str, np.ndarray]:
        """All signals of one mechanism, from the store where they are finished, else run now."""
        *_, found = self.at_looks(one, store, run, advance)
        return found

    def at_looks(
        self,
        one: Audited,
        store: Store,
        run: Run,
        advance: Callable[[int], None],
    ) -> Iterator[dict[str, np.ndarray]]:
        """All signals of one mechanism at each of its looks, those of the utility runs included.

        They come from the store where they are finished, else they are run when they are asked
        for: whoever asks no further leaves the remaining runs undone.
        """
        job = shadow.Job.of(
            one.mechanism,
            self.plan,
            self.test,
            key=self._chunk(one, self._all_rows(one), "job").key,
            control_shift=mu_of(CONTROL_EPSILON, DELTA),
            device=self.device,
            softmax=self.softmax,
        )
        chunks = [self._chunk(one, rows) for rows in self._rows(one)]
        done: set[str] = set()
        for runs in one.steps:
            # Rows beyond the shadow runs are those of utility, which every look needs.
            wanted = [c for c in chunks if c.rows[0] < runs or c.rows[0] >= self.plan.runs]
            missing = [chunk for chunk in wanted if not store.has(chunk.key)]
            for chunk in wanted:
                if chunk not in missing and chunk.key not in done:
                    advance(len(chunk.rows))
            if missing:
                reading = self._read(job, one, store, run)
                position = {row: at for at, row in enumerate(self._all_rows(one))}
                tasks = (_with_reading(chunk, reading, position) for chunk in missing)
                for finished in run(partial(shadow.run, job), tasks):
                    store.write(finished.key, _stored(finished))
                    advance(len(finished.rows))
            done.update(chunk.key for chunk in wanted)
            yield self._gathered(one, store, wanted)

    def _gathered(
        self, one: Audited, store: Store, chunks: Sequence[shadow.Chunk]
    ) -> dict[str, np.ndarray]:
        parts = [store.read(chunk.key) for chunk in chunks]
        spent = [part["cost"].numpy() for part in parts]
        key = self._chunk(one, self._all_rows(one), "reading").key
        if store.has(key):
            spent.append(store.read(key)["cost"].numpy())
        signals = {
            name: np.concatenate([part[name].numpy() for part in parts if name in part])
            for name in _KEPT
            if any(name in part for part in parts)
        }
        return {**signals, "cost": np.stack(spent)}

    def release_cost(self, one: Audited, store: Store) -> float:
        """CPU-seconds of one release and its classifier, without attacks, in a finished audit.

        The reading of the private data, if there is one, and a run among those without canaries.
        """
        parts = self._utility_parts(one, store)
        spent = sum(float(part["cost"][0]) for _, part in parts) / sum(rows for rows, _ in parts)
        key = self._chunk(one, self._all_rows(one), "reading").key
        return spent + (float(store.read(key)["cost"][0]) if store.has(key) else 0.0)

    def example(self, one: Audited, store: Store) -> SyntheticDataset | None:
        """The synthetic set of the first run without canaries; None if none was released."""
        _, part = self._utility_parts(one, store)[0]
        if "example_inputs" not in part:
            return None
        inputs, labels = part["example_inputs"], part["example_labels"]
        return SyntheticDataset(inputs, labels, self.plan.data.classes)

    def _utility_parts(
        self, one: Audited, store: Store
    ) -> list[tuple[int, dict[str, torch.Tensor]]]:
        """How many runs without canaries each of their chunks holds, and what it holds."""
        chosen = [rows for rows in self._rows(one) if rows[0] >= self.plan.runs]
        return [(len(rows), store.read(self._chunk(one, rows).key)) for rows in chosen]

    def _read(
        self, job: shadow.Job, one: Audited, store: Store, run: Run
    ) -> dict[str, np.ndarray] | None:
        """The one reading of the private data for all rows, kept in the store like a chunk."""
        chunk = self._chunk(one, self._all_rows(one), "reading")
        if not store.has(chunk.key):
            for finished in run(partial(shadow.read, job), [chunk]):
                store.write(finished.key, _stored(finished))
        stored = store.read(chunk.key)
        del stored["cost"]
        return {name: value.numpy() for name, value in stored.items()} or None

    def _rows(self, one: Audited) -> Iterator[tuple[int, ...]]:
        size = _CHUNK["cpu" if self.device == "cpu" else "cuda"]
        # No chunk reaches across a look: what is never looked at is never run.
        shadow_runs = [range(start, end) for start, end in pairwise((0, *one.steps))]
        for rows in (*shadow_runs, range(self.plan.runs, len(self.plan.membership))):
            for start in range(0, len(rows), size):
                yield tuple(rows[start : start + size])

    def _all_rows(self, one: Audited) -> tuple[int, ...]:
        return tuple(row for rows in self._rows(one) for row in rows)

    def _chunk(self, one: Audited, rows: tuple[int, ...], part: str = "runs") -> shadow.Chunk:
        determines = {
            "part": part,
            "plan": self.plan_hash,
            "mechanism": recipe(one.mechanism),
            "runs": one.runs,
            "rows": list(rows),
            "device": self.device,
        }
        return shadow.Chunk(plan.digest(determines), rows)


def _with_reading(
    chunk: shadow.Chunk, reading: Mapping[str, np.ndarray] | None, rows: Mapping[int, int]
) -> shadow.Chunk:
    if reading is None:
        return chunk
    at = [rows[row] for row in chunk.rows]
    return replace(chunk, reading={name: values[at] for name, values in reading.items()})


def _stored(finished: shadow.Finished) -> dict[str, torch.Tensor]:
    spent = torch.tensor([finished.cpu_seconds, finished.peak_memory_mib], dtype=torch.float64)
    return {**as_tensors(finished.values), "cost": spent}
