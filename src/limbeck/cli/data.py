"""``limbeck data``: which data is within reach, and what a dataset holds."""

import dataclasses
from typing import Annotated

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.options import Common, DataOptions


def data(
    *,
    source: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="A source by name, a file or a folder, to look into."),
    ] = None,
    options: DataOptions,
    common: Common,
) -> int:
    """List the data sources within reach, or describe one dataset.

    For example, what 500 of the digits hold:

        limbeck data digits --limit 500
    """
    if source is None:
        return _sources(common.as_json)
    private, test = options.load(source)
    counts = zip(private.classes, private.counts().tolist(), test.counts().tolist(), strict=True)
    rows = [[name, str(ours), str(held_out)] for name, ours, held_out in counts]
    if common.as_json:
        console.document(
            {
                "name": private.name,
                "shape": private.shape,
                "private_records": len(private),
                "test_records": len(test),
                "classes": [
                    {"name": name, "private": int(ours), "test": int(held_out)}
                    for name, ours, held_out in rows
                ],
                "classes_from": private.classes_from,
                "grouped": private.groups is not None,
                "mirror": private.mirror,
                "fingerprint": private.fingerprint(),
            }
        )
        return Exit.OK
    console.facts(
        {
            "name": private.name,
            "record": "x".join(map(str, private.shape)),
            "private": f"{len(private)} records, mean value {float(private.inputs.mean()):.3f}",
            "test": f"{len(test)} records",
            "groups": "none" if private.groups is None else f"{len(set(private.groups.tolist()))}",
            "mirrored": "keeps its label" if private.mirror else "changes its label",
        }
    )
    console.result("")
    console.table(["class", "private", "test"], rows)
    return Exit.OK


def _sources(as_json: bool) -> int:
    from limbeck.data import sources

    found = sources.available()
    if as_json:
        console.document({"sources": [dataclasses.asdict(s) for s in found]})
    else:
        console.table(
            ["source", "what it is", "within reach", "where"],
            [[s.name, s.summary, "yes" if s.reachable else "no", s.where] for s in found],
        )
    return Exit.OK
