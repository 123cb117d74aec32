"""The page of a comparison: one HTML file that needs nothing but a browser, and no network."""

import base64
import hashlib
import math
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader

from limbeck.audit.evidence import Estimate
from limbeck.experiments import figures
from limbeck.experiments.comparison import Comparison, Leak, Row
from limbeck.experiments.pareto import front
from limbeck.report.templates import environment

PAGE = "comparison.html"

ROLES = {
    "given": "",
    "random-subset": "company: real records, as many of each class",
    "full-data": "company: no defence at all",
    "dp-synthesizer": "company: a synthesizer with a guarantee",
    "dp-sgd": "company: DP-SGD as accurate as the best condenser",
}
OUTCOMES = {"leak": "leaks", "none-found": "no leak found", "unclear": "unclear"}


def page(comparison: Comparison) -> str:
    """The page's HTML; the same comparison gives the same bytes."""
    rows, fpr = comparison.rows, comparison.fpr
    script = files("limbeck.experiments").joinpath("sort.js").read_text(encoding="utf-8").strip()
    marks = [_mark(number, row, row.utility) for number, row in enumerate(rows, 1)]
    costs = [
        _mark(number, row, Estimate(value=row.cost.release_seconds))
        for number, row in enumerate(rows, 1)
    ]
    cheap = front([(-mark.across.value, mark.leak.value) for mark in costs])
    worth = [number for number, row in enumerate(rows, 1) if row.on_front]
    return (
        _environment()
        .get_template("comparison.html.j2")
        .render(
            found=comparison,
            rows=rows,
            fpr=fpr,
            script=script,
            # The page runs this script and no other, whatever a name may hold.
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            utility=figures.utility(marks, worth, fpr),
            cost=figures.cost(costs, [n for n, on in enumerate(cheap, 1) if on], fpr),
            roles=ROLES,
            outcomes=OUTCOMES,
            sortable=sortable,
        )
    )


def _mark(number: int, row: Row, across: Estimate) -> figures.Mark:
    leak = Estimate.of(row.point.leak)
    return figures.Mark(number, row.role != "given", across, leak)


def sortable(value: Any) -> str:
    """What a cell is sorted by: a number, or nothing where there is none."""
    if isinstance(value, Leak):
        value = None if value.operating is None else value.operating.tpr
    if isinstance(value, Estimate):
        value = value.value
    return f"{value:.6g}" if value is not None and math.isfinite(value) else ""


@cache
def _environment() -> Environment:
    known = environment()
    loaders = [PackageLoader("limbeck.experiments", "."), known.loader]
    return known.overlay(loader=ChoiceLoader([one for one in loaders if one is not None]))
