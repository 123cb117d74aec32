"""``limbeck audit`` of a mechanism that can be repeated: a release's recipe, options, a program."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from limbeck import recipe, registry
from limbeck.audit.inference.trials import Strong
from limbeck.audit.presets import PRESETS
from limbeck.audit.result import Audit
from limbeck.audit.run import prepare
from limbeck.audit.session import Session
from limbeck.audit.store import STRONG, Store
from limbeck.audit.strong import strong
from limbeck.cli import console
from limbeck.cli.audit_options import Effort, Limits, Machines, Place, Subject
from limbeck.cli.options import Common, DataOptions, assignments, method_options
from limbeck.cli.progress import Bar
from limbeck.cli.sets import synthesizer_of
from limbeck.cli.verdict import conclude
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import DatasetError, OptionError
from limbeck.mechanism.base import Mechanism
from limbeck.mechanism.command import CommandMechanism
from limbeck.mechanism.pipeline import Pipeline
from limbeck.synthesize.base import Synthesizer
from limbeck.train.base import Trainer
from limbeck.train.named import named_trainer
from limbeck.workers import keep_memory

STRONG_TRIALS = 64
"""Runs for each target of the strong adversary; half are judged, and half of those are without."""


def audit_mechanism(
    release: Path | None,
    private: str,
    test: str | None,
    attacks: Sequence[str],
    place: Place,
    effort: Effort,
    limits: Limits,
    subject: Subject,
    machines: Machines,
    data: DataOptions,
    common: Common,
) -> int:
    """Plan, run and judge; the exit code that the limits ask for."""
    if release is not None and (subject.ipc, subject.init, subject.options) != (None, None, None):
        raise OptionError(
            f"--ipc, --init and --set: the card of {release} holds the recipe already"
        )
    if subject.command is None and (subject.timeout, subject.layout) != (None, None):
        raise OptionError("--timeout and --layout are for --command")
    memory, limit = machines.bytes(), limits.tpr()
    keep_memory()
    device = common.torch_device()
    released = None if release is None else SyntheticDataset.load(release)
    mechanism = _mechanism(subject, released)
    # As the data were loaded for condensing: single records are no reason to refuse there.
    records, held_out = data.load(private, guaranteed=mechanism.guarantee is not None)
    if test is not None and test != private:
        held_out = data.read(test)
    for part in (records, held_out):
        part.require_some()
    if released is not None:
        _require_same_form(released, records)
    sizes = PRESETS[effort.preset.value]
    session = prepare(
        mechanism,
        records,
        held_out,
        preset=replace(
            sizes, runs=effort.runs or sizes.runs, canaries=effort.canaries or sizes.canaries
        ),
        canary=effort.canary.value,
        company=effort.company,
        stop_early=effort.stop_early,
        attacks=attacks,
        seed=common.seed,
        device=device,
        released=released,
    )
    short = session.plan.short_of(effort.canaries)
    if short is not None:
        console.note(short)
    cost = _cost(session, place, effort.strong)
    if cost:
        console.note(console.forecast(cost, machines.workers or os.cpu_count() or 1))
    with Bar("auditing") as bar:
        done = session.execute(
            place.output,
            workers=machines.workers,
            memory=memory,
            cluster=machines.cluster,
            overwrite=place.force,
            progress=lambda share, what: bar.update(share, f"auditing: {what}"),
        )
    if released is not None:
        released.save(place.output / "release")  # for the picture in the report
    strongest = None
    if effort.strong is not None:
        strongest = _strong(session, done, effort.strong, machines.workers)
    return conclude(done, limit, limits.max_epsilon, strong=strongest, as_json=common.as_json)


def _cost(session: Session, place: Place, strong: int | None) -> dict[str, float]:
    """CPU-seconds of what there is to do; nothing where the folder holds it all."""
    Store(place.output).holds_another(session.described["hash"], overwrite=place.force)
    finished = session.finished(place.output) is not None
    if finished and strong is None:
        return {}
    estimated = session.estimate()
    cost = {} if finished else {title: one.cpu_seconds for title, one in estimated.items()}
    if strong is not None:
        runs = STRONG_TRIALS * min(strong, len(session.plan.canary))
        cost["the strong adversary"] = runs * next(iter(estimated.values())).run
    return cost


def _strong(session: Session, done: Audit, targets: int, workers: int | None) -> Strong:
    """The strong adversary on the first canaries; what he found of them stays private."""
    made = session.plan
    known = np.ones(len(made.data), dtype=bool)
    known[made.canary] = False
    kept = Store(done.folder)
    with Bar("the strong adversary") as bar:
        found = strong(
            session.audited[0].mechanism,
            made.data,
            made.canary[:targets].tolist(),
            trials=STRONG_TRIALS,
            known=known,
            delta=done.subject.delta,
            seed=made.seed,
            device=session.device,
            workers=workers or os.cpu_count() or 1,
            store=kept,
            progress=lambda share: bar.update(share, "the strong adversary"),
        )
    kept.write_json(STRONG, found.to_json())
    return found


def _mechanism(subject: Subject, released: SyntheticDataset | None) -> Mechanism:
    if subject.method in registry.methods("mechanism"):
        return _other_mechanism(subject)
    if subject.command is None:
        synthesizer = _from_options(subject) if released is None else synthesizer_of(released)
        return Pipeline(synthesizer, _trainer(subject, many_records=synthesizer is None))
    if (subject.init, subject.options) != (None, None):
        raise OptionError("--init and --set are for --method; a command has options of its own")
    values = {
        "command": subject.command,
        "trainer": _trainer(subject, many_records=False),
        "layout": None if subject.layout is None else subject.layout.value,
        "timeout": subject.timeout,
        "ipc": subject.ipc,
    }
    given = {name: value for name, value in values.items() if value is not None}
    made: CommandMechanism = recipe.build("command", given, "mechanism")
    return made


def _other_mechanism(subject: Subject) -> Mechanism:
    """A registered mechanism by name; ``--trainer`` is its own trainer's network."""
    name = str(subject.method)
    shortcuts = {"ipc": subject.ipc, "init": subject.init}
    values = method_options(name, "mechanism", subject.options or [], shortcuts)
    trainer = _trainer(subject, many_records=True)
    made: Mechanism = recipe.build(name, {"trainer": trainer, **values}, "mechanism")
    return made


def _from_options(subject: Subject) -> Synthesizer | None:
    """The synthesizer that the options describe; None stands for the private data itself."""
    method, words = str(subject.method), subject.options or []
    if method == "none":
        if (subject.ipc, subject.init, words) != (None, None, []):
            raise OptionError("--method none condenses nothing: it takes no --ipc, --init or --set")
        return None
    values = method_options(
        method, "synthesizer", words, {"ipc": subject.ipc, "init": subject.init}
    )
    made: Synthesizer = recipe.build(method, values, "synthesizer")
    return made


def _trainer(subject: Subject, *, many_records: bool) -> Trainer:
    values = assignments(subject.trainer_options or [], "--trainer-set")
    return named_trainer(subject.trainer, values, many_records=many_records)


def _require_same_form(release: SyntheticDataset, private: LabeledDataset) -> None:
    for what, ours, theirs in (
        ("records of shape", private.shape, release.shape),
        ("the classes", private.classes, release.classes),
    ):
        if ours != theirs:
            raise DatasetError(
                f"--private: {private.name} has {what} {_short(ours)}, the release {release.name} "
                f"{_short(theirs)}; give the data and the data options that it was condensed with"
            )


def _short(values: Sequence[object]) -> str:
    return ", ".join(map(str, values[:6])) + (" ..." if len(values) > 6 else "")
