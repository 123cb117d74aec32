"""``limbeck budget``: what all private releases of a dataset cost together, and what they may."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.options import shell
from limbeck.errors import OptionError, StoreError
from limbeck.types import Adjacency, Unit

if TYPE_CHECKING:
    import limbeck.owner.sheet

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout instead of tables.")
]
Data = Annotated[
    str, typer.Argument(metavar="DATA", help="A source by name, a file, a folder, or its --name.")
]


def show(
    *,
    source: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="One dataset; all of them if left out."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Say what was spent of a dataset, what is left, and which epsilon would still fit.

    For example, of every dataset, and of one:

        limbeck budget show
        limbeck budget show digits
    """
    from limbeck.cli import budget_words as words
    from limbeck.owner import Book

    book = Book.usual()
    if source is None:
        sheets = book.sheets()
        if as_json:
            console.document(
                {"folder": str(book.folder), "datasets": list(map(words.details, sheets))}
            )
        elif not sheets:
            console.result(f"nothing was entered yet in {book.folder}")
        else:
            console.table(
                ["dataset", "releases", "so far"],
                [[s.title, str(len(s.entries)), words.so_far(s)] for s in sheets],
            )
        return Exit.OK
    sheet = _found(source)
    if as_json:
        console.document(words.details(sheet))
    else:
        rows = words.facts(sheet)
        rows["next"] = rows["next"].replace("DATA", shell(source))
        console.facts(rows)
    return Exit.OK


def set_(
    *,
    source: Data,
    epsilon: Annotated[
        float | None, typer.Option(help="What all releases together may come to.")
    ] = None,
    delta: Annotated[
        float | None, typer.Option(help="Its delta: 1e-4, or 1e-5 with --composition exact.")
    ] = None,
    unit: Annotated[Unit, typer.Option(help="What each release has to protect.")] = "record",
    adjacency: Annotated[
        Adjacency, typer.Option(help="The neighbours of every release.")
    ] = "add-remove",
    composition: Annotated[
        Literal["basic", "exact"],
        typer.Option(help="basic: epsilons add up; exact: by mu^2 and loss distributions."),
    ] = "basic",
    name: Annotated[
        str | None,
        typer.Option(help="Call the dataset so; data of an equal name are the same data."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Set the total of a dataset: condense and train refuse what would exceed it.

    For example, two releases of epsilon 1 and no third; and an edited copy, of the same people:

        limbeck budget set digits --epsilon 2 --name scans
        limbeck budget set edited.csv --name scans
    """
    from limbeck.cli import budget_words as words
    from limbeck.data.sources import is_named
    from limbeck.owner import Book, SetTotal

    if epsilon is None and delta is not None:
        raise OptionError("--delta: say the --epsilon of the total too")
    if epsilon is None and name is None:
        raise OptionError("give --epsilon, the total, or --name, what to call the dataset")
    if name is not None and (not name.strip() or is_named(name)):
        raise OptionError(f"--name {name!r}: it is empty or a source's; choose another name")
    book = Book.usual()
    there = is_named(source) or Path(source).expanduser().exists()
    if not there and book.find(source) is None:
        raise StoreError(f"{source!r} is no source, file, folder or dataset by name; correct it")
    total = None
    if epsilon is not None:
        usual = 1e-4 if composition == "basic" else 1e-5
        total = SetTotal(epsilon, usual if delta is None else delta, unit, adjacency, composition)
    sheet = book.set_total(source, total, name=name)
    if as_json:
        console.document(words.details(sheet))
    else:
        rows = words.facts(sheet)
        rows["next"] = rows["next"].replace("DATA", shell(source))
        console.facts(rows)
    return Exit.OK


def history(*, source: Data, as_json: Json = False) -> int:
    """List every private release of a dataset, and every total that was set.

    For example:

        limbeck budget history digits
    """
    from limbeck.cli import budget_words as words
    from limbeck.privacy.digits import pair
    from limbeck.privacy.owed import on_card

    sheet = _found(source)
    if as_json:
        console.document(
            {
                **words.details(sheet),
                "totals": [vars(one) for one in sheet.totals],
                "entries": [
                    {
                        **vars(entry),
                        "parts": None
                        if entry.parts is None
                        else [on_card(part) for part in entry.parts],
                    }
                    for entry in sheet.entries
                ],
            }
        )
        return Exit.OK
    rows = [
        [
            entry.time,
            f"{entry.command} {entry.method}" + (f", limit {entry.limit}" if entry.limit else ""),
            words.cost(entry),
            entry.state,
            entry.output or "",
        ]
        for entry in sheet.entries
    ]
    rows += [
        [
            one.time,
            f"total set, {one.composition}",
            pair(one.epsilon, one.delta),
            "",
            "",
        ]
        for one in sheet.totals
    ]
    rows.sort(key=lambda row: row[0])
    for row in rows:
        row[0] = row[0][:19].replace("T", " ")
    console.table(["time (UTC)", "what", "cost", "state", "output"], rows)
    console.result("")
    console.result("entered and failed are spent as done is: noise may have been drawn and seen")
    return Exit.OK


def _found(source: str) -> "limbeck.owner.sheet.Sheet":
    from limbeck.owner import Book

    book = Book.usual()
    sheet = book.find(source)
    if sheet is None:
        raise StoreError(
            f"{source}: no release of it was entered in {book.folder}, and no total set; "
            "`limbeck budget show` lists what there is"
        )
    return sheet
