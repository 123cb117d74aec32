"""``limbeck reconstruct``: private records solved for from a released set with learned labels."""

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.options import Common, ControlData, DataOptions, PrivateData
from limbeck.cli.outputs import require_folder_name


def reconstruct(
    *,
    release: Annotated[
        Path, typer.Argument(metavar="RELEASE", help="A set with learned labels, as KIP makes.")
    ],
    private: PrivateData,
    control: ControlData = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Records to solve for; as many as the set has if left out."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the solver.")] = 400,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of an audit: all goes to its private/.")
    ],
    data: DataOptions,
    common: Common,
) -> int:
    """Solve for private records in a set with learned labels, and compare them with the real ones.

    For example, after `limbeck condense digits --method kip --set learn_labels=true -o release/`:

        limbeck reconstruct release/ --private digits --count 20 -o audit/

    The attack of Loo et al. 2023 on the kernel regression that the set stands for. It succeeded
    where the solved records lie nearer to private than to control records, and nearer than the
    released ones do: those are what anybody has. They go to audit/private/.
    """
    require_folder_name(output)

    from limbeck.audit.images.copying import copying
    from limbeck.audit.images.measures import standard
    from limbeck.audit.images.reconstruction import reconstruct as solve
    from limbeck.cli.progress import Bar
    from limbeck.cli.sets import private_folder, read_set, sides, warn_of_control
    from limbeck.files import write_json, write_safetensors, write_text
    from limbeck.report.gallery import gallery
    from limbeck.workers import one_thread

    records, others = sides(data, private, control, release)
    released = read_set(release, records, "RELEASE")
    warn_of_control(private, control, release)
    with one_thread(), Bar("solving") as bar:
        found = solve(
            released,
            count or len(released),
            steps=steps,
            seed=common.seed,
            progress=lambda share: bar.update(share, "solving"),
        )
        measures = standard(records.shape, seed=common.seed)
        solved, beside = (
            copying(each, records, others, measures) for each in (found.guesses, released)
        )
    told = {
        one.measure: {
            "solved": one.explicit_privacy,
            "released": other.explicit_privacy,
            "closer_to_private": one.closer.to_json(),
            "expected": one.expected,
        }
        for one, other in zip(solved.measured, beside.measured, strict=True)
    }
    values = {"records": len(found.guesses), "unexplained": found.unexplained, "measures": told}
    folder = private_folder(output)
    kept = {"inputs": found.guesses.inputs, "labels": found.guesses.labels}
    write_safetensors(folder / "reconstructed.safetensors", kept, private=True)
    write_json(folder / "reconstruction.json", values, private=True)
    page = None
    if records.is_images and records.shape[0] in (1, 3):
        page = folder / "reconstructed.html"
        write_text(page, gallery(found.guesses, records, others, solved), private=True)
    if common.as_json:
        console.document({**values, "folder": str(folder)})
        return Exit.OK
    console.table(
        [
            "measure",
            "solved to private",
            "released to private",
            "nearer to private than to control",
            "if alike",
        ],
        [
            [
                one.measure,
                f"{one.explicit_privacy:.4f}",
                f"{other.explicit_privacy:.4f}",
                console.percent(one.closer),
                f"{one.expected:.1%}",
            ]
            for one, other in zip(solved.measured, beside.measured, strict=True)
        ],
    )
    facts = {
        "of the set's function unexplained": f"{found.unexplained:.1%}",
        "solved records": f"{page or folder} (beside private images)",
    }
    console.facts(facts)
    return Exit.OK
