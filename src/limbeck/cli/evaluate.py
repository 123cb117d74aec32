"""``limbeck evaluate``: how well a network trained on a release does on real test data."""

import time
from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.options import Common, DataOptions
from limbeck.errors import OptionError


def evaluate(
    *,
    release: Annotated[
        Path, typer.Argument(metavar="RELEASE", help="A folder that `limbeck condense` wrote.")
    ],
    test: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Real data to test on; of a source, its test part."),
    ] = None,
    private: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Or the data that was condensed: test on the part kept out of it."
        ),
    ] = None,
    network: Annotated[str, typer.Option(help="Network trained on the release.")] = "convnet3",
    recipe: Annotated[
        str, typer.Option(help="How it is trained: search, confirm or reference.")
    ] = "search",
    networks: Annotated[int, typer.Option(min=1, help="How many, from different seeds.")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    data: DataOptions,
    common: Common,
) -> int:
    """Train networks on RELEASE and print their accuracy on real test data.

    For example, after `limbeck condense digits -o release/`:

        limbeck evaluate release/ --test digits
    """
    if (test is None) == (private is None):
        raise OptionError("give either --test or --private, and not both")

    from limbeck.cli.progress import Bar
    from limbeck.data.synthetic import SyntheticDataset
    from limbeck.train.evaluate import evaluate as measure
    from limbeck.workers import keep_memory

    keep_memory()
    device = common.torch_device()
    synthetic = SyntheticDataset.load(release)
    held_out = data.load(private)[1] if private is not None else data.read(str(test))
    started = time.monotonic()
    with Bar(f"training {networks} networks") as bar:
        accuracy = measure(
            synthetic,
            held_out,
            network=network,
            recipe=recipe,
            networks=networks,
            seed=common.seed,
            device=device,
            workers=workers,
            progress=bar.update,
        )
    seconds = time.monotonic() - started
    if common.as_json:
        console.document(
            {
                "release": str(release),
                "test": held_out.name,
                "test_records": len(held_out),
                "network": network,
                "recipe": recipe,
                "accuracy": accuracy.to_json(),
                "seconds": seconds,
            }
        )
    else:
        console.facts(
            {
                "accuracy": f"{console.percent(accuracy)} ({accuracy.level:.0%} interval)",
                "over": f"{networks} {network} networks, recipe {recipe}",
                "test data": f"{held_out.name}, {len(held_out)} records",
                "took": console.duration(seconds),
            }
        )
    return Exit.OK
