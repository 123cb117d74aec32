"""The charts of the report, as SVG text that is the same, byte for byte, for the same evidence.

One style throughout: each role has a colour (distinct to the colour-blind and in grey), a line
style and a marker, so that nothing is told by colour alone. The page prints the legend, which
keeps titles chosen by users out of the drawing. Curves begin where ten false positives are to be
expected: further left an ROC rests on single records, and is neither evidence nor an aggregate.
"""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from limbeck.audit.evidence import Attack, Curve, Estimate

INK, GRID = "#1c2733", "#dfe4ea"
_NO_DATE: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "limbeck",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 11.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
}


@dataclass(frozen=True)
class Style:
    """How one role is drawn, in the charts and in the legend beside them."""

    color: str
    dashes: tuple[float, ...]
    marker: str


STYLES = {
    "subject": Style("#0b5394", (), "o"),
    "random-subset": Style("#c2550a", (6.0, 2.5), "s"),
    "full-data": Style("#5b6470", (1.5, 2.0), "^"),
}


def resolvable_fpr(attack: Attack) -> float:
    """The FPR at which ten false positives are to be expected; infinity if unknown."""
    negatives = max((point.negatives for point in attack.operating), default=0)
    return 10 / negatives if negatives else math.inf


def cut(curve: Curve, least_fpr: float) -> Curve:
    """The part of the curve from ``least_fpr`` on whose values are all finite."""
    rows = [
        row
        for row in zip(curve.fpr, curve.tpr, curve.low, curve.high, strict=True)
        if all(map(math.isfinite, row)) and row[0] >= least_fpr
    ]
    fpr, tpr, low, high = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Curve(fpr=fpr, tpr=tpr, low=low, high=high, level=curve.level)


def roc(attacks: Sequence[tuple[str, Attack]]) -> str | None:
    """ROC curves of (role, attack) on two logarithmic axes, with bands; None if none is resolvable.

    The diagonal is guessing: a curve on it says that the attacker learns nothing.
    """
    curves = [(STYLES[role], cut(a.curve, resolvable_fpr(a))) for role, a in attacks]
    curves = [(style, curve) for style, curve in curves if len(curve.fpr) > 1]
    if not curves:
        return None
    left = min(curve.fpr[0] for _, curve in curves)
    floor = left / 3

    def draw(axes: Axes) -> None:
        grid = np.geomspace(left, 1, 50)
        axes.plot(grid, grid, color=INK, linewidth=1, dashes=(1, 1.5), zorder=1)
        axes.annotate(
            "guessing", (left * 1.6, left * 1.6), (0, -14), textcoords="offset points", fontsize=10
        )
        # The subject last, so that it lies on top of its company.
        for style, curve in reversed(curves):
            low = np.clip(curve.low, floor, 1)
            axes.fill_between(
                curve.fpr, low, curve.high, color=style.color, alpha=0.16, linewidth=0
            )
            axes.plot(
                curve.fpr,
                np.clip(curve.tpr, floor, 1),
                color=style.color,
                linewidth=2.2,
                dashes=style.dashes or (None, None),
                marker=style.marker,
                markevery=(0.08, 0.22),
                markersize=6,
            )
        axes.set(xscale="log", yscale="log", xlim=(left, 1), ylim=(floor, 1.15))
        axes.set_xlabel("wrongly called members (FPR)")
        axes.set_ylabel("members recognised (TPR)")
        percent_ticks(axes, "x", left)
        percent_ticks(axes, "y", floor)

    return svg(draw)


def trade_off(points: Sequence[tuple[str, Estimate, Estimate]], fpr: float) -> str | None:
    """Accuracy against TPR at ``fpr`` of (role, utility, tpr), with both intervals; None if empty.

    A point is drawn only where both values are finite; its bars are left out where unknown.
    """
    known = [
        (STYLES[role], utility, tpr)
        for role, utility, tpr in points
        if math.isfinite(utility.value) and math.isfinite(tpr.value)
    ]
    if not known:
        return None
    floor = fpr / 3

    def draw(axes: Axes) -> None:
        axes.axhline(fpr, color=INK, linewidth=1, dashes=(1, 1.5), zorder=1)
        for style, utility, tpr in known:
            x, y = 100 * utility.value, max(tpr.value, floor)
            axes.errorbar(
                x,
                y,
                xerr=bars(x, 100 * utility.low, 100 * utility.high),
                yerr=bars(y, max(tpr.low, floor), tpr.high),
                color=style.color,
                marker=style.marker,
                markersize=9,
                capsize=4,
                linewidth=1.6,
            )
        xs = [100 * v for _, u, _ in known for v in (u.value, u.low, u.high) if math.isfinite(v)]
        margin = max(2.0, 0.12 * (max(xs) - min(xs)))
        axes.set(yscale="log", ylim=(floor, 1.15))
        axes.set_xlim(max(0.0, min(xs) - margin), min(101.0, max(xs) + margin))
        axes.annotate(
            "guessing",
            (1, fpr),
            (-4, -14),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            ha="right",
            fontsize=10,
        )
        axes.set_xlabel("test accuracy")
        axes.set_ylabel(f"members recognised at {100 * fpr:g}% FPR")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}%"))
        percent_ticks(axes, "y", floor)

    return svg(draw)


def swatch(role: str) -> str:
    """The legend's key to a role: its line style and marker as a small SVG image."""
    style = STYLES[role]

    def draw(axes: Axes) -> None:
        axes.plot(
            [0, 1, 2],
            [0, 0, 0],
            color=style.color,
            linewidth=2.2,
            dashes=style.dashes or (None, None),
            marker=style.marker,
            markevery=[1],
            markersize=7,
        )
        axes.axis("off")

    return svg(draw, size=(0.6, 0.2), frame=False)


def svg(
    draw: Callable[[Axes], None], size: tuple[float, float] = (4.7, 4.1), frame: bool = True
) -> str:
    """A figure of ``size`` in inches, drawn by ``draw`` in the style of the report, as SVG text."""
    # Drawing has no global state but the settings, which the context puts back.
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=size, facecolor="white" if frame else "none")
        axes = figure.add_axes((0.175, 0.125, 0.77, 0.855) if frame else (0.0, 0.0, 1.0, 1.0))
        draw(axes)
        if frame:
            axes.grid(color=GRID, linewidth=0.8)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        drawing = io.BytesIO()
        FigureCanvasSVG(figure).print_svg(drawing, metadata=_NO_DATE)  # type: ignore[no-untyped-call]
    return drawing.getvalue().decode("utf-8")


def percent_ticks(axes: Axes, name: str, least: float, steps: Sequence[int] = (1,)) -> None:
    """Mark a logarithmic axis ("x" or "y") from ``least`` to 1 in percent.

    steps: what is marked in each decade, as multiples of its start.
    """
    axis = axes.xaxis if name == "x" else axes.yaxis
    decades = range(math.floor(math.log10(least)), 1)
    marks = [step * 10.0**decade for decade in decades for step in steps]
    axis.set_major_locator(FixedLocator([mark for mark in marks if least <= mark <= 1]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))


def bars(value: float, low: float, high: float) -> list[list[float]] | None:
    """Lengths of an interval's two arms, as Matplotlib's error bars take them; None: unknown."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return [[max(0.0, value - low)], [max(0.0, high - value)]]
