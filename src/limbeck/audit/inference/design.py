"""How the membership of the shadow runs was drawn, and further draws that were equally likely.

Every exact test of an audit rests on one fact: without a leak the signals are independent of the
membership, so that the membership that was drawn, and any other that the design could have drawn
with the same probability, are exchangeable.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool

Kind = Literal["independent", "balanced-records", "balanced-runs"]


@dataclass(frozen=True)
class Design:
    """How units (records that share their membership) were drawn into runs.

    kind: "independent", every unit into every run by itself; "balanced-records", every unit into
        the same number of runs, for instance exactly half (the published LiRA code);
        "balanced-runs", the same number of units into every run.
    rate: the inclusion rate, in (0, 1).
    """

    kind: Kind = "independent"
    rate: float = 0.5

    @property
    def fair(self) -> bool:
        """Whether every (run, unit) pair is an independent fair coin, as bounds of guesses ask."""
        return self.kind == "independent" and self.rate == 0.5

    def redraw(
        self, membership: Bool[np.ndarray, "runs units"], generator: np.random.Generator
    ) -> Bool[np.ndarray, "runs units"]:
        """A membership that the design draws with the same probability as the given one.

        Each unit's entries are permuted over the runs, or each run's over the units where runs
        are balanced: exact for any inclusion rate, even one of each unit's own, since numbers of
        members are kept. Source: Ernst 2004, doi:10.1214/088342304000000396.
        """
        axis = 1 if self.kind == "balanced-runs" else 0
        redrawn: np.ndarray = generator.permuted(membership, axis=axis)
        return redrawn


FAIR_COINS = Design()
"""The design of limbeck's own shadow runs."""
