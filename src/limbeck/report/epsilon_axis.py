"""Epsilon on one axis: what audits measured, below the truth, and what is proven, above it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from limbeck.audit.evidence import Subject
from limbeck.report.figures import INK, STYLES, svg

_CROWDED = 20.0  # epsilon above which the axis becomes logarithmic beyond 1
_WRONG = "#b3261e"


@dataclass(frozen=True)
class Row:
    """One line of the chart: a lower bound on epsilon beside the accountant's, where there is one.

    measured: at 95%; proven: None where nothing is claimed. refuted: whether the claim is, which
    takes more than a bound beyond it: at 95% that happens to one true claim in twenty.
    """

    label: str
    measured: float
    proven: float | None
    refuted: bool = False


def of_subject(subject: Subject) -> str | None:
    """The chart of one audited mechanism; None where it claims nothing that the runs cover.

    The bound that holds for any mechanism, and the one that holds if it is one of mu-GDP at all.
    """
    claim = subject.claim
    if claim is None or claim.epsilon is None:
        return None
    measured = {"measured, whatever it is": subject.epsilon_lower.value}
    if claim.curve_bound is not None:
        measured["measured, if it is mu-GDP"] = claim.curve_bound.value
    rows = [Row(label, value, claim.epsilon, claim.refuted) for label, value in measured.items()]
    return epsilon_axis(rows)


def epsilon_axis(rows: Sequence[Row]) -> str | None:
    """SVG text: a dot for what was measured, a bar for what is proven, the truth between them.

    A refuted claim's dot is crossed. None where no row has finite values.
    """
    known = [row for row in rows if math.isfinite(row.measured) and _finite(row.proven)]
    if not known:
        return None
    most = max(value for row in known for value in (row.measured, row.proven or 0.0, 0.1))

    def draw(axes: Axes) -> None:
        for at, row in enumerate(reversed(known)):
            color = _WRONG if row.refuted else STYLES["subject"].color
            if row.proven is not None:
                axes.plot([row.measured, row.proven], [at, at], color=color, linewidth=1.6)
                axes.plot([row.proven], [at], marker="|", markersize=12, color=INK, mew=2.4)
            axes.plot([row.measured], [at], marker="X" if row.refuted else "o", ms=8, color=color)
            axes.annotate(row.label, (0.02, at), (0, 9), textcoords="offset points", fontsize=10)
        if most > _CROWDED:
            axes.set_xscale("symlog", linthresh=1.0)
        axes.set(ylim=(-0.6, len(known) - 0.2), xlim=(0, most * (2 if most > _CROWDED else 1.1)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_yticks([])
        axes.set_xlabel("ε: measured (dot, at least) and proven (bar, at most)")

    return svg(draw, size=(4.7, 0.9 + 0.5 * len(known)))


def _finite(value: float | None) -> bool:
    return value is None or math.isfinite(value)
