"""What the templates of all pages share: escaping, numbers on paper, nested values as rows."""

import base64
import json
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from limbeck.audit import titles
from limbeck.privacy.digits import up
from limbeck.report import figures, numbers, words
from limbeck.report.headline import at, headline


@cache
def environment() -> Environment:
    """What the templates of all pages share: escaping, numbers on paper, plain words."""
    made = Environment(
        loader=PackageLoader("limbeck.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        percent=numbers.percent,
        p_value=numbers.p_value,
        score=numbers.score,
        lower_bound=numbers.lower_bound,
        rate=numbers.rate,
        plain=numbers.plain,
        upper=numbers.upper,
        duration=numbers.duration,
        memory=numbers.memory,
        guarantee=_guarantee,
        curve=_curve,
        data_uri=_data_uri,
        flat=flat,
    )
    made.globals.update(
        words=words,
        signal_title=titles.signal,
        at=at,
        headline=headline,
        swatch=cache(figures.swatch),
        finite=math.isfinite,
    )
    return made


def flat(values: Mapping[str, Any], *path: str) -> list[tuple[str, str]]:
    """Nested JSON values as (key, text) rows. In a recipe, a method's name stands at its own key.

    >>> flat({"trainer": {"method": "standard", "options": {"epochs": 10}}})
    [('trainer', 'standard'), ('trainer: epochs', '10')]
    """
    rows = []
    for key, value in values.items():
        unnamed = (key == "options" and "method" in values) or (key == "method" and bool(path))
        here = path if unnamed else (*path, key.replace("_", " "))
        if isinstance(value, Mapping) and value:
            rows += flat(value, *here)
        elif not (unnamed and value == {}):
            rows.append((": ".join(here), text(value)))
    return rows


def text(value: Any) -> str:
    """A JSON value on paper."""
    if value is None or value == [] or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return numbers.plain(value)
    if isinstance(value, (list, tuple)):
        if len(value) > 24:
            return f"{len(value):,} values"
        return ", ".join(text(v) for v in value)
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value)


def _guarantee(values: Mapping[str, Any] | None) -> str:
    if values is None:
        return "no formal guarantee"
    epsilon, delta = values.get("epsilon"), values.get("delta")
    said = f"ε = {_bound(epsilon)}, δ = {_bound(delta)}"
    terms = [str(values[k]) for k in ("adjacency", "unit") if k in values]
    said = f"{said} ({', per '.join(terms)})" if terms else said
    return "; ".join([said, *_further(values)])


def _bound(value: Any) -> str:
    return numbers.upper(value) if type(value) in (int, float) else text(value)


def _further(values: Mapping[str, Any]) -> list[str]:
    """What a claim adds up, and the slice that it reaches beyond."""
    said = []
    releases, own, about = values.get("releases") or [], values.get("own"), values.get("about")
    if len(releases) > 1 and own:
        said.append(
            f"the sum of {len(releases)} releases, of which this one's own is "
            f"ε = {_bound(own['epsilon'])}, δ = {_bound(own['delta'])}"
        )
    if about and about.get("limit"):
        said.append(f"about {about['records']}")
    return said


def _curve(values: Mapping[str, Any] | None) -> str:
    """Epsilon at several deltas; empty where one point is all that is known."""
    points = (values or {}).get("curve") or []
    known = [f"{_bound(p['epsilon'])} at {up(p['delta'])}" for p in points]
    return f"ε at δ: {', '.join(known)}" if len(known) > 1 else ""


def _data_uri(content: str | bytes, kind: str) -> str:
    raw = content.encode("utf-8") if isinstance(content, str) else content
    return f"data:{kind};base64,{base64.b64encode(raw).decode('ascii')}"
