"""``limbeck predict``: what a released classifier says of data."""

import csv
import io
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.options import Common, DataOptions
from limbeck.cli.outputs import require_writable
from limbeck.errors import DatasetError, OptionError, StoreError

_FORMATS = (".npz", ".csv", ".json")


def predict(
    *,
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A folder with a released classifier.")
    ],
    source: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="A source by name, a file or a folder; labels may be missing."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File for the predictions: .npz, .csv or .json."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace that file.")] = False,
    held_out: Annotated[
        bool,
        typer.Option(
            "--held-out", help="Of a file that MODEL was trained on: the part that was kept out."
        ),
    ] = False,
    data: DataOptions,
    common: Common,
) -> int:
    """Classify DATA with the classifier in MODEL.

    For example, after `limbeck train digits --epsilon 3 -o model/`:

        limbeck predict model/ digits -o predictions.csv

    Prints the accuracy where DATA has labels. Of data with a test part, that part is classified;
    of other files all records, those that MODEL was trained on too, unless --held-out is given
    with the data options of training (--test-share, --split-seed, --group, --label, --range).
    Labels are not needed in a .npz file (inputs alone) nor for images that lie in one folder.
    """
    if output is not None:
        if output.suffix not in _FORMATS:
            raise OptionError(f"-o {output}: name a file that ends in {', '.join(_FORMATS)}")
        if output.exists() and not force:
            raise StoreError(f"-o {output}: exists already; choose another or add --force")
        require_writable(output)

    import torch

    from limbeck.data.sources.unlabelled import inputs_only
    from limbeck.files import write_bytes
    from limbeck.train.released import ReleasedClassifier
    from limbeck.workers import one_thread

    released = ReleasedClassifier.load(model)
    if held_out:
        _require_same_split(model, released.card.get("split"), data)
    inputs, labels = None, None
    if not held_out:
        inputs = inputs_only(
            source, size=data.size, channels=data.channels, value_range=data.range()
        )
    if inputs is None:
        claims = released.card.get("guarantee") is not None  # loaded as for training
        test = data.load(source, guaranteed=claims)[1] if held_out else data.read(source)
        test.require_some()
        inputs, labels = test.inputs, _numbered(test.labels.tolist(), test.classes, released)
    if tuple(inputs.shape[1:]) != released.shape:
        raise DatasetError(
            f"{source}: records have shape {tuple(inputs.shape[1:])}, the classifier in {model} is "
            f"for {released.shape}; images: say --size and --channels"
        )
    with one_thread():
        logits = released.classifier.logits(inputs)
    chosen = logits.argmax(1)
    accuracy = None
    if labels is not None:
        accuracy = float((chosen == torch.tensor(labels)).double().mean())
    if output is not None:
        write_bytes(output, _written(output.suffix, chosen.tolist(), logits, released.classes))
    counts = torch.bincount(chosen, minlength=len(released.classes)).tolist()
    claimed = released.card.get("guarantee")
    if common.as_json:
        console.document(
            {
                "model": str(model),
                "records": len(chosen),
                "accuracy": accuracy,
                "predicted": dict(zip(released.classes, counts, strict=True)),
                "predictions": None if output is None else str(output),
                "guarantee": claimed,
            }
        )
        return Exit.OK
    facts = {"records": str(len(chosen))}
    if accuracy is not None:
        facts["accuracy"] = f"{accuracy:.1%}"
    pairs = zip(released.classes, counts, strict=True)
    facts["predicted"] = ", ".join(f"{name} {count}" for name, count in pairs)
    if output is not None:
        facts["predictions"] = str(output)
    facts["guarantee"] = "\n".join(released.card.get("in_words") or ["none"])
    console.facts(facts)
    return Exit.OK


def _require_same_split(model: Path, split: Any, data: DataOptions) -> None:
    """OptionError where other records would be called kept out than training kept out."""
    if split == data.split():
        return
    if not isinstance(split, dict):
        raise OptionError(f"--held-out: {model} does not say how the data were split for it")
    differing = {n: split.get(n) for n, value in data.split().items() if split.get(n) != value}
    trained = " and ".join(
        f"{'without' if value is None else 'with'} --{name.replace('_', '-')}"
        + ("" if value is None else f" {_word(value)}")
        for name, value in differing.items()
    )
    raise OptionError(
        f"--held-out: {model} was trained {trained or 'by another limbeck'}; give the same"
    )


def _word(value: Any) -> str:
    """An option's value from a card, as it is given on the command line."""
    return ":".join(f"{v!s:.20}" for v in value) if isinstance(value, list) else f"{value!s:.60}"


def _numbered(labels: list[int], classes: tuple[str, ...], released: Any) -> list[int]:
    """Labels in the classifier's own numbers; DatasetError for a class that it does not know."""
    strange = [name for name in classes if name not in released.classes]
    if strange:
        raise DatasetError(
            f"class {strange[0]!r} is not among the {len(released.classes)} that the classifier "
            f"knows ({', '.join(released.classes[:6])}); rename it, or give data of its classes"
        )
    return [released.classes.index(classes[label]) for label in labels]


def _written(suffix: str, chosen: list[int], logits: Any, classes: tuple[str, ...]) -> bytes:
    """The predictions as a file: the class of each record, and its logits."""
    import numpy as np

    names = [classes[k] for k in chosen]
    if suffix == ".npz":
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            predictions=np.array(chosen),
            logits=logits.numpy(),
            classes=np.array(classes),
        )
        return buffer.getvalue()
    if suffix == ".json":
        rows = {"classes": list(classes), "predictions": names, "logits": logits.tolist()}
        return (json.dumps(rows) + "\n").encode()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["record", "prediction", *(f"logit {name}" for name in classes)])
    for i, (name, row) in enumerate(zip(names, logits.tolist(), strict=True)):
        writer.writerow([i, name, *(f"{value:.6g}" for value in row)])
    return text.getvalue().encode()
