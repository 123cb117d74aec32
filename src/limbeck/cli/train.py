"""``limbeck train``: a classifier of the private data itself, to be released."""

import time
from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.guarantee import GuaranteeOptions
from limbeck.cli.options import (
    Common,
    DataOptions,
    method_options,
    require_folder,
    shell,
)


def train(
    *,
    source: Annotated[
        str, typer.Argument(metavar="DATA", help="A source by name, a file or a folder.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder that the classifier is written to.")
    ],
    trainer: Annotated[str, typer.Option(help="A trainer; see `limbeck methods`.")] = "dp-sgd",
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any option of the trainer."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder in use.")] = False,
    guarantee: GuaranteeOptions,
    data: DataOptions,
    common: Common,
) -> int:
    """Train a classifier on DATA and write it as a release.

    For example, with a guarantee of epsilon 3, and then its predictions:

        limbeck train digits --epsilon 3 -o model/
        limbeck predict model/ digits

    Only a private trainer protects the records that it is trained on.
    """
    require_folder(output, force)
    guarantee.require_form(trainer, "trainer")

    from limbeck import recipe
    from limbeck.privacy.claim import stated
    from limbeck.privacy.words import in_words
    from limbeck.train.released import ReleasedClassifier
    from limbeck.workers import keep_memory, one_thread

    keep_memory()
    chosen = recipe.build(
        trainer,
        method_options(trainer, "trainer", options or [], guarantee.asked()),
        "trainer",
    )
    device = common.torch_device()
    private, _ = data.load(source)
    if "recipe" not in (word.partition("=")[0] for word in options or []):
        chosen = chosen.for_many_records()
    resolved = chosen.resolve_for(private)
    started = time.monotonic()
    with one_thread():
        classifier = resolved.fit(private, seed=common.seed, device=device)
    seconds = time.monotonic() - started
    claimed = resolved.guarantee
    card = {
        "recipe": recipe.recipe(resolved),
        "name": f"{private.name}-{trainer}",
        "value_range": data.range(),
        **stated(claimed),
    }
    ReleasedClassifier(classifier, private.shape, private.classes, card).save(output)
    guarantee.warn(claimed)
    if common.as_json:
        console.document(
            {
                "release": str(output),
                "recipe": card["recipe"],
                "classes": list(private.classes),
                "private_records": len(private),
                "seconds": seconds,
                "guarantee": card["guarantee"],
                "ledger": card["ledger"],
            }
        )
        return Exit.OK
    flags = data.flags()
    console.facts(
        {
            "trainer": resolved.title,
            "from": f"{private.name}, {len(private)} records, {len(private.classes)} classes",
            "took": console.duration(seconds),
            "guarantee": "none" if claimed is None else "\n".join(in_words(claimed)),
            "release": str(output),
            "next": shell("limbeck", "predict", output, source, *flags),
        }
    )
    return Exit.OK
