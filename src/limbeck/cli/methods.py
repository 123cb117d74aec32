"""``limbeck methods``: what there is, read from the registry without loading any method."""

import dataclasses
import shutil
from typing import Annotated

import typer

from limbeck import registry
from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.options import Common
from limbeck.errors import OptionError

_WIDE = 140
"""Columns of a terminal from which the list has room for guarantees and costs."""


def methods(
    *,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A method, to list its options.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/methods.md.")
    ] = False,
    common: Common,
) -> int:
    """List the methods, or the options of one.

    For example:

        limbeck methods dm
    """
    if markdown:
        if name is not None or common.as_json:
            raise OptionError("--markdown prints the whole page; give it alone")
        from limbeck.cli.method_page import page

        console.result(page())
    elif name is not None:
        _one(name, common.as_json)
    elif common.as_json:
        console.document({"methods": [dataclasses.asdict(m) for m in registry.methods().values()]})
    else:
        columns = ["name", "kind", "access", "paper"]
        if shutil.get_terminal_size().columns >= _WIDE:
            columns += ["guarantee", "cost"]
        rows = [[getattr(m, column) for column in columns] for m in registry.by_kind()]
        console.table(columns, rows)
        console.note("`limbeck methods NAME` lists the options of one")
    return Exit.OK


def _one(name: str, as_json: bool) -> None:
    from limbeck.cli.method_page import options

    cls = registry.load(name)
    method = registry.methods()[name]
    listed = options(cls)
    if as_json:
        console.document(
            {**dataclasses.asdict(method), "options": [dataclasses.asdict(o) for o in listed]}
        )
        return
    shown = dataclasses.asdict(method)
    shown["class"] = f"{shown.pop('module')}.{shown.pop('cls')}"
    console.facts(shown)
    console.result("")
    console.table(["option", "type", "default"], [[o.name, o.type, o.default] for o in listed])
