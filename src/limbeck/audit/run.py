"""An audit from start to end: prepare the plan, run the shadow runs, judge what they leaked."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from limbeck.audit import plan
from limbeck.audit import views as query
from limbeck.audit.attacks.choice import chosen
from limbeck.audit.chunks import DELTA, Audited
from limbeck.audit.claimed import claimed
from limbeck.audit.inference import judge
from limbeck.audit.inference.sequential import declared_looks
from limbeck.audit.presets import PRESETS, Name, Preset
from limbeck.audit.provenance import versions
from limbeck.audit.result import Audit
from limbeck.audit.session import Progress, Session
from limbeck.data.canaries import Kind
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.mechanism.base import Mechanism
from limbeck.mechanism.command import CommandMechanism
from limbeck.mechanism.data_free import DataFreeDistillation
from limbeck.mechanism.pipeline import Pipeline
from limbeck.recipe import recipe
from limbeck.synthesize.select.random_subset import RandomSubset


def prepare(
    mechanism: Mechanism,
    private: LabeledDataset,
    test: LabeledDataset,
    *,
    preset: Name | Preset = "standard",
    canary: Kind = "mislabelled",
    company: bool = True,
    stop_early: bool = False,
    attacks: Sequence[str] = (),
    seed: int = 0,
    device: str = "cpu",
    released: SyntheticDataset | None = None,
) -> Session:
    """Fix and hash the plan of an audit; nothing runs yet.

    company: also audit a random subset of the same size and the full data.
    stop_early: look after a quarter and half of the runs, and make no more of them where a leak is
        shown. Every level is then shared out among the looks, so that what is said holds at
        whichever the audit ends: a leak is found cheaper, and a small one less surely.
    attacks: names of further ones beside the standard attacks, see ``attacks.choice.chosen``.
    released: the release that the audit is about; where it is not worth what the shadow runs'
        releases are worth, its recipe is not what made it, and a flag says so.
    Raises DatasetError or OptionError where the data or the mechanism cannot be audited.
    """
    made = draw(private, test, preset=preset, canary=canary, seed=seed)
    return planned(
        made,
        mechanism,
        test,
        company=company,
        stop_early=stop_early,
        attacks=attacks,
        device=device,
        released=released,
    )


def draw(
    private: LabeledDataset,
    test: LabeledDataset,
    *,
    preset: Name | Preset = "standard",
    canary: Kind = "mislabelled",
    seed: int = 0,
) -> plan.Plan:
    """The records, coins and seeds of an audit, whatever the mechanism: several may share them."""
    sizes = PRESETS[preset] if isinstance(preset, str) else preset
    views = query.choose(sizes.views, private.shape, mirror=private.mirror)
    return plan.make(private, test, views, preset=sizes, canary_kind=canary, seed=seed)


def planned(
    made: plan.Plan,
    mechanism: Mechanism,
    test: LabeledDataset,
    *,
    title: str | None = None,
    company: bool = True,
    stop_early: bool = False,
    attacks: Sequence[str] = (),
    device: str = "cpu",
    released: SyntheticDataset | None = None,
) -> Session:
    """The audit of ``mechanism`` under a plan that was drawn; see ``prepare``.

    title: what the evidence calls it; None: its own title. The hash does not depend on it.
    """
    sizes, wanted = made.preset, chosen(attacks)
    subject = mechanism.resolve(made.data)
    if isinstance(subject, Pipeline) and subject.trainer is None:
        raise OptionError("the audit attacks a classifier: give the pipeline a trainer")
    looks = declared_looks(sizes.runs) if stop_early else ()
    audited = [Audited("subject", title or subject.title, subject, sizes.runs, looks)]
    if company and isinstance(subject, (Pipeline, CommandMechanism, DataFreeDistillation)):
        audited += _company(subject, made.data, sizes)
    for one in audited:
        _require_trials(one, made)
    audited = [
        replace(
            one,
            claim=claimed(one.mechanism, made.data, released if one.role == "subject" else None),
        )
        for one in audited
    ]
    # What the recipes do not tell: a finished audit is not taken for one of another claim.
    beyond = [
        one.claim
        for one in audited
        if one.claim and (len(one.claim["releases"]) > 1 or one.claim["about"]["limit"])
    ]
    described = {
        **made.described(),
        **({"looks": [asdict(look) for look in looks]} if looks else {}),
        **({"claims": beyond} if beyond else {}),
        "test": {"fingerprint": test.fingerprint(), "records": len(test)},
        "versions": versions(),
        "release": None if released is None else plan.fingerprint(released),
        "audited": [
            {"role": one.role, "runs": one.runs, "recipe": recipe(one.mechanism)} for one in audited
        ],
        "attacks": [recipe(attack) for attack in wanted],
        "image_attacks": [recipe(attack) for attack in judge.IMAGE_ATTACKS],
        "delta": DELTA,
        "device": device,
    }
    return Session(
        made,
        tuple(audited),
        test,
        device,
        {**described, "hash": plan.digest(described)},
        released,
        wanted,
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
    stop_early: bool = False,
    attacks: Sequence[str] = (),
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
        stop_early=stop_early,
        attacks=attacks,
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
    subject: Pipeline | CommandMechanism | DataFreeDistillation,
    private: LabeledDataset,
    sizes: Preset,
) -> list[Audited]:
    """What every mechanism is compared with: a random subset of its size, and the full data.

    One that releases no set of a fixed size is compared with the full data alone.
    """
    assert subject.trainer is not None
    runs = min(sizes.company_runs, sizes.runs)
    found = []
    condenses = not isinstance(subject, Pipeline) or subject.synthesizer is not None
    is_subset = isinstance(subject, Pipeline) and isinstance(subject.synthesizer, RandomSubset)
    ipc: int | None = getattr(subject, "ipc", None)
    if ipc is not None and not is_subset:
        subset = Pipeline(RandomSubset(ipc), subject.trainer)
        found.append(Audited("random-subset", subset.title, subset, runs))
    if condenses:
        full = Pipeline(None, subject.trainer.for_many_records()).resolve(private)
        found.append(Audited("full-data", full.title, full, runs))
    return found


def _require_trials(one: Audited, made: plan.Plan) -> None:
    """Refuse now what the plan's coins would make fail after hours."""
    fewest_runs = one.steps[0]
    coins = made.membership[:fewest_runs, made.canary]
    if min(int(coins.any(1).sum()), int((~coins).any(1).sum())) < 2:
        raise OptionError(
            f"{fewest_runs} runs of {len(made.canary)} canaries have members and non-members in "
            "fewer than two runs; plan more runs or canaries"
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
