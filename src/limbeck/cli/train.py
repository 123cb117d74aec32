"""``limbeck train``: a classifier of the private data itself, to be released."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.guarantee import (
    GuaranteeOptions,
    advise_on_classes,
    can_guarantee,
    number_of_records,
    origin,
)
from limbeck.cli.options import Common, DataOptions, method_options, shell
from limbeck.cli.outputs import require_folder
from limbeck.cli.private_accuracy import AccuracyOptions, accuracy_in_words
from limbeck.cli.spending import Spending
from limbeck.cli.tuning import TuningOptions, choose, sentence
from limbeck.errors import OptionError


def train(
    *,
    source: Annotated[
        str, typer.Argument(metavar="DATA", help="A source by name, a file or a folder.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder that the classifier is written to.")
    ],
    trainer: Annotated[
        str,
        typer.Option(help="A trainer, or a mechanism that trains; see `limbeck methods`."),
    ] = "dp-sgd",
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any option of the trainer."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder in use.")] = False,
    guarantee: GuaranteeOptions,
    tuning: TuningOptions,
    accuracy: AccuracyOptions,
    data: DataOptions,
    common: Common,
) -> int:
    """Train a classifier on DATA and write it as a release.

    For example, with a guarantee of epsilon 3, and then its predictions:

        limbeck train digits --epsilon 3 -o model/
        limbeck predict model/ digits

    Only a private trainer protects the records that it is trained on. With --tune it is chosen
    among settings, within the same epsilon:

        limbeck train digits --trainer private-ridge --epsilon 3 --tune features=100,300 -o model/
    """
    require_folder(output, force)
    guarantee.require_form(trainer, "trainer")

    from limbeck import recipe, registry
    from limbeck.mechanism.pipeline import Pipeline
    from limbeck.train.released import ReleasedClassifier, classified
    from limbeck.workers import keep_memory, one_thread

    keep_memory()
    kind: registry.Kind = "mechanism" if trainer in registry.methods("mechanism") else "trainer"
    values = method_options(trainer, kind, options or [], guarantee.asked(options or []))
    settings = tuning.settings(values)
    chosen = recipe.build(trainer, values, kind)
    device = common.torch_device()
    if kind == "trainer" and "recipe" not in (w.partition("=")[0] for w in options or []):
        chosen = chosen.for_many_records()
    spending = Spending(
        "train", source, chosen, data, accuracy, output, kind=kind, chosen=settings is not None
    )
    resolved: Any
    with spending.reading():
        private, held_out = data.load(source, guaranteed=can_guarantee(trainer, kind))
        accuracy.require(chosen, private, held_out)
        if settings is not None:
            resolved = chosen  # each setting is resolved by itself
        elif kind == "mechanism":
            mechanism = resolved = chosen.resolve(private)
        else:
            mechanism = Pipeline(None, chosen).resolve(private)
            resolved = mechanism.trainer
    spending.confirm(resolved, private, held_out)
    started = time.monotonic()
    seconds: float | None = None
    if settings is not None:
        with one_thread(), spending.running():
            tuned = choose(
                settings,
                lambda setting: recipe.build(trainer, {**values, **setting}, kind),
                private,
                tuning.tune_runs,
                seed=common.seed,
                device=device,
            )
        resolved, release = tuned.method, tuned.release
        said = dict(tuned.statement)
    else:
        with one_thread(), spending.running():
            release = mechanism.run(private, seed=common.seed, device=device)
        seconds = time.monotonic() - started
    classifier = release.classifier
    if classifier is None:
        raise OptionError(f"--trainer {trainer}: it releases no classifier; give one that does")
    name = f"{private.name}-{trainer}"
    if settings is None:
        said = classified(classifier, private, name)
    card: dict[str, Any] = {
        "recipe": recipe.recipe(resolved),
        "name": name,
        "value_range": data.range(),
        "split": data.split(),
        **said,
    }
    claim = card["guarantee"]
    with spending.running():
        measured = accuracy.measured(release, held_out, card, seed=common.seed, device=device)
    if measured is not None:
        card["private_accuracy"] = measured
    ReleasedClassifier(classifier, private.shape, private.classes, card).save(output)
    spending.done()
    guarantee.warn(claim, private)
    spending.tell()
    advise_on_classes(card)
    if common.as_json:
        console.document(
            {
                "release": str(output),
                "recipe": card["recipe"],
                "classes": list(private.classes),
                "classes_from": private.classes_from,
                "private_records": number_of_records(claim, private),
                "seconds": seconds,
                "guarantee": claim,
                "ledger": card["ledger"],
                "selection": card.get("selection"),
                "private_accuracy": measured,
            }
        )
        return Exit.OK
    flags = data.flags()
    console.facts(
        {
            "trainer": resolved.title,
            "from": origin(claim, private),
            **({} if seconds is None else {"took": console.duration(seconds)}),
            **({"chosen": sentence(card["selection"])} if settings is not None else {}),
            "guarantee": "\n".join(card.get("in_words", ["none"])),
            **({} if measured is None else {"accuracy": accuracy_in_words(measured)}),
            "release": str(output),
            "next": shell("limbeck", "predict", output, source, "--held-out", *flags),
        }
    )
    return Exit.OK
