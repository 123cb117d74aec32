"""Two files of the same data as one."""

from dataclasses import replace

from limbeck.errors import BudgetError
from limbeck.owner.sheet import SetTotal, Sheet


def merged(kept: Sheet, gone: Sheet) -> Sheet:
    """``kept`` with all that ``gone`` knows; an entry that is in both is counted once.

    Of two totals the stricter holds. BudgetError where they cannot be compared.
    """
    entries = {one.id: one for one in (*kept.entries, *gone.entries)}
    # Sorting keeps the order of equal times: the last total of a file is the one that holds.
    totals = sorted(dict.fromkeys((*kept.totals, *gone.totals)), key=lambda one: one.time)
    first, second = kept.total, gone.total
    if first is not None and second is not None and first != second:
        totals = [*totals, _stricter(kept, first, gone, second)]
    return replace(
        kept,
        name=kept.name or gone.name,
        sources=tuple(dict.fromkeys((*kept.sources, *gone.sources))),
        contents=tuple(dict.fromkeys((*kept.contents, *gone.contents))),
        totals=tuple(totals),
        entries=tuple(sorted(entries.values(), key=lambda one: one.time)),
    )


def _stricter(kept: Sheet, first: SetTotal, gone: Sheet, second: SetTotal) -> SetTotal:
    kinds = [(t.unit, t.adjacency, t.composition) for t in (first, second)]
    if kinds[0] != kinds[1]:
        raise BudgetError(
            f"{kept.title} and {gone.title} are the same data, and their totals are of different "
            "kinds; set both to the same unit, adjacency and composition first"
        )
    return replace(
        first,
        epsilon=min(first.epsilon, second.epsilon),
        delta=min(first.delta, second.delta),
        time=max(first.time, second.time),
    )
