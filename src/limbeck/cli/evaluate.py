"""``limbeck evaluate``: how well networks trained on a release do on real test data."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limbeck import registry
from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.options import Common, DataOptions, method_options
from limbeck.errors import OptionError

if TYPE_CHECKING:
    import limbeck.train.base
    import limbeck.train.comparison
    import limbeck.types


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
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="With --private: train on random records, as many, and on all of them too.",
        ),
    ] = False,
    network: Annotated[
        list[str] | None,
        typer.Option(help="Network trained on the release (convnet3); give it again for more."),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="How it is trained: search (default), confirm or reference.")
    ] = None,
    trainer: Annotated[
        str | None, typer.Option(help="Another trainer, for example kernel-ridge.")
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any option of the trainer."),
    ] = None,
    hard_labels: Annotated[
        bool, typer.Option("--hard-labels", help="Leave the release's soft labels out.")
    ] = False,
    networks: Annotated[int, typer.Option(min=1, help="How many, from different seeds.")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    data: DataOptions,
    common: Common,
) -> int:
    """Train networks on RELEASE and print their accuracy on real test data.

    For example, after `limbeck condense digits -o release/`:

        limbeck evaluate release/ --test digits
        limbeck evaluate release/ --private digits --compare --network convnet2 --network mlp

    --compare tells what condensing is worth: the accuracy of random records under the same
    training, the improvement over it, and the share of the full data's accuracy.
    """
    if compare and private is None:
        raise OptionError("--compare needs --private: the data that was condensed")
    if (test is None) == (private is None) and not compare:
        raise OptionError("give either --test or --private, and not both")
    trainers = _trainers(trainer, network or [], recipe, options or [])

    from limbeck.cli.progress import Bar
    from limbeck.data.synthetic import SyntheticDataset
    from limbeck.privacy.statement import printed
    from limbeck.train.comparison import utility
    from limbeck.workers import keep_memory

    keep_memory()
    device = common.torch_device()
    synthetic = SyntheticDataset.load(release)
    claims = synthetic.card.get("guarantee") is not None  # loaded as for condensing
    records, held_out = None, None
    if private is not None:
        records, held_out = data.load(private, guaranteed=claims)
    if held_out is None or (test is not None and test != private):
        held_out = data.read(str(test))
    for part in (held_out, records) if compare else (held_out,):
        assert part is not None, "--compare needs --private"
        part.require_some()
    started = time.monotonic()
    with Bar("training networks") as bar:
        rows = utility(
            synthetic,
            held_out,
            private=records if compare else None,
            trainers=trainers,
            repeats=networks,
            hard_labels=hard_labels,
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
                "seconds": seconds,
                "guarantee": synthetic.card.get("guarantee"),
                **_document(rows, trainers),
            }
        )
    else:
        how = _show(rows, trainers, networks, compare=compare)
        console.facts(
            {
                **how,
                "test data": f"{held_out.name}, {len(held_out)} records",
                "took": console.duration(seconds),
                "guarantee": printed(synthetic.card.get("guarantee")),
            }
        )
    return Exit.OK


def _trainers(
    name: str | None, networks: Sequence[str], recipe: str | None, words: Sequence[str]
) -> "list[limbeck.train.base.Trainer]":
    """One trainer a network; a trainer without networks stands alone."""
    from limbeck.recipe import build

    if name is not None and name not in registry.methods("trainer"):
        if networks:
            raise OptionError(
                f"--trainer {name}: no trainer is called so; there are: "
                f"{', '.join(registry.methods('trainer'))}"
            )
        # A network's name, as `limbeck audit --trainer` takes it too.
        networks, name = [name], None
    chosen = name or "standard"
    given: list[dict[str, Any]] = [{"network": network} for network in networks] or [{}]
    return [
        build(
            chosen,
            method_options(chosen, "trainer", words, {**network, "recipe": recipe}),
            "trainer",
        )
        for network in given
    ]


def _document(
    rows: "Sequence[limbeck.train.comparison.Utility]",
    trainers: "Sequence[limbeck.train.base.Trainer]",
) -> dict[str, Any]:
    from limbeck.recipe import recipe

    kinds = len(rows) // len(trainers)
    document: dict[str, Any] = {
        "architectures": [
            {"trainer": recipe(trainers[i // kinds]), **row.to_json()} for i, row in enumerate(rows)
        ]
    }
    if len(trainers) == 1:
        # The release as it is: the last row is of its soft labels where it has any.
        document["network"] = rows[-1].network
        document["recipe"] = getattr(trainers[0], "recipe", None)
        document["labels"] = rows[-1].labels
        document["accuracy"] = rows[-1].accuracy.to_json()
    return document


def _show(
    rows: "Sequence[limbeck.train.comparison.Utility]",
    trainers: "Sequence[limbeck.train.base.Trainer]",
    networks: int,
    *,
    compare: bool,
) -> dict[str, str]:
    """Print the table where there is more than one number; what there is to say besides."""
    recipe = getattr(trainers[0], "recipe", None)
    how = f", recipe {recipe}" if recipe else ""
    facts: dict[str, str] = {}
    if len(rows) == 1 and not compare:
        accuracy = rows[0].accuracy
        facts["accuracy"] = f"{console.percent(accuracy)} ({accuracy.level:.0%} interval)"
        facts["over"] = f"{networks} trainings of {rows[0].network}{how}"
    else:
        measured = ["accuracy"]
        measured += ["random_subset", "improvement", "full_data", "recovered"] if compare else []
        columns = ["network", "labels", *(name.replace("_", " ") for name in measured)]
        cells = [
            [row.network, row.labels, *(_percent(getattr(row, c)) for c in measured)]
            for row in rows
        ]
        console.table(columns, cells)
        facts["over"] = f"{networks} trainings each{how}, 95% intervals"
        if compare:
            facts["full data"] = "one training, by the recipe for many records"
    notes = dict.fromkeys(row.note for row in rows if row.note)
    facts |= {"note": "; ".join(notes)} if notes else {}
    return facts


def _percent(estimate: "limbeck.types.Estimate | None") -> str:
    return "-" if estimate is None else console.percent(estimate)
