"""Options of a method as data: validated when made, written to cards and plans, read back.

Every synthesizer, trainer and mechanism is a frozen dataclass made with ``options``: its fields
are its options, its registered name is its key, and ``recipe``/``from_recipe`` turn it into JSON
values and back. Nested methods (a pipeline's synthesizer) nest in the recipe.
"""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import pydantic
from pydantic.dataclasses import dataclass as pydantic_dataclass

from limbeck import registry
from limbeck.errors import OptionError

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def options(cls: type[T]) -> type[T]:
    """A frozen dataclass of validated fields; unknown, ill-typed and infinite ones are refused."""
    made: Any = pydantic_dataclass(
        frozen=True,
        config=pydantic.ConfigDict(
            extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False
        ),
    )(cls)
    return made  # type: ignore[no-any-return]


def recipe(method: Any) -> dict[str, Any]:
    """``{"method": name, "options": {...}}`` with every option spelled out, in JSON values."""
    values = {f.name: _plain(getattr(method, f.name)) for f in dataclasses.fields(method)}
    return {"method": method.method_name, "options": values}


def _plain(value: Any) -> Any:
    if hasattr(value, "method_name"):
        return recipe(value)
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def from_recipe(written: dict[str, Any]) -> Any:
    """The method that ``recipe`` described; OptionError names what is unknown or out of range."""
    if not isinstance(written, dict) or set(written) - {"method", "options"}:
        raise OptionError(f"a recipe has the keys 'method' and 'options', not {written!r:.80}")
    return build(str(written.get("method")), written.get("options", {}))


def build(name: str, values: object, kind: registry.Kind | None = None) -> Any:
    """The registered method ``name`` with a dict of options; OptionError where they do not fit."""
    cls = registry.load(name, kind)
    if not isinstance(values, dict):
        raise OptionError(f"{name}: options are written as {{name: value}}, not {values!r:.60}")
    known = [f.name for f in dataclasses.fields(cls)]
    unknown = [str(key) for key in values if key not in known]
    if unknown:
        raise OptionError(
            f"{name} has no option {unknown[0]!r:.60}; it has: {', '.join(known) or 'none'}"
        )
    given = {
        k: from_recipe(v) if isinstance(v, dict) and "method" in v else v for k, v in values.items()
    }
    try:
        return cls(**given)
    except pydantic.ValidationError as error:
        raise OptionError(f"{name}: {one_line(error)}") from None
    except TypeError as error:
        raise OptionError(f"{name}: {error}") from None


def one_line(error: pydantic.ValidationError) -> str:
    """Pydantic's report as one line: each option, what was given, what is expected."""
    parts = []
    for item in error.errors():
        where = ".".join(str(p) for p in item["loc"]) or "options"
        message = item["msg"].removeprefix("Value error, ")
        # What was given for a missing option is all the others.
        given = "" if item["type"].startswith("missing") else f" (given: {item.get('input')!r:.60})"
        parts.append(f"option {where!r}: {message}{given}")
    return "; ".join(parts)
