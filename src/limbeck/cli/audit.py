"""``limbeck audit``: attack the mechanism behind a release, and hold it to limits."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limbeck import registry
from limbeck.cli import console
from limbeck.cli.options import (
    Common,
    DataOptions,
    assignments,
    method_options,
    require_writable,
)
from limbeck.errors import DatasetError, OptionError

if TYPE_CHECKING:
    import limbeck.data.dataset
    import limbeck.data.synthetic
    import limbeck.synthesize.base
    import limbeck.train.base


class Thoroughness(StrEnum):
    """Names of the presets."""

    quick = "quick"
    standard = "standard"
    thorough = "thorough"


class Canary(StrEnum):
    """Kinds of records planted to be exposed."""

    mislabelled = "mislabelled"
    out_of_distribution = "out-of-distribution"
    duplicates = "duplicates"


def audit(
    *,
    release: Annotated[
        Path | None,
        typer.Argument(metavar="[RELEASE]", help="A folder that `limbeck condense` wrote."),
    ] = None,
    private: Annotated[
        str, typer.Option(metavar="DATA", help="The private data that was condensed.")
    ],
    test: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Real test data; the part kept out if not given."),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder of the audit; a stopped audit goes on there."),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace the audit of another plan in that folder.")
    ] = False,
    preset: Annotated[
        Thoroughness, typer.Option(help="How many runs and records.")
    ] = Thoroughness.standard,
    runs: Annotated[
        int | None, typer.Option(min=4, help="Shadow runs, instead of the preset's.")
    ] = None,
    canaries: Annotated[
        int | None,
        typer.Option(min=1, help="Canaries, instead of the preset's; at most 5% of the records."),
    ] = None,
    canary: Annotated[
        Canary, typer.Option(help="What is planted to be exposed.")
    ] = Canary.mislabelled,
    company: Annotated[
        bool, typer.Option(help="Also audit a random subset of the same size, and the full data.")
    ] = True,
    max_tpr: Annotated[
        str | None,
        typer.Option(metavar="TPR@FPR", help="Limit: TPR on canaries, for example 0.01@0.001."),
    ] = None,
    max_epsilon: Annotated[
        float | None, typer.Option(min=0.0, help="Limit: epsilon of the mechanism's guarantee.")
    ] = None,
    trainer: Annotated[
        str, typer.Option(help="Trained on the release: convnet3, mlp ..., or kernel-ridge.")
    ] = "convnet3",
    trainer_options: Annotated[
        list[str] | None,
        typer.Option("--trainer-set", metavar="NAME=VALUE", help="Any option of the trainer."),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="Without RELEASE: a synthesizer, or none for the private data itself."),
    ] = None,
    ipc: Annotated[
        int | None, typer.Option(min=1, help="With --method: synthetic records per class.")
    ] = None,
    init: Annotated[
        str | None, typer.Option(help="With --method: what synthetic records start from.")
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="With --method: any other option of it."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; one per core if not given.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory to stay under, for example 8GB.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="tcp://HOST:PORT", help="A Dask scheduler to run on.")
    ] = None,
    data: DataOptions,
    common: Common,
) -> int:
    """Repeat the mechanism behind RELEASE on random subsets, and attack what comes out.

    For example:

        limbeck audit release/ --private digits --preset quick -o audit/
        limbeck audit --method none --private digits -o undefended/

    The recipe is read from the card of RELEASE; give the data options that it was condensed with.
    Without RELEASE, --method and its options say what to audit.

    Exit code: 0 the limits given hold, 1 they do not, 2 bad input or usage, 3 too weak to tell.
    """
    if output.exists() and not output.is_dir():
        raise OptionError(f"-o {output}: this is a file; give a folder")
    require_writable(output)
    bytes_allowed = _bytes(memory)
    if (release is None) == (method is None):
        raise OptionError("give either a RELEASE folder or --method, and not both")
    if release is not None and (ipc, init, options) != (None, None, None):
        raise OptionError(
            f"--ipc, --init and --set: the card of {release} holds the recipe already"
        )

    from limbeck.audit.gate import gate
    from limbeck.audit.presets import PRESETS
    from limbeck.audit.run import prepare
    from limbeck.cli.progress import Bar
    from limbeck.cli.verdict import show
    from limbeck.data.synthetic import SyntheticDataset
    from limbeck.mechanism.pipeline import Pipeline
    from limbeck.report import report
    from limbeck.workers import keep_memory

    keep_memory()
    limit = _tpr_limit(max_tpr)
    device = common.torch_device()
    released = None if release is None else SyntheticDataset.load(release)
    synthesizer = (
        _from_options(str(method), ipc, init, options or [])
        if released is None
        else _from_card(released)
    )
    trained = _trainer(trainer, trainer_options or [], many_records=synthesizer is None)
    mechanism = Pipeline(synthesizer, trained)
    records, held_out = data.load(private)
    if test is not None and test != private:
        held_out = data.read(test)
    if released is not None:
        _require_same_form(released, records)
    sizes = PRESETS[preset.value]
    session = prepare(
        mechanism,
        records,
        held_out,
        preset=replace(sizes, runs=runs or sizes.runs, canaries=canaries or sizes.canaries),
        canary=canary.value,
        company=company,
        seed=common.seed,
        device=device,
        released=released,
    )
    cost = {title: one.cpu_seconds for title, one in session.estimate().items()}
    console.note(_forecast(cost, workers or os.cpu_count() or 1))
    with Bar("auditing") as bar:
        done = session.execute(
            output,
            workers=workers,
            memory=bytes_allowed,
            cluster=cluster,
            overwrite=force,
            progress=lambda share, what: bar.update(share, f"auditing: {what}"),
        )
    if released is not None:
        released.save(output / "release")  # for the picture in the report
    page = report(output, output / "report.html")
    code, sentences = gate(done.evidence, limit, max_epsilon)

    if common.as_json:
        console.document(
            {
                "exit_code": code,
                "limits": list(sentences),
                "audit": str(output),
                "report": str(page),
                "evidence": done.evidence.model_dump(mode="json"),
                "cost": done.cost,
            }
        )
    else:
        show(done.evidence, sentences, page)
    return code


def _tpr_limit(text: str | None) -> tuple[float, float] | None:
    """``--max-tpr 0.01@0.001`` as (tpr, fpr); OptionError where no TPR is measured at that FPR."""
    if text is None:
        return None
    from limbeck.audit.inference.roc import NOMINAL_FPRS

    try:
        tpr, fpr = (float(part) for part in text.split("@"))
    except ValueError:
        tpr, fpr = -1.0, -1.0
    if not (0 < tpr <= 1 and 0 < fpr < 1):
        raise OptionError(f"--max-tpr {text}: write TPR@FPR as fractions, for example 0.01@0.001")
    if fpr not in NOMINAL_FPRS:
        judged = ", ".join(f"{f:g}" for f in NOMINAL_FPRS)
        raise OptionError(f"--max-tpr {text}: no TPR is measured at this FPR; there are: {judged}")
    return tpr, fpr


def _bytes(text: str | None) -> int | None:
    """``--memory 8GB`` in bytes."""
    if text is None:
        return None
    units = {"MB": 10**6, "GB": 10**9, "MIB": 2**20, "GIB": 2**30}
    parts = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([MG]I?B)", text.upper())
    if parts is None:
        raise OptionError(f"--memory {text}: write a size such as 8GB or 600MB")
    return int(float(parts[1]) * units[parts[2]])


def _from_card(
    release: "limbeck.data.synthetic.SyntheticDataset",
) -> "limbeck.synthesize.base.Synthesizer":
    """The synthesizer that a release's card describes."""
    from limbeck.recipe import from_recipe
    from limbeck.synthesize.base import Synthesizer

    if not isinstance(release.card.get("recipe"), Mapping):
        raise OptionError(
            f"the card of {release.name} holds no recipe, so the mechanism cannot be repeated; "
            "give --method and its options instead"
        )
    synthesizer = from_recipe(dict(release.card["recipe"]))
    if not isinstance(synthesizer, Synthesizer):
        raise OptionError(f"the card of {release.name} holds the recipe of no synthesizer")
    share = release.card.get("interrupted")
    if share is not None:
        console.note(
            f"{release.name} was interrupted when {share:.0%} was done; the shadow runs repeat the "
            "whole recipe, so that they are unlike it"
        )
    return synthesizer


def _from_options(
    method: str, ipc: int | None, init: str | None, words: Sequence[str]
) -> "limbeck.synthesize.base.Synthesizer | None":
    """The synthesizer that the options describe; None stands for the private data itself."""
    from limbeck import recipe

    if method == "none":
        if (ipc, init, list(words)) != (None, None, []):
            raise OptionError("--method none condenses nothing: it takes no --ipc, --init or --set")
        return None
    values = method_options(method, "synthesizer", words, {"ipc": ipc, "init": init})
    made: limbeck.synthesize.base.Synthesizer = recipe.build(method, values, "synthesizer")
    return made


def _trainer(
    name: str, words: Sequence[str], *, many_records: bool
) -> "limbeck.train.base.Trainer":
    """A registered trainer, or the standard one with the network of that name."""
    from limbeck import recipe

    values = assignments(words, "--trainer-set")
    if name not in registry.methods("trainer"):
        name, values = "standard", {"network": name, **values}
    made: limbeck.train.base.Trainer = recipe.build(name, values, "trainer")
    return made.for_many_records() if many_records and "recipe" not in values else made


def _require_same_form(
    release: "limbeck.data.synthetic.SyntheticDataset",
    private: "limbeck.data.dataset.LabeledDataset",
) -> None:
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


def _forecast(cpu_seconds: Mapping[str, float], workers: int) -> str:
    """The cost in words, before anything runs; from the processor time of each mechanism."""
    total = sum(cpu_seconds.values())
    processes = "1 process" if workers == 1 else f"{workers} processes"
    lines = [
        f"cost: about {console.duration(total / workers)} with {processes} on an idle machine",
        *(f"  {console.duration(each)} {what}" for what, each in cpu_seconds.items()),
    ]
    return "\n".join(lines)
