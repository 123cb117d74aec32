"""The charts of a comparison: what leaks against what it is worth, and against what it costs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from limbeck.audit.evidence import Estimate
from limbeck.report.figures import INK, bars, percent_ticks, svg
from limbeck.report.numbers import duration

GIVEN, COMPANY = "#0b5394", "#c2550a"
_SIZE = (5.0, 4.2)


@dataclass(frozen=True)
class Mark:
    """A mechanism in a chart: its number in the table, and whether it is company.

    across: accuracy as a rate, or CPU-seconds of a release; leak: the TPR at the comparison's FPR.
    """

    number: int
    company: bool
    across: Estimate
    leak: Estimate


def utility(marks: Sequence[Mark], edge: Sequence[int], fpr: float) -> str | None:
    """Accuracy against leak as SVG text; None where nothing can be drawn.

    edge: numbers of the mechanisms on the Pareto front, which a line of steps joins.
    """
    known = _known(marks)
    if not known:
        return None

    def draw(axes: Axes) -> None:
        xs = [100 * v for m in known for v in _values(m.across)]
        margin = max(2.0, 0.06 * (max(xs) - min(xs)))
        axes.set_xlim(max(0.0, min(xs) - margin), min(102.0, max(xs) + margin))
        axes.set_xlabel("test accuracy")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}%"))
        _draw(axes, known, edge, fpr, scale=100.0, rising=True)

    return svg(draw, size=_SIZE)


def cost(marks: Sequence[Mark], edge: Sequence[int], fpr: float) -> str | None:
    """Processor time of one release against leak as SVG text; None where nothing can be drawn."""
    known = [mark for mark in _known(marks) if mark.across.value > 0]
    if not known:
        return None

    def draw(axes: Axes) -> None:
        xs = [m.across.value for m in known]
        axes.set(xscale="log", xlim=(min(xs) / 1.8, max(xs) * 1.8))
        axes.set_xlabel("processor time of one release, with its classifier")
        subs = (1.0,) if max(xs) / min(xs) > 30 else (1.0, 2.0, 5.0)
        axes.xaxis.set_major_locator(LogLocator(subs=subs))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
        _draw(axes, known, edge, fpr, scale=1.0, rising=False)

    return svg(draw, size=_SIZE)


def _draw(
    axes: Axes, marks: Sequence[Mark], edge: Sequence[int], fpr: float, scale: float, rising: bool
) -> None:
    floor = min([fpr / 3, *(mark.leak.value / 1.5 for mark in marks if mark.leak.value > 0)])
    axes.axhline(fpr, color=INK, linewidth=1, dashes=(1, 1.5), zorder=1)
    axes.annotate(
        "guessing",
        (1, fpr),
        (-4, -13),
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        ha="right",
        fontsize=10,
    )
    on_edge = sorted(
        (scale * m.across.value, max(m.leak.value, floor)) for m in marks if m.number in edge
    )
    if len(on_edge) > 1:
        # No mechanism lies beyond the steps: better on one axis is worse on the other.
        xs, ys = zip(*on_edge, strict=True)
        way = "steps-pre" if rising else "steps-post"
        axes.plot(xs, ys, color=INK, linewidth=1, alpha=0.5, drawstyle=way, zorder=2)
    for mark in marks:
        x, y = scale * mark.across.value, max(mark.leak.value, floor)
        color = COMPANY if mark.company else GIVEN
        axes.errorbar(
            x,
            y,
            xerr=bars(x, scale * mark.across.low, scale * mark.across.high),
            yerr=bars(y, max(mark.leak.low, floor), mark.leak.high),
            color=color,
            alpha=0.45,
            linewidth=1.2,
            capsize=2,
            zorder=3,
        )
        axes.plot(
            x,
            y,
            marker="s" if mark.company else "o",
            markersize=12,
            markeredgecolor=color,
            markerfacecolor="white" if mark.company else color,
            linestyle="none",
            zorder=4,
        )
        axes.annotate(
            str(mark.number),
            (x, y),
            ha="center",
            va="center_baseline",
            fontsize=8.5,
            fontweight="bold",
            color=color if mark.company else "white",
            zorder=5,
        )
    axes.set(yscale="log", ylim=(floor, 1.3))
    axes.set_ylabel(f"planted members named at {100 * fpr:g}% false alarms")
    percent_ticks(axes, "y", floor, steps=(1, 2, 5))


def _known(marks: Sequence[Mark]) -> list[Mark]:
    return [m for m in marks if math.isfinite(m.across.value) and math.isfinite(m.leak.value)]


def _values(estimate: Estimate) -> list[float]:
    found = (estimate.value, estimate.low, estimate.high)
    return [value for value in found if math.isfinite(value)]
