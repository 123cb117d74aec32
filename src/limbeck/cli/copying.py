"""``limbeck copying``: how like private records the released images look."""

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.options import Common, DataOptions, require_writable
from limbeck.errors import DatasetError, OptionError


def copying(
    *,
    release: Annotated[
        Path, typer.Argument(metavar="RELEASE", help="A folder that `limbeck condense` wrote.")
    ],
    private: Annotated[str, typer.Option(metavar="DATA", help="The private data.")],
    control: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Like private data, but not in it; the part kept out if left out."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder of an audit: the gallery goes to its private/ part."
        ),
    ] = None,
    data: DataOptions,
    common: Common,
) -> int:
    """Compare released images with their nearest private and control records.

    For example, after `limbeck condense digits -o release/`:

        limbeck copying release/ --private digits -o audit/

    Explicit privacy is the mean distance from a released image to the private set, the figure of
    the Kaleidoscope paper. The gallery audit/private/gallery.html shows the pairs: it holds
    private images. This describes, and is no verdict.
    """
    page = None if output is None else output / "private" / "gallery.html"
    if output is not None:
        if output.exists() and not output.is_dir():
            raise OptionError(f"-o {output}: this is a file; give a folder")
        require_writable(output)

    from limbeck.audit.images.copying import copying as compare
    from limbeck.audit.images.measures import standard
    from limbeck.data.synthetic import SyntheticDataset
    from limbeck.files import write_text
    from limbeck.report.gallery import gallery
    from limbeck.workers import one_thread

    released = SyntheticDataset.load(release)
    records, others = data.load(private)
    if control is not None and control != private:
        others = data.read(control)
    for given in (records, others):
        if (given.shape, given.classes) != (released.shape, released.classes):
            raise DatasetError(
                f"{given.name} has records of shape {given.shape} and {len(given.classes)} "
                f"classes, the release {released.name} {released.shape} and "
                f"{len(released.classes)}; give the data and the data options that it was "
                "condensed with"
            )
    with one_thread():
        seen = compare(released, records, others, standard(records.shape, seed=common.seed))
    if page is not None:
        content = gallery(released, records, others, seen)
        page.parent.mkdir(parents=True, exist_ok=True)
        page.parent.chmod(0o700)
        write_text(page, content)
    if common.as_json:
        console.document(
            {
                "measures": {
                    one.measure: {
                        "explicit_privacy": one.explicit_privacy,
                        "closer_to_private": one.closer.to_json(),
                        "expected": one.expected,
                        "quantiles": one.quantiles(),
                    }
                    for one in seen.measured
                },
                "lpips": seen.lpips,
                "near_duplicates": seen.duplicates,
                "gallery": None if page is None else str(page),
            }
        )
        return Exit.OK
    console.table(
        ["measure", "explicit privacy", "nearer to private than to control", "if alike"],
        [
            [
                one.measure,
                f"{one.explicit_privacy:.4f}",
                console.percent(one.closer),
                f"{one.expected:.1%}",
            ]
            for one in seen.measured
        ],
    )
    facts = {
        "LPIPS": seen.lpips or "computed",
        "near-duplicates left out": f"{seen.duplicates[0]} private, {seen.duplicates[1]} control",
    }
    if page is not None:
        facts["gallery"] = f"{page} (holds private images)"
    console.facts(facts)
    return Exit.OK
