"""An audit from start to end: prepare the plan, run the shadow runs, judge what they leaked."""

import math
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from pydantic import ValidationError

from limbeck.audit import cost, plan, shadow
from limbeck.audit import views as query
from limbeck.audit.attacks.base import SIGNALS
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.evidence import Evidence, Released, Subject
from limbeck.audit.images.signals import kinds
from limbeck.audit.inference import judge
from limbeck.audit.inference.exposure import Exposure, exposures
from limbeck.audit.inference.shadows import TRUE_LABEL, Shadows
from limbeck.audit.inference.verdict import verdict
from limbeck.audit.presets import PRESETS, Name, Preset
from limbeck.audit.released import attack_release
from limbeck.audit.store import COST, EVIDENCE, PLAN, PREVIEW, RISKS, Store, as_tensors
from limbeck.data.canaries import Kind
from limbeck.data.dataset import LabeledDataset
from limbeck.data.preview import png
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError, StoreError
from limbeck.files import write_bytes
from limbeck.mechanism.base import Mechanism
from limbeck.mechanism.command import CommandMechanism
from limbeck.mechanism.pipeline import Pipeline
from limbeck.privacy.gaussian import mu_of
from limbeck.recipe import one_line, recipe
from limbeck.synthesize.select.random_subset import RandomSubset
from limbeck.train.base import Classifier
from limbeck.types import Estimate
from limbeck.workers import Run, one_thread, peak_memory, pool

DELTA = 1e-5
CONTROL_EPSILON = 4.0  # the leak planted as the positive control, at DELTA
_KEPT = ("signals", "images", "control", "accuracy", "example_inputs", "example_labels")
_CHUNK = {"cpu": 2, "cuda": 32}  # runs a task: a GPU stacks many, a CPU loses less when killed

Progress = Callable[[float, str], None]
"""Called with the finished share of the work in [0, 1] and what is being done."""


@dataclass(frozen=True)
class Audited:
    """One mechanism of a session: the subject itself, or its company."""

    role: Literal["subject", "random-subset", "full-data"]
    title: str
    mechanism: Mechanism
    runs: int


@dataclass(frozen=True, eq=False)
class Session:
    """An audit that is planned and hashed, and not yet run."""

    plan: plan.Plan
    audited: tuple[Audited, ...]
    test: LabeledDataset
    device: str
    described: Mapping[str, Any]
    released: SyntheticDataset | None = None

    def estimate(self) -> dict[str, cost.Estimated]:
        """CPU-seconds of each mechanism by title, from a trial of a few seconds each."""
        return {
            one.title: cost.estimate(
                one.mechanism,
                self.plan,
                self.test,
                one.runs + self.plan.preset.utility_runs,
                self.device,
            )
            for one in self.audited
        }

    def execute(
        self,
        store: str | Path,
        *,
        workers: int | None = None,
        memory: int | None = None,
        cluster: str | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> "Audit":
        """Run what the store does not hold yet, judge, and write the evidence.

        workers: processes, one per core if None. memory: bytes that they may need together.
        cluster: a Dask scheduler's address. overwrite: replace another plan's audit.
        """
        several = _affordable(workers or os.cpu_count() or 1, memory)
        # A cluster that cannot be reached is refused before anything is written.
        with pool(several, cluster=cluster) as run:
            kept = Store(store)
            kept.begin(self.described, overwrite=overwrite)
            return self._execute(kept, several, run, progress)

    def _execute(self, kept: Store, workers: int, run: Run, progress: Progress | None) -> "Audit":
        total = sum(one.runs + self.plan.preset.utility_runs for one in self.audited)
        done, subjects, costs = 0, [], {}
        for one in self.audited:
            started = perf_counter()

            def advance(runs: int, title: str = one.title) -> None:
                nonlocal done
                done += runs
                if progress is not None:
                    progress(done / total, title)

            if progress is not None:
                progress(done / total, one.title)
            signals = self._shadow(one, kept, run, advance)
            left = self._left(one, signals)
            exposed = []
            if one.role == "subject":
                exposed = exposures(left, (LiRA(),), judge.IMAGE_ATTACKS)
                kept.write_json(RISKS, [self._risks(exposure) for exposure in exposed])
            subjects.append(self._judge(one, left, signals["accuracy"], exposed))
            if one.role == "subject" and "example_inputs" in signals:
                self._picture(signals, kept)
            costs[one.title] = {
                "cpu_seconds": round(float(signals["cost"][:, 0].sum()), 1),
                "wall_seconds": round(perf_counter() - started, 1),
                "peak_memory_mib": round(float(signals["cost"][:, 1].max()), 1),
            }
        found = Evidence(
            plan_hash=self.described["hash"],
            plan=_summary(self.plan),
            dataset=_form(self.plan.data),
            subjects=tuple(subjects),
            verdict=verdict(tuple(subjects)),
            versions=versions(),
        )
        kept.write_json(EVIDENCE, found.model_dump(mode="json"))
        spent = {"machine": machine(self.device), "workers": workers, "subjects": costs}
        kept.write_json(COST, spent)
        return Audit(found, spent, kept.folder)

    def _shadow(
        self,
        one: Audited,
        store: Store,
        run: Run,
        advance: Callable[[int], None],
    ) -> dict[str, np.ndarray]:
        """All signals of one mechanism, from the store where they are finished, else run now."""
        job = shadow.Job.of(
            one.mechanism,
            self.plan,
            self.test,
            key=self._chunk(one, self._all_rows(one.runs), "job").key,
            control_shift=mu_of(CONTROL_EPSILON, DELTA),
            device=self.device,
        )
        chunks = [self._chunk(one, rows) for rows in self._rows(one.runs)]
        missing = [chunk for chunk in chunks if not store.has(chunk.key)]
        for chunk in chunks:
            if chunk not in missing:
                advance(len(chunk.rows))
        if missing:
            reading = self._read(job, one, store, run)
            position = {row: at for at, row in enumerate(self._all_rows(one.runs))}
            tasks = (_with_reading(chunk, reading, position) for chunk in missing)
            for finished in run(partial(shadow.run, job), tasks):
                store.write(finished.key, _stored(finished))
                advance(len(finished.rows))
        parts = [store.read(chunk.key) for chunk in chunks]
        spent = [part["cost"].numpy() for part in parts]
        key = self._chunk(one, self._all_rows(one.runs), "reading").key
        if store.has(key):
            spent.append(store.read(key)["cost"].numpy())
        signals = {
            name: np.concatenate([part[name].numpy() for part in parts if name in part])
            for name in _KEPT
            if any(name in part for part in parts)
        }
        return {**signals, "cost": np.stack(spent)}

    def _read(
        self, job: shadow.Job, one: Audited, store: Store, run: Run
    ) -> dict[str, np.ndarray] | None:
        """The one reading of the private data for all rows, kept in the store like a chunk."""
        chunk = self._chunk(one, self._all_rows(one.runs), "reading")
        if not store.has(chunk.key):
            for finished in run(partial(shadow.read, job), [chunk]):
                store.write(finished.key, _stored(finished))
        stored = store.read(chunk.key)
        del stored["cost"]
        return {name: value.numpy() for name, value in stored.items()} or None

    def _rows(self, runs: int) -> Iterator[tuple[int, ...]]:
        size = _CHUNK["cpu" if self.device == "cpu" else "cuda"]
        for rows in (range(runs), range(self.plan.runs, len(self.plan.membership))):
            for start in range(0, len(rows), size):
                yield tuple(rows[start : start + size])

    def _all_rows(self, runs: int) -> tuple[int, ...]:
        return tuple(row for rows in self._rows(runs) for row in rows)

    def _chunk(self, one: Audited, rows: tuple[int, ...], part: str = "runs") -> shadow.Chunk:
        determines = {
            "part": part,
            "plan": self.described["hash"],
            "mechanism": recipe(one.mechanism),
            "runs": one.runs,
            "rows": list(rows),
            "device": self.device,
        }
        return shadow.Chunk(plan.digest(determines), rows)

    def _picture(self, signals: Mapping[str, np.ndarray], store: Store) -> None:
        """Keep a picture of one run's synthetic set beside the evidence, for the report."""
        inputs = torch.from_numpy(signals["example_inputs"])
        if inputs.dim() == 4:
            labels = torch.from_numpy(signals["example_labels"])
            example = SyntheticDataset(inputs, labels, self.plan.data.classes)
            write_bytes(store.folder / PREVIEW, png(example))

    def _released_classifier(self) -> Classifier | None:
        """The subject's trainer on the very release that the audit is about."""
        subject = self.audited[0].mechanism
        if self.released is None or not isinstance(subject, Pipeline) or subject.trainer is None:
            return None
        with one_thread():
            return subject.trainer.fit(self.released, seed=self.plan.seed, device=self.device)

    def _left(self, one: Audited, signals: Mapping[str, np.ndarray]) -> Shadows:
        """What the shadow runs left, beside the coins that it is judged by."""
        made = self.plan
        groups = np.array(made.groups)
        coins = made.membership[: one.runs]
        members = np.zeros((one.runs, len(groups)), dtype=bool)
        members[:, : len(made.observed)] = coins[:, made.observed]
        strangers = made.units.max() + 1 + np.arange(len(made.control))
        units = [made.units, strangers]
        if made.mislabelled:
            members[:, groups == TRUE_LABEL] = coins[:, made.canary]
            units.append(made.units[: len(made.canary)])
        return Shadows(
            signals=signals["signals"],
            membership=members,
            groups=groups,
            halves=made.halves[: one.runs],
            control=signals["control"],
            units=np.concatenate(units),
            labels=made.queries.labels.numpy(),
            images=signals.get("images"),
            image_kinds=kinds(made.data.shape) if "images" in signals else (),
        )

    def _risks(self, exposure: Exposure) -> dict[str, Any]:
        """One group's risks by record, for the data's owner alone."""
        records = self.plan.canary if exposure.group == "canary" else self.plan.ordinary
        columns = {
            name: np.round(getattr(exposure.risk, name), 4).tolist()
            for name in ("value", "low", "high", "hits", "trials")
        }
        told = exposure.summary().model_dump(include={"attack", "signal", "group", "fpr"})
        return {**told, "level": exposure.risk.level, "record": records.tolist(), **columns}

    def _judge(
        self,
        one: Audited,
        shadows: Shadows,
        accuracy: np.ndarray,
        exposed: Sequence[Exposure],
    ) -> Subject:
        # The hinge of a record's own view is positive exactly where it is classified right.
        hinges = shadows.signals[:, 0, SIGNALS.index("hinge")]
        right = hinges[:, shadows.groups == "control"] > 0
        classifier = self._released_classifier() if one.role == "subject" else None
        released: tuple[Released, ...] = ()
        if classifier is not None:
            released = attack_release(classifier, self.plan, shadows)
        return judge.judge(
            shadows,
            title=one.title,
            role=one.role,
            recipe=recipe(one.mechanism),
            holds_real_records=one.mechanism.holds_real_records,
            guarantee=one.mechanism.guarantee,
            utility=Estimate.of_mean(accuracy.tolist()),
            utility_with_canaries=Estimate.of_mean(right.mean(1).tolist()),
            seed=self.plan.seed,
            risks=[exposure.summary() for exposure in exposed],
            target_utility=None if classifier is None else classifier.accuracy(self.test),
            released=released,
            delta=DELTA,
            control_epsilon=CONTROL_EPSILON,
        )


@dataclass(frozen=True, eq=False)
class Audit:
    """A finished audit: its evidence, what it cost, and the folder that holds both."""

    evidence: Evidence
    cost: Mapping[str, Any]
    folder: Path

    @classmethod
    def load(cls, folder: str | Path) -> "Audit":
        """Read a finished audit; StoreError when there is none, or it is damaged."""
        store = Store(folder)
        written = store.read_json(EVIDENCE)
        try:
            found = Evidence.model_validate(written)
        except ValidationError as error:
            raise StoreError(
                f"{store.folder / EVIDENCE} is damaged or of another version "
                f"({one_line(error):.100}); run the audit again"
            ) from None
        planned = store.read_json(PLAN)
        if not isinstance(planned, dict) or planned.get("hash") != found.plan_hash:
            raise StoreError(f"{store.folder} holds evidence of another plan; run the audit again")
        return cls(found, store.read_json(COST), store.folder)

    @property
    def subject(self) -> Subject:
        """The audited mechanism, without its company."""
        return self.evidence.subjects[0]

    def tpr_at(self, fpr: float, *, attack: str = "lira") -> Estimate:
        """TPR on canaries at one of the plan's nominal FPRs (0.1, 0.01, 0.001).

        OptionError for another FPR.
        """
        points = self.subject.attack(attack).operating
        for point in points:
            if math.isclose(point.nominal_fpr, fpr):
                return point.tpr.plain()
        known = ", ".join(f"{point.nominal_fpr:g}" for point in points)
        raise OptionError(f"no TPR was measured at FPR {fpr:g}; there is: {known}")

    def epsilon_lower_bound(self) -> Estimate:
        """The measured lower bound on epsilon, at 95% confidence and delta 1e-5."""
        return self.subject.epsilon_lower.plain()


def prepare(
    mechanism: Mechanism,
    private: LabeledDataset,
    test: LabeledDataset,
    *,
    preset: Name | Preset = "standard",
    canary: Kind = "mislabelled",
    company: bool = True,
    seed: int = 0,
    device: str = "cpu",
    released: SyntheticDataset | None = None,
) -> Session:
    """Fix and hash the plan of an audit; nothing runs yet.

    company: also audit a random subset of the same size and the full data.
    released: the release that the audit is about; where it is not worth what the shadow runs'
        releases are worth, its recipe is not what made it, and a flag says so.
    Raises DatasetError or OptionError where the data or the mechanism cannot be audited.
    """
    private.require_every_class()
    sizes = PRESETS[preset] if isinstance(preset, str) else preset
    views = query.choose(sizes.views, private.shape, mirror=private.mirror)
    made = plan.make(private, test, views, preset=sizes, canary_kind=canary, seed=seed)
    subject = mechanism.resolve(made.data)
    if isinstance(subject, Pipeline) and subject.trainer is None:
        raise OptionError("the audit attacks a classifier: give the pipeline a trainer")
    audited = [Audited("subject", subject.title, subject, sizes.runs)]
    if company and isinstance(subject, (Pipeline, CommandMechanism)):
        audited += _company(subject, made.data, sizes)
    for one in audited:
        _require_trials(one, made)
    described = {
        **made.described(),
        "test": {"fingerprint": test.fingerprint(), "records": len(test)},
        "versions": versions(),
        "release": None if released is None else plan.fingerprint(released),
        "audited": [
            {"role": one.role, "runs": one.runs, "recipe": recipe(one.mechanism)} for one in audited
        ],
        "attacks": [recipe(attack) for attack in judge.ATTACKS],
        "image_attacks": [recipe(attack) for attack in judge.IMAGE_ATTACKS],
        "delta": DELTA,
        "device": device,
    }
    return Session(
        made, tuple(audited), test, device, {**described, "hash": plan.digest(described)}, released
    )


def audit(
    mechanism: Mechanism,
    private: LabeledDataset,
    test: LabeledDataset,
    *,
    store: str | Path,
    preset: Name | Preset = "standard",
    canary: Kind = "mislabelled",
    company: bool = True,
    seed: int = 0,
    device: str = "cpu",
    workers: int | None = None,
    memory: int | None = None,
    cluster: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Audit:
    """Attack ``mechanism`` as ``prepare`` plans it; a killed audit resumes in ``store``."""
    session = prepare(
        mechanism,
        private,
        test,
        preset=preset,
        canary=canary,
        company=company,
        seed=seed,
        device=device,
    )
    return session.execute(
        store,
        workers=workers,
        memory=memory,
        cluster=cluster,
        overwrite=overwrite,
        progress=progress,
    )


def _company(
    subject: Pipeline | CommandMechanism, private: LabeledDataset, sizes: Preset
) -> list[Audited]:
    """What every mechanism is compared with: a random subset of its size, and the full data."""
    assert subject.trainer is not None
    runs = min(sizes.company_runs, sizes.runs)
    found = []
    condenses = isinstance(subject, CommandMechanism) or subject.synthesizer is not None
    is_subset = isinstance(subject, Pipeline) and isinstance(subject.synthesizer, RandomSubset)
    if subject.ipc is not None and not is_subset:
        subset = Pipeline(RandomSubset(subject.ipc), subject.trainer)
        found.append(Audited("random-subset", subset.title, subset, runs))
    if condenses:
        full = Pipeline(None, subject.trainer.for_many_records()).resolve(private)
        found.append(Audited("full-data", full.title, full, runs))
    return found


def _require_trials(one: Audited, made: plan.Plan) -> None:
    """Refuse now what the plan's coins would make fail after hours."""
    coins = made.membership[: one.runs, made.canary]
    if min(int(coins.any(1).sum()), int((~coins).any(1).sum())) < 2:
        raise OptionError(
            f"{one.runs} runs of {len(made.canary)} canaries have members and non-members in fewer "
            "than two runs; plan more runs or canaries"
        )
    needed = getattr(getattr(one.mechanism, "synthesizer", None), "needs_per_class", 0)
    classes = np.eye(len(made.data.classes), dtype=np.float32)[made.data.labels.numpy()]
    held = made.membership[: one.runs].astype(np.float32) @ classes
    fewest = int(held.min())
    if fewest < needed:
        name = made.data.classes[int(held.min(0).argmin())]
        company = "" if one.role == "subject" else "; it is company that can be left out"
        raise OptionError(
            f"{one.title}: class {name!r} has {fewest} records in one of the random subsets, but "
            f"{needed} are needed; lower ipc or audit more records{company}"
        )


def _affordable(workers: int, memory: int | None) -> int:
    """How many workers fit into ``memory`` bytes beside this process; OptionError if none does."""
    if memory is None:
        return workers
    each = peak_memory()
    fits = memory // each - 1
    if fits < 1 and memory < each:
        raise OptionError(
            f"memory {memory / 2**30:.1f} GiB is less than the {each / 2**30:.1f} GiB that this "
            "process with its data already needs; allow more, or audit a slice of the data"
        )
    return int(max(1, min(workers, fits)))


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


def _summary(made: plan.Plan) -> dict[str, Any]:
    return {
        "preset": asdict(made.preset),
        "canary_kind": made.canary_kind,
        "roles": {
            "always": len(made.data) - len(made.observed),
            "canary": len(made.canary),
            "ordinary": len(made.ordinary),
            "control": len(made.control),
        },
        "views": [view.name for view in made.views],
        "seed": made.seed,
        "delta": DELTA,
    }


def _form(data: LabeledDataset) -> dict[str, Any]:
    return {
        "name": data.name,
        "records": len(data),
        "shape": list(data.shape),
        "classes": list(data.classes),
    }


def versions() -> dict[str, str]:
    """What the figures of an audit depend on beside its plan."""
    packages = ("limbeck", "torch", "numpy", "scipy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def machine(device: str) -> str:
    """The machine in words."""
    if device != "cpu":
        return f"{torch.cuda.get_device_name(device)}, {os.cpu_count()} CPU cores"
    return f"{os.cpu_count()} CPU cores ({platform.machine()})"
