"""``limbeck report``: one HTML file from an audit."""

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.options import Common
from limbeck.cli.outputs import require_writable
from limbeck.errors import OptionError


def report(
    *,
    audit: Annotated[
        Path, typer.Argument(metavar="AUDIT", help="A folder that `limbeck audit` wrote.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The HTML file; AUDIT/report.html if left out."),
    ] = None,
    share: Annotated[
        bool,
        typer.Option("--share", help="Keep only aggregates; the report says what that means."),
    ] = False,
    common: Common,
) -> int:
    """Write one self-contained HTML page from the evidence of an audit.

    For example, after `limbeck audit ... -o audit/`:

        limbeck report audit/ -o report.html

    The evidence is computed from private data without noise: the page is internal unless --share.
    """
    path = output or audit / "report.html"
    if path.is_dir():
        raise OptionError(f"-o {path}: this is a folder; give a file name, for example report.html")
    require_writable(path)

    from limbeck.report import report as write

    write(audit, path, share=share)
    if common.as_json:
        console.document({"report": str(path), "bytes": path.stat().st_size, "share": share})
    else:
        console.facts({"report": str(path), "size": f"{path.stat().st_size / 1e6:.2f} MB"})
    return Exit.OK
