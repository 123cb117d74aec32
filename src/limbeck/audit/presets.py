"""How much an audit does: the named sizes of the command line."""

from dataclasses import dataclass
from typing import Literal

Name = Literal["quick", "standard", "thorough"]


@dataclass(frozen=True)
class Preset:
    """Sizes of an audit. Canaries are further limited to 5% of the records.

    runs: shadow runs of the subject. company_runs: of the mechanisms beside it.
    utility_runs: further runs of each without any canary, for its accuracy.
    canaries, ordinary, control: records observed, at most.
    views: queries of each record.
    networks: that the attacker trains for himself on each release.
    """

    runs: int
    company_runs: int
    utility_runs: int
    canaries: int
    ordinary: int
    control: int
    views: int
    networks: int = 2


PRESETS: dict[Name, Preset] = {
    "quick": Preset(16, 16, 3, canaries=150, ordinary=500, control=200, views=2),
    "standard": Preset(64, 16, 3, canaries=500, ordinary=2_000, control=500, views=4),
    "thorough": Preset(256, 64, 5, canaries=500, ordinary=2_000, control=500, views=18),
}
