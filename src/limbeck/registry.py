"""The registry of methods: what exists, by name, with its paper, access and guarantee.

A method is one module that applies ``@register(...)`` to its class. The decorator's arguments
are literals, so the table of methods is read from the source text alone: listing them imports
no method and no heavy package. Loading a method imports just its module.
"""

import ast
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from limbeck.errors import OptionError
from limbeck.types import Access

Kind = Literal["synthesizer", "initialisation", "trainer", "mechanism", "attack"]

_PACKAGES = ("synthesize", "train", "mechanism", "audit/attacks")
_loaded: dict[str, type] = {}
_added: dict[str, "Method"] = {}
T = TypeVar("T", bound=type)


@dataclass(frozen=True)
class Method:
    """One line of ``limbeck methods``.

    ``access`` says how the method reads private data, ``guarantee`` which formal guarantee it
    can give ("none" where it cannot), and ``cost`` what a typical run takes, in words.
    ``private_form`` is the method that reads the same statistics with a guarantee, and its options
    as words of ``--set``; empty where there is none.
    """

    name: str
    kind: Kind
    summary: str
    paper: str
    access: Access
    guarantee: str
    cost: str
    module: str
    cls: str
    private_form: str = ""


def register(
    name: str,
    *,
    kind: Kind,
    summary: str,
    paper: str,
    access: Access = "records",
    guarantee: str = "none",
    cost: str = "",
    private_form: str = "",
) -> Callable[[T], T]:
    """Class decorator that makes a method known under ``name``. All arguments are literals."""

    def decorate(cls: T) -> T:
        method = Method(
            name=name,
            kind=kind,
            summary=summary,
            paper=paper,
            access=access,
            guarantee=guarantee,
            cost=cost,
            module=cls.__module__,
            cls=cls.__name__,
            private_form=private_form,
        )
        known = methods().get(name)
        if known is not None and (known.module, known.cls) != (method.module, method.cls):
            raise OptionError(
                f"method {name!r} is already registered by {known.module}.{known.cls}; "
                f"choose another name for {cls.__module__}.{cls.__name__}"
            )
        if known is None:
            _added[name] = method
        _loaded[name] = cls
        cls.method_name = name  # type: ignore[attr-defined]
        return cls

    return decorate


@cache
def _built_in() -> dict[str, Method]:
    root = Path(__file__).parent
    found: dict[str, Method] = {}
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            module = ".".join(["limbeck", *path.relative_to(root).with_suffix("").parts])
            for method in _read_source(path.read_text(encoding="utf-8"), module):
                if method.name in found:
                    raise OptionError(f"method {method.name!r} is registered twice: {module}")
                found[method.name] = method
    return found


def _read_source(source: str, module: str) -> list[Method]:
    found = []
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for call in node.decorator_list:
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Name)
                and call.func.id == "register"
            ):
                values: dict[str, Any] = {
                    str(k.arg): ast.literal_eval(k.value) for k in call.keywords
                }
                defaults = {"access": "records", "guarantee": "none", "cost": ""}
                name = ast.literal_eval(call.args[0])
                found.append(
                    Method(name=name, module=module, cls=node.name, **{**defaults, **values})
                )
    return found


def methods(kind: Kind | None = None) -> dict[str, Method]:
    """Every known method by name, in alphabetical order; only those of ``kind`` if given."""
    everything = {**_built_in(), **_added}
    return {
        name: everything[name]
        for name in sorted(everything)
        if kind is None or everything[name].kind == kind
    }


def by_kind() -> list[Method]:
    """Every known method for people to read: kind by kind, in the order of ``Kind``."""
    order = get_args(Kind)
    return sorted(methods().values(), key=lambda method: order.index(method.kind))


def load(name: str, kind: Kind | None = None) -> Any:
    """The class registered under ``name`` (and of ``kind``); OptionError lists the known names."""
    known = methods(kind)
    if name not in known:
        what = kind or "method"
        raise OptionError(f"no {what} is called {name!r}; there are: {', '.join(known)}")
    if name not in _loaded:
        importlib.import_module(known[name].module)
    return _loaded[name]
