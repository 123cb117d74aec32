"""``limbeck compare``: many mechanisms under one audit, side by side."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limbeck.cli import console
from limbeck.cli.audit_options import Machines, Place
from limbeck.cli.exits import Exit
from limbeck.cli.options import Common
from limbeck.cli.outputs import require_writable
from limbeck.cli.progress import Bar
from limbeck.errors import LimbeckError, OptionError
from limbeck.privacy.digits import up

if TYPE_CHECKING:
    import limbeck.experiments.comparison


def compare(
    *,
    spec: Annotated[
        Path, typer.Argument(metavar="SPEC", help="A TOML file: data, audit, mechanisms by name.")
    ],
    place: Place,
    machines: Machines,
    device: Annotated[
        str, typer.Option(help="Where to compute: auto, cpu, cuda, cuda:1, mps.")
    ] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout instead of tables.")
    ] = False,
) -> int:
    """Audit many mechanisms under one plan: what leaks, what it is worth, what it costs.

    For example, with the spec benchmarks/compare-digits.toml:

        limbeck compare benchmarks/compare-digits.toml -o comparison/ --workers 2

    All share the planted records, the members of every run and the seeds. A random subset of the
    same size, the full data, DP-SGD at the same accuracy and a DP synthesizer are added, unless the
    spec says company = false. What was finished is kept when it is stopped, and again for a spec
    with more mechanisms. A spec may name a program of its own to be run: read a stranger's first.
    """
    output = place.output
    if output.exists() and not output.is_dir():
        raise OptionError(f"-o {output}: this is a file; give a folder")
    require_writable(output)

    from limbeck.experiments.comparing import Machines as Where
    from limbeck.experiments.page import PAGE
    from limbeck.experiments.run import prepare
    from limbeck.experiments.spec import Spec
    from limbeck.workers import keep_memory

    memory = machines.bytes()
    keep_memory()
    where = Common(device=device).torch_device()
    written = Spec.load(spec)
    try:
        planned = prepare(written, device=where)
    except LimbeckError as error:
        raise type(error)(f"{spec}: {error}") from None
    short = planned.plan.short_of(written.audit.canaries)
    if short is not None:
        console.note(short)
    expected = planned.estimate(output, overwrite=place.force)
    workers = machines.workers or os.cpu_count() or 1
    if expected:
        console.note(console.forecast(expected, workers))
    with Bar("comparing") as bar:
        found = planned.execute(
            output,
            machines=Where(machines.workers, memory, machines.cluster),
            overwrite=place.force,
            expected=expected,
            progress=lambda share, what: bar.update(share, f"comparing: {what}"),
        )
    page = output / PAGE
    if as_json:
        console.document(
            {
                "comparison": str(output),
                "page": str(page),
                **found.model_dump(mode="json"),
            }
        )
        return Exit.OK
    _show(found)
    console.result(f"\npage  {page}")
    return Exit.OK


def _epsilon(value: float | None) -> str:
    """A proven bound, rounded up; None: no finite one."""
    return "none" if value is None else up(value, 3)


def _show(found: "limbeck.experiments.comparison.Comparison") -> None:
    """The sentence, and a line for each mechanism."""
    console.result(found.dominance + "\n")
    rows = []
    for row in found.rows:
        point, guarantee = row.strongest.operating, row.guarantee
        rows.append(
            [
                row.name,
                console.percent(row.utility.plain()),
                "not resolvable" if point is None else console.percent(point.tpr.plain()),
                "none" if guarantee is None else _epsilon(guarantee["epsilon"]),
                f"{row.epsilon_lower.value:.2g}",
                console.duration(row.cost.release_seconds),
            ]
        )
    named = f"members named at {found.fpr:.0%} FPR"
    console.table(
        ["mechanism", "accuracy", named, "epsilon", "epsilon at least", "a release takes"], rows
    )
    if found.match is not None and found.match.chosen is None:
        console.result("- DP-SGD: unmatched; no epsilon of the list is as accurate")
    for note in found.notes:
        console.result(f"- {note}")
