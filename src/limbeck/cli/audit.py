"""``limbeck audit``: attack the mechanism behind a release, and hold it to limits."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limbeck.cli import console
from limbeck.cli.options import (
    Common,
    DataOptions,
    method_options,
    require_writable,
)
from limbeck.errors import DatasetError, OptionError

if TYPE_CHECKING:
    import limbeck.audit.evidence
    import limbeck.data.dataset
    import limbeck.mechanism.pipeline
    import limbeck.synthesize.base


class Preset(StrEnum):
    """How thorough an audit is."""

    quick = "quick"
    standard = "standard"
    thorough = "thorough"


def audit(
    *,
    private: Annotated[
        str, typer.Option(metavar="DATA", help="The private data that was condensed.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder of the audit; a stopped audit goes on there."),
    ],
    release: Annotated[
        Path | None,
        typer.Argument(metavar="[RELEASE]", help="A folder that `limbeck condense` wrote."),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Real test data; the test part of --private if left out."
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="A synthesizer; none trains on the private data itself."),
    ] = None,
    ipc: Annotated[
        int | None,
        typer.Option(min=1, help="Synthetic records per class."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(help="What synthetic records start from."),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other option of the method."),
    ] = None,
    trainer: Annotated[
        str, typer.Option(help="What is trained on the release: convnet3, mlp, kernel-ridge.")
    ] = "convnet3",
    trainer_options: Annotated[
        list[str] | None,
        typer.Option("--trainer-set", metavar="NAME=VALUE", help="An option of the trainer."),
    ] = None,
    preset: Annotated[Preset, typer.Option(help="How many runs and records.")] = Preset.standard,
    runs: Annotated[
        int | None, typer.Option(min=2, help="Shadow runs, instead of the preset's.")
    ] = None,
    canaries: Annotated[
        int | None, typer.Option(min=1, help="Canary records, instead of the preset's.")
    ] = None,
    company: Annotated[
        bool,
        typer.Option(help="Also audit a random subset of the same size, and the full data."),
    ] = True,
    max_tpr: Annotated[
        str | None,
        typer.Option(metavar="TPR@FPR", help="Limit on the true-positive rate, as 0.01@0.001."),
    ] = None,
    max_epsilon: Annotated[
        float | None,
        typer.Option(min=0.0, help="Limit on the accountant's epsilon."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes; one per core if left out."),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory to stay under, as 8GB."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="tcp://HOST:PORT", help="A Dask scheduler."),
    ] = None,
    data: DataOptions,
    common: Common,
) -> int:
    """Repeat the mechanism behind RELEASE on random subsets, and attack what comes out.

    The recipe is read from the card of RELEASE; give the data options that it was condensed with.
    Without RELEASE, --method and its options say what to audit.

    For example:

        limbeck audit release/ --private digits --preset quick -o audit/
        limbeck audit --method none --private digits --max-tpr 0.01@0.001 -o audit-undefended/
    """
    limit = _tpr_limit(max_tpr)
    if output.exists() and not output.is_dir():
        raise OptionError(f"-o {output}: this is a file; give a folder")
    require_writable(output)
    if (release is None) == (method is None):
        raise OptionError("give either a RELEASE folder or --method, and not both")
    if release is not None and (ipc, init, options) != (None, None, None):
        raise OptionError(
            f"--ipc, --init and --set: the card of {release} holds the recipe already"
        )

    from limbeck.audit import audit as run_audit
    from limbeck.audit.gate import gate
    from limbeck.cli.progress import Bar
    from limbeck.report import report

    device = common.torch_device()
    synthesizer = _from_release(release) if release else _from_options(method, ipc, init, options)
    mechanism = _pipeline(synthesizer, trainer, trainer_options or [])
    records, held_out = data.load(private)
    if release is not None:
        _require_same_form(release, records)
    if test is not None and test != private:
        held_out = data.read(test)

    with Bar("auditing") as bar:
        done = run_audit(
            mechanism,
            records,
            held_out,
            preset=preset.value,
            store=output,
            seed=common.seed,
            workers=workers,
            memory=memory,
            device=device,
            cluster=cluster,
            company=company,
            progress=bar.update,
        )
    page = output / "report.html"
    report(done, page)
    code, sentences = gate(done.evidence, limit, max_epsilon)

    if common.as_json:
        console.document(
            {
                "exit_code": int(code),
                "audit": str(output),
                "report": str(page),
                "gate": list(sentences),
                "verdict": done.evidence.verdict.model_dump(),
                "evidence": done.evidence.model_dump(mode="json"),
                "cost": done.cost,
            }
        )
    else:
        _summary(done.evidence, sentences, page)
    return code


def _tpr_limit(text: str | None) -> tuple[float, float] | None:
    """``--max-tpr 0.01@0.001`` as (tpr, fpr)."""
    if text is None:
        return None
    try:
        tpr, fpr = (float(part) for part in text.split("@"))
    except ValueError:
        tpr, fpr = -1.0, -1.0
    if not (0 < tpr <= 1 and 0 < fpr < 1):
        raise OptionError(f"--max-tpr {text}: write TPR@FPR as fractions, for example 0.01@0.001")
    return tpr, fpr


def _from_release(folder: Path) -> "limbeck.synthesize.base.Synthesizer":
    """The synthesizer that the card of a release describes."""
    from limbeck.data.synthetic import SyntheticDataset
    from limbeck.recipe import from_recipe
    from limbeck.synthesize import Synthesizer

    card = SyntheticDataset.load(folder).card
    if not card.get("recipe"):
        raise OptionError(
            f"{folder}: its card holds no recipe, so the mechanism cannot be repeated; "
            "give --method and its options instead"
        )
    synthesizer = from_recipe(card["recipe"])
    if not isinstance(synthesizer, Synthesizer):
        raise OptionError(f"{folder}: the recipe in its card is of no synthesizer")
    return synthesizer


def _from_options(
    method: str | None, ipc: int | None, init: str | None, words: Sequence[str] | None
) -> "limbeck.synthesize.base.Synthesizer | None":
    """The synthesizer that the options describe; None is no condensation at all."""
    from limbeck import recipe

    if method == "none":
        return None
    name = str(method)
    values = method_options(name, "synthesizer", words or [], {"ipc": ipc, "init": init})
    synthesizer: limbeck.synthesize.base.Synthesizer = recipe.build(name, values, "synthesizer")
    return synthesizer


def _require_same_form(folder: Path, private: "limbeck.data.dataset.LabeledDataset") -> None:
    from limbeck.data.synthetic import SyntheticDataset

    synthetic = SyntheticDataset.load(folder)
    for what, ours, theirs in (
        ("records of shape", private.shape, synthetic.shape),
        ("the classes", private.classes, synthetic.classes),
    ):
        if ours != theirs:
            raise DatasetError(
                f"--private: {private.name} has {what} {_short(ours)}, {folder} has "
                f"{_short(theirs)}; give the data and the data options it was condensed with"
            )


def _short(values: tuple[object, ...]) -> str:
    return ", ".join(map(str, values[:6])) + (" ..." if len(values) > 6 else "")


def _summary(
    evidence: "limbeck.audit.evidence.Evidence", sentences: Sequence[str], page: Path
) -> None:
    verdict = evidence.verdict
    console.result(verdict.headline)
    for sentence in (*verdict.reasons, *sentences):
        console.result(f"- {sentence}")
    console.facts({"report": str(page)})
