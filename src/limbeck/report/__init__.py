"""The report: what an audit found, as one page a privacy officer can read."""

from limbeck.callable_package import make_callable
from limbeck.report.html import render, report

__all__ = ["render", "report"]

make_callable(__name__, report)
