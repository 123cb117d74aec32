"""Options of a method as its class declares them, and the generated page of all methods."""

import dataclasses
import inspect
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limbeck import registry

_HEAD = """# Methods

<!-- Written by `make docs` from the registry; edit the methods, not this page. -->

*Access* is how a method reads private data: `none`, `sums` of bounded per-record statistics, or
`records` freely. *Guarantee* is the formal guarantee it can give; `none` means that only an audit
says what a release leaks."""


@dataclass(frozen=True)
class Option:
    """One option of a method; ``default`` is "required" where there is none."""

    name: str
    type: str
    default: str


def options(cls: type) -> list[Option]:
    """The options of a method class, in the order it declares them."""
    listed = []
    hints = typing.get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        if field.default_factory is not dataclasses.MISSING:
            shown = repr(field.default_factory())
        elif field.default is not dataclasses.MISSING:
            shown = repr(field.default)
        else:
            shown = "required"
        listed.append(Option(field.name, _type(hints[field.name]), shown))
    return listed


def _type(annotation: Any) -> str:
    """An annotation in words: ``Annotated[int, Field(ge=1)] | None`` is "int >= 1 | None"."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return " ".join([_type(parts[0]), *_limits(parts[1:])])
    if origin is typing.Literal:
        return " | ".join(map(repr, parts))
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(_type, parts))
    if annotation is type(None):
        return "None"
    if isinstance(annotation, type) and origin is None:
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _limits(marks: Sequence[Any]) -> list[str]:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return [
        f"{sign} {getattr(limit, name)}"
        for mark in marks
        for limit in getattr(mark, "metadata", [mark])
        for name, sign in signs.items()
        if hasattr(limit, name)
    ]


def page() -> str:
    """The Markdown of docs/methods.md: a table of all methods, then each with its options."""
    known = registry.by_kind()
    rows = [
        [f"[{m.name}](#{m.name})", m.kind, m.summary, m.access, m.guarantee, m.cost] for m in known
    ]
    parts = [_HEAD, _table(["name", "kind", "what it does", "access", "guarantee", "cost"], rows)]
    for method in known:
        cls = registry.load(method.name)
        parts += [
            f"## {method.name}",
            inspect.getdoc(cls) or method.summary,
            f"Paper: {method.paper}. Python: `{method.module}.{method.cls}`.",
            *([f"With a guarantee: `{method.private_form}`."] if method.private_form else []),
        ]
        listed = [[f"`{o.name}`", f"`{o.type}`", f"`{o.default}`"] for o in options(cls)]
        if listed:
            parts.append(_table(["option", "type", "default"], listed))
    return "\n\n".join(parts)


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in r) + " |" for r in lines)
