"""``limbeck export``: a release in a format that other tools read."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.options import Common
from limbeck.cli.outputs import require_writable


def export(
    *,
    release: Annotated[
        Path, typer.Argument(metavar="RELEASE", help="A folder that `limbeck condense` wrote.")
    ],
    to: Annotated[
        Literal["npz", "folder", "huggingface"],
        typer.Option(help="A NumPy archive, a folder of images per class, or Hugging Face."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The new file or folder; it must not exist.")
    ],
    common: Common,
) -> int:
    """Write RELEASE in a format that other tools read.

    For example, after `limbeck condense digits -o release/`:

        limbeck export release/ --to npz -o digits.npz
        limbeck export release/ --to folder -o digits/

    The card stays in RELEASE: hand it on with the export.
    """
    require_writable(output)

    from limbeck.data.export import export as write
    from limbeck.data.export import losses
    from limbeck.data.synthetic import SyntheticDataset
    from limbeck.privacy.statement import printed

    synthetic = SyntheticDataset.load(release)
    write(synthetic, output, to)
    lost = losses(synthetic, to)
    real = synthetic.card.get("holds_real_records")
    if common.as_json:
        console.document(
            {
                "release": str(release),
                "format": to,
                "export": str(output),
                "records": len(synthetic),
                "lost": lost,
                "holds_real_records": real,
                "guarantee": synthetic.card.get("guarantee"),
            }
        )
        return Exit.OK
    console.facts(
        {
            "export": str(output),
            "records": f"{len(synthetic)} in {len(synthetic.classes)} classes",
            "left out": ", ".join(lost) or "nothing",
            "real records": "unknown" if real is None else "yes" if real else "no",
            "guarantee": printed(synthetic.card.get("guarantee")),
        }
    )
    return Exit.OK
