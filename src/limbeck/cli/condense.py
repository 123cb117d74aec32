"""``limbeck condense``: private data in, release out."""

import time
from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.options import (
    Common,
    DataOptions,
    method_options,
    require_folder,
    require_private_form,
    shell,
)


def condense(
    *,
    source: Annotated[
        str, typer.Argument(metavar="DATA", help="A source by name, a file or a folder.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder that the release is written to.")
    ],
    method: Annotated[str, typer.Option(help="A synthesizer; see `limbeck methods`.")] = "dm",
    ipc: Annotated[
        int | None, typer.Option(min=1, help="Synthetic records per class, where it applies.")
    ] = None,
    init: Annotated[
        str | None, typer.Option(help="What the synthetic records start from: noise, real ...")
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other option of the method."),
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option(min=0.0, help="Ask for a formal guarantee of this epsilon.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder in use.")] = False,
    data: DataOptions,
    common: Common,
) -> int:
    """Condense DATA into a small synthetic dataset.

    For example, ten images of each digit from a sample that comes with scikit-learn:

        limbeck condense digits --method dm --ipc 10 --init noise -o release/

    Condensing alone gives no formal guarantee. `limbeck audit` measures what a release leaks.
    """
    require_folder(output, force)
    if epsilon is not None:
        require_private_form(method)

    from limbeck import recipe
    from limbeck.cli.progress import Bar
    from limbeck.workers import keep_memory, one_thread

    keep_memory()
    given = {"ipc": ipc, "init": init, "epsilon": epsilon}
    synthesizer = recipe.build(
        method, method_options(method, "synthesizer", options or [], given), "synthesizer"
    )
    device = common.torch_device()
    private, _ = data.load(source)
    resolved = synthesizer.resolve(private)
    started = time.monotonic()
    # One thread, as in every run of an audit: the same sums, whatever the number of cores.
    with Bar(f"condensing {private.name}") as bar, one_thread():
        synthetic = resolved.synthesize(
            private,
            seed=common.seed,
            device=device,
            progress=lambda share, _: bar.update(share),
        )
    seconds = time.monotonic() - started
    synthetic.save(output)

    holds_real = resolved.holds_real_records
    if common.as_json:
        console.document(
            {
                "release": str(output),
                "recipe": recipe.recipe(resolved),
                "records": len(synthetic),
                "classes": list(synthetic.classes),
                "private_records": len(private),
                "seconds": seconds,
                "holds_real_records": holds_real,
                "guarantee": synthetic.card.get("guarantee"),
            }
        )
        return Exit.OK
    flags = data.flags()
    console.facts(
        {
            "method": method,
            "from": f"{private.name}, {len(private)} records, {len(private.classes)} classes",
            "made": f"{len(synthetic)} synthetic records in {console.duration(seconds)}",
            "real records": "yes: the release contains, or starts from, private records"
            if holds_real
            else "no",
            "guarantee": str(synthetic.card.get("guarantee") or "none"),
            "release": str(output),
            "next": shell("limbeck", "evaluate", output, "--private", source, *flags),
            "and": shell("limbeck", "audit", output, "--private", source, *flags, "-o", "audit/"),
        }
    )
    return Exit.OK
