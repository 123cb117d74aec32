"""What a dataset was spent, for the terminal and in JSON values."""

from collections.abc import Mapping
from typing import Any

from limbeck.owner.sheet import Entry, SetTotal, Sheet
from limbeck.owner.spent import Spent, countable, kinds, left, spent
from limbeck.privacy.composition import total
from limbeck.privacy.digits import pair, up
from limbeck.privacy.words import DELTA, fit_for

RULES: Mapping[str, str] = {
    "basic": "epsilons and deltas added up",
    "exact": "mu^2 and privacy loss distributions",
}


def so_far(sheet: Sheet) -> str:
    """One line on what a dataset came to."""
    said = [_kind(one) for one in _sums(sheet)]
    if unbounded := _unbounded(sheet):
        said.append(f"{_count(unbounded)} without a guarantee, which nothing bounds")
    allowed = sheet.total
    if allowed is None:
        said.append("no total is set")
    else:
        said.append(f"of {pair(allowed.epsilon, allowed.delta)} that was set")
    return "; ".join(said)


def facts(sheet: Sheet) -> dict[str, str]:
    """Everything that ``budget show`` says of one dataset."""
    rows = {"dataset": sheet.title, "known as": "\n".join(sheet.sources)}
    sums, allowed = _sums(sheet), sheet.total
    lines = []
    for one in sums:
        lines += [f"{_kind(one)},", f"protecting each {one.unit} under {one.adjacency}"]
        if one.releases > 1 or allowed is not None:
            delta = DELTA if allowed is None else allowed.delta
            exact = one.exactly(delta)
            # Of steps that were only declared by their pair, the sum of the pairs is all there is.
            if exact < float("inf"):
                lines.append(f"by exact composition epsilon {up(exact)} at delta {up(delta)}")
    rows["spent"] = "\n".join(lines) or "nothing"
    if unbounded := _unbounded(sheet):
        rows["besides"] = f"{_count(unbounded)} without a guarantee: nothing bounds what they tell"
    if allowed is None:
        rows["total"] = "none is set: nothing is refused"
        rows["next"] = "limbeck budget set DATA --epsilon 2"
        return rows
    rows["total"] = (
        f"{pair(allowed.epsilon, allowed.delta)} for each {allowed.unit} under "
        f"{allowed.adjacency},\n"
        f"{allowed.composition} composition ({RULES[allowed.composition]});\n"
        f"its delta is fit for data of at most {fit_for(allowed.delta):,} {allowed.unit}s"
    )
    if apart := _apart(sheet, allowed):
        rows["not in it"] = (
            f"{_count(apart)} of another unit or adjacency or without a guarantee:\n"
            "the total says nothing of what they tell"
        )
    epsilon, delta = left(allowed, _under(sheet, allowed))  # of so few digits that ``up`` keeps it
    rows["left"] = (
        f"one release of epsilon {up(epsilon)} at delta {delta!r} (Gaussian noise)"
        if epsilon > 0
        else "nothing: every further release is refused"
    )
    rows["next"] = (
        f"limbeck train DATA --trainer private-ridge --epsilon {up(epsilon)}"
        + ("" if delta == DELTA else f" --delta {delta!r}")
        + ("" if allowed.adjacency == "add-remove" else f" --adjacency {allowed.adjacency}")
        + " -o model/"
        if epsilon > 0
        else "publish what there is once more: post-processing is free"
    )
    return rows


def summary(sheet: Sheet) -> dict[str, Any]:
    """What a dataset was spent, in JSON values, without its history."""
    allowed = sheet.total
    values: dict[str, Any] = {
        "dataset": sheet.title,
        "spent": [
            {
                "unit": one.unit,
                "adjacency": one.adjacency,
                "releases": one.releases,
                "epsilon": one.epsilon,
                "delta": one.delta,
            }
            for one in _sums(sheet)
        ],
        "without_guarantee": _unbounded(sheet),
        "total": None if allowed is None else vars(allowed),
        "left": None,
    }
    if allowed is not None:
        epsilon, delta = left(allowed, _under(sheet, allowed))
        values["left"] = {"epsilon": epsilon, "delta": delta}
        values["outside_the_total"] = _apart(sheet, allowed)
    return values


def details(sheet: Sheet) -> dict[str, Any]:
    """``summary``, with where the data lie and the exact sums, in JSON values."""
    values = summary(sheet)
    delta = DELTA if sheet.total is None else sheet.total.delta
    for said, one in zip(values["spent"], _sums(sheet), strict=True):
        said["exact"] = {"epsilon": one.exactly(delta), "delta": delta}
    return {**values, "sources": list(sheet.sources)}


def cost(entry: Entry) -> str:
    """What one release cost by itself, in a table's cell."""
    if entry.parts is None:
        return "no guarantee"
    said = [pair(one.epsilon, one.delta) for one in (total([p]).guarantee for p in entry.parts)]
    return " and ".join(said)


def _kind(one: Spent) -> str:
    return f"{_count(one.releases)}, {pair(one.epsilon, one.delta)} added up"


def _count(releases: int) -> str:
    return f"{releases} release" + ("" if releases == 1 else "s")


def _sums(sheet: Sheet) -> list[Spent]:
    return [spent(sheet.entries, unit, adjacency) for unit, adjacency in kinds(sheet.entries)]


def _under(sheet: Sheet, allowed: SetTotal) -> Spent:
    return spent(sheet.entries, allowed.unit, allowed.adjacency)


def _unbounded(sheet: Sheet) -> int:
    return sum(
        entry.parts is None or not all(part.whole for part in entry.parts)
        for entry in sheet.entries
    )


def _apart(sheet: Sheet, allowed: SetTotal) -> int:
    return sum(not countable(e, allowed.unit, allowed.adjacency) for e in sheet.entries)
