"""``limbeck difference``: whom two releases of almost the same data point at."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.options import Common, ControlData, DataOptions
from limbeck.cli.outputs import require_folder_name
from limbeck.errors import OptionError

EMBEDDINGS = 8
"""Random embeddings to look in, where the releases were not made in public ones of their own."""


def difference(
    *,
    before: Annotated[
        Path, typer.Argument(metavar="BEFORE", help="The release made with the record.")
    ],
    after: Annotated[
        Path, typer.Argument(metavar="AFTER", help="The release made without it, later or earlier.")
    ],
    private: Annotated[
        str, typer.Option(metavar="DATA", help="The private data of BEFORE: the candidates.")
    ],
    control: ControlData = None,
    record: Annotated[
        list[int] | None,
        typer.Option(
            min=0, help="A record that really differs, by its place in the data; repeatable."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of an audit: all goes to its private/.")
    ],
    data: DataOptions,
    common: Common,
) -> int:
    """Rank the private records by how much the difference of two releases points at them.

    For example, where record 17 was deleted before the second release:

        limbeck difference first/ second/ --private digits --record 17 -o audit/

    Whoever has both releases may find the one record that differs. With --record it is told how
    many others come before it, and how likely that is by chance. The ranking goes to
    audit/private/difference.json.
    """
    require_folder_name(output)

    import numpy as np

    from limbeck.audit.images.differencing import difference as scores_of
    from limbeck.audit.images.differencing import point
    from limbeck.audit.images.embedders import known_embedders, random_embedders
    from limbeck.cli.sets import (
        private_folder,
        read_set,
        sides,
        synthesizer_of,
        warn_of_control,
    )
    from limbeck.files import write_json
    from limbeck.workers import one_thread

    records, others = sides(data, private, control, before, after)
    suspects = np.array(sorted(set(record or ())), dtype=np.int64)
    if len(suspects) and suspects[-1] >= len(records):
        raise OptionError(
            f"--record {suspects[-1]}: {records.name} has records 0 to {len(records) - 1}"
        )
    named = ((before, "BEFORE"), (after, "AFTER"))
    first, second = (read_set(path, records, flag) for path, flag in named)
    warn_of_control(private, control, before, after)
    with one_thread():
        known = None
        # A set without a recipe that can be repeated is looked at in random embeddings.
        with suppress(OptionError):
            known = known_embedders(synthesizer_of(first), records)
        embedders = known or random_embedders(records.shape, EMBEDDINGS, seed=common.seed)
        scores = scores_of([first], [second], records, others, embedders)
    order = np.argsort(-scores, kind="stable")
    pointed = point(scores, suspects) if len(suspects) else None
    folder = private_folder(output)
    told = {
        "candidates": len(scores),
        "embeddings": "of the synthesizer" if known is not None else "random",
        "records": suspects.tolist(),
        "ranks": None if pointed is None else pointed.ranks.tolist(),
        "p_value": None if pointed is None else pointed.p_value,
    }
    ranking = {"order": order.tolist(), "scores": scores[order].round(6).tolist()}
    path = write_json(folder / "difference.json", {**told, **ranking}, private=True)
    if common.as_json:
        console.document({**told, "ranking": str(path)})
        return Exit.OK
    facts = {"candidates": f"{len(scores):,}", "ranking": f"{path} (names private records)"}
    if pointed is not None:
        ahead = float(pointed.ranks.min())
        facts = {
            "before the first that differs": f"{ahead:g} of {len(scores) - len(suspects):,} others",
            "by chance": f"p = {pointed.p_value:.2g}",
            **facts,
        }
    console.facts(facts)
    return Exit.OK
