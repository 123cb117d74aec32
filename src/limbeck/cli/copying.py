"""``limbeck copying``: how like private records the released images look."""

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.options import Common, ControlData, DataOptions, PrivateData
from limbeck.cli.outputs import require_folder_name


def copying(
    *,
    release: Annotated[
        Path,
        typer.Argument(metavar="RELEASE", help="A release, an .npz file or a folder of images."),
    ],
    private: PrivateData,
    control: ControlData = None,
    lpips_weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also measure LPIPS: AlexNet's features and its linear layers, as safetensors.",
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
    the Kaleidoscope paper, which takes LPIPS for the distance. Limbeck ships no weights of LPIPS
    and computes it where you give them: torchvision's features.N.weight and .bias, and the
    metric's linL.model.1.weight. The gallery audit/private/gallery.html shows the pairs: it holds
    private images. This describes, and is no verdict.
    """
    page = None if output is None else output / "private" / "gallery.html"
    if output is not None:
        require_folder_name(output)

    from limbeck.audit.images.copying import copying as compare
    from limbeck.audit.images.lpips_weights import load_lpips
    from limbeck.audit.images.measures import standard
    from limbeck.cli.sets import private_folder, read_set, sides, warn_of_control
    from limbeck.files import write_text
    from limbeck.report.gallery import gallery
    from limbeck.workers import one_thread

    records, others = sides(data, private, control, release)
    released = read_set(release, records, "RELEASE")
    warn_of_control(private, control, release)
    lpips = None if lpips_weights is None else load_lpips(lpips_weights)
    with one_thread():
        measures = standard(records.shape, seed=common.seed)
        seen = compare(released, records, others, measures, lpips=lpips)
    if page is not None:
        content = gallery(released, records, others, seen)
        write_text(private_folder(page.parent.parent) / page.name, content, private=True)
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
