"""Many mechanisms under one audit plan, from the spec to the page."""

from functools import partial
from pathlib import Path

from limbeck.audit import plan
from limbeck.audit.run import draw, planned
from limbeck.audit.session import Progress
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import LimbeckError, OptionError
from limbeck.experiments.company import Role, company, dp_sgd
from limbeck.experiments.comparing import Comparing, Machines
from limbeck.experiments.comparison import Comparison
from limbeck.experiments.members import Member
from limbeck.experiments.spec import Spec
from limbeck.mechanism.base import Mechanism


def prepare(
    spec: Spec,
    *,
    data: tuple[LabeledDataset, LabeledDataset] | None = None,
    device: str = "cpu",
) -> Comparing:
    """Fix and hash the plan of a comparison; nothing runs yet.

    data: the private and the test records; None: those that the spec names.
    Raises OptionError that names the mechanism which cannot be compared on these data.
    """
    built = spec.build()
    private, test = spec.data.load() if data is None else data
    plans = spec.audit
    made = draw(private, test, preset=plans.sizes, canary=plans.canary, seed=plans.seed)
    member = partial(_member, made, test, device)
    members, candidates, notes = [], [], []
    for name, one in built.items():
        try:
            members.append(member(name, "given", one))
        except LimbeckError as error:
            raise OptionError(f"mechanisms.{name}: {error}") from None
    if spec.company:
        given = {one.name: one.mechanism for one in members}
        for name, role, one in company(given, spec.trainer.build()):
            try:
                members.append(member(name, role, one))
            except LimbeckError as error:
                notes.append(f"Company that could not be added: {name} ({error}).")
        for epsilon, one in dp_sgd(spec.dp_sgd):
            candidates.append((epsilon, member(f"dp-sgd at epsilon {epsilon:g}", "dp-sgd", one)))
    return Comparing(made, test, device, tuple(members), tuple(candidates), tuple(notes))


def compare(
    spec: Spec | str | Path,
    store: str | Path,
    *,
    data: tuple[LabeledDataset, LabeledDataset] | None = None,
    device: str = "cpu",
    workers: int | None = None,
    memory: int | None = None,
    cluster: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Audit every mechanism of ``spec`` under one plan; a killed comparison goes on in ``store``.

    spec: a TOML file, or what it says. data: private and test records in place of the spec's.
    workers, memory, cluster: as of ``limbeck.audit``. Raises OptionError, DatasetError, StoreError.
    """
    read = spec if isinstance(spec, Spec) else Spec.load(spec)
    return prepare(read, data=data, device=device).execute(
        store,
        machines=Machines(workers, memory, cluster),
        overwrite=overwrite,
        progress=progress,
    )


def _member(
    made: plan.Plan,
    test: LabeledDataset,
    device: str,
    name: str,
    role: Role,
    mechanism: Mechanism,
) -> Member:
    session = planned(made, mechanism, test, title=name, company=False, device=device)
    return Member(name, role, session)
