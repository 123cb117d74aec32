"""The page of a reproduction: one HTML file that needs nothing but a browser, and no network."""

from functools import cache
from typing import TYPE_CHECKING

from jinja2 import ChoiceLoader, Environment, PackageLoader

from limbeck.experiments.claims import written
from limbeck.report.templates import environment

if TYPE_CHECKING:
    from limbeck.experiments.reproduce import Reproduction

VERDICTS = {
    "agrees": ("none-found", "Agrees", "The whole interval lies where the claim says."),
    "disagrees": ("leak", "Disagrees", "The whole interval lies where the claim does not hold."),
    "can't tell": ("unclear", "Can't tell", "The interval is too wide to decide at this scale."),
}
"""Style, word and meaning of each verdict."""


def page(done: "Reproduction") -> str:
    """The page's HTML; the same results give the same bytes."""
    template = _environment().get_template("claims.html.j2")
    html: str = template.render(done=done, verdicts=VERDICTS, written=written)
    return html


@cache
def _environment() -> Environment:
    known = environment()
    loaders = [PackageLoader("limbeck.experiments", "."), known.loader]
    return known.overlay(loader=ChoiceLoader([one for one in loaders if one is not None]))
