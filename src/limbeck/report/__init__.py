"""The report: what an audit found, as one page a privacy officer can read."""

from limbeck.report.html import render, report

__all__ = ["render", "report"]
