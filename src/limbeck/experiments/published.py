"""The papers' own figures, from ``published.toml``: only what was read is printed as theirs."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from limbeck.errors import OptionError

READ = "read"
"""Status of what was read in the paper itself; anything else is not the paper's own figure."""


@dataclass(frozen=True)
class Paper:
    """What is known of one paper."""

    key: str
    title: str
    authors: str
    venue: str
    note: str
    figures: Mapping[str, Mapping[str, Any]]

    def stated(self, *names: str) -> str | None:
        """Published figures in words, such as ``accuracy on all of the data 99%``.

        None where none of them was read. OptionError for a figure that is not in the file.
        """
        unknown = [name for name in names if name not in self.figures]
        if unknown:
            raise OptionError(f"{self.key}: published.toml has no figure {unknown[0]!r}; add it")
        known = [self.figures[name] for name in names if self.figures[name]["status"] == READ]
        return ", ".join(f"{each['what']} {each['value']:g}%" for each in known) or None


@cache
def _everything() -> dict[str, Any]:
    text = resources.files("limbeck.experiments").joinpath("published.toml").read_text("utf-8")
    return tomllib.loads(text)


def paper(key: str) -> Paper:
    """The paper of this key; OptionError lists the known ones."""
    known = _everything()
    if key not in known:
        raise OptionError(f"no paper is called {key!r}; there are: {', '.join(known)}")
    entry = known[key]
    words = {name: str(entry[name]) for name in ("title", "authors", "venue", "note")}
    return Paper(key, figures=entry.get("figures", {}), **words)
