"""Options of a method as its class declares them, and the generated page of all methods."""

import dataclasses
import inspect
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
    for field in dataclasses.fields(cls):
        if field.default_factory is not dataclasses.MISSING:
            shown = repr(field.default_factory())
        elif field.default is not dataclasses.MISSING:
            shown = repr(field.default)
        else:
            shown = "required"
        listed.append(Option(field.name, _type(field.type), shown))
    return listed


def _type(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("limbeck.", "")


def page() -> str:
    """The Markdown of docs/methods.md: a table of all methods, then each with its options."""
    known = registry.methods().values()
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
        ]
        listed = [[f"`{o.name}`", f"`{o.type}`", f"`{o.default}`"] for o in options(cls)]
        if listed:
            parts.append(_table(["option", "type", "default"], listed))
    return "\n\n".join(parts)


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in r) + " |" for r in lines)
