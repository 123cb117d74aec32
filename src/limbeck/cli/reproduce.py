"""``limbeck reproduce``: a paper's claims, tried again."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.outputs import require_writable
from limbeck.cli.progress import Bar
from limbeck.errors import OptionError

if TYPE_CHECKING:
    import limbeck.experiments.reproduce


def reproduce(
    *,
    key: Annotated[
        str,
        typer.Argument(
            metavar="PAPER", help="dong2022, gujarathi2022, kaleidoscope2024 or zhao2025."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder of the results; a stopped run goes on there."),
    ],
    scale: Annotated[
        Literal["laptop", "gpu"],
        typer.Option(help="laptop: minutes on two cores; gpu: the paper's own size."),
    ] = "laptop",
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Other data than the paper's or what stands in for it."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; one per core if not given.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1, mps.")] = "cpu",
    force: Annotated[
        bool, typer.Option("--force", help="Replace the results of another run in that folder.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout instead of text.")
    ] = False,
) -> int:
    """Try a paper's claims again: the published figure, ours with its interval, the verdict.

    For example:

        limbeck reproduce gujarathi2022 -o gujarathi/ --workers 2

    A claim agrees or disagrees only where the whole interval does; otherwise the run cannot tell,
    which on a laptop is often the honest answer. Results go to claims.json and claims.html.
    """
    if output.exists() and not output.is_dir():
        raise OptionError(f"-o {output}: this is a file; give a folder")
    require_writable(output)

    from limbeck.cli.options import Common
    from limbeck.experiments import reproduce as papers
    from limbeck.experiments.study import forecast
    from limbeck.workers import keep_memory, one_thread

    keep_memory()
    where = Common(device=device).torch_device()
    planned = papers.study(key, scale, data=data, device=where)
    for remark in planned.remarks:
        console.note(remark)
    with one_thread():
        expected = forecast(planned, output, overwrite=force)
    several = workers or os.cpu_count() or 1
    if expected:
        console.note(console.forecast(expected, several))
    with Bar("reproducing") as bar:
        done = papers.reproduce(
            planned,
            output,
            scale=scale,
            workers=several,
            overwrite=force,
            weights=expected,
            progress=lambda share, what: bar.update(share, f"reproducing: {what}"),
        )
    if as_json:
        console.document({"folder": str(output), **done.to_json()})
    else:
        _print(done)
        console.result(f"page  {output / papers.PAGE}")
    return Exit.OK


def _print(done: "limbeck.experiments.reproduce.Reproduction") -> None:
    paper = done.paper
    console.result(f"{paper.title}\n{paper.authors}; {paper.venue}\n{paper.note}\n")
    for number, claim in enumerate(done.claims, 1):
        console.result(f"{number}. {claim.words}")
        console.result(f"   said by    {claim.source}")
        console.result(f"   published  {claim.published or 'no figure known'}")
        for place, measured in enumerate(claim.measured):
            console.result(f"   {'ours' if place == 0 else '':<10} {measured}")
        console.result(f"   verdict    {claim.verdict}")
        if claim.remark:
            console.result(f"   remark     {claim.remark}")
        console.result("")
    for table in done.tables:
        console.result(table.caption)
        console.table(table.columns, table.rows)
        console.result("")
    spent = sum(done.cpu_seconds.values())
    console.result(f"scale {done.scale}, {console.duration(spent)} of processor time")
