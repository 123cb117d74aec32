"""``limbeck audit`` of what cannot be repeated here: given signals, and a finished set."""

from collections.abc import Sequence
from pathlib import Path

from limbeck.audit import from_signals
from limbeck.audit.finished import audit_finished
from limbeck.audit.given_signals import Signals
from limbeck.cli.audit_options import Limits, Place
from limbeck.cli.options import Common, DataOptions
from limbeck.cli.sets import read_set
from limbeck.cli.verdict import conclude


def audit_signals(
    path: Path, place: Place, limits: Limits, attacks: Sequence[str], common: Common
) -> int:
    """Judge the signals of an .npz file; the exit code that the limits ask for."""
    limit = limits.tpr()
    done = from_signals.audit_signals(
        Signals.load(path),
        store=place.output,
        title=f"the mechanism behind {path.name}",
        attacks=attacks,
        seed=common.seed,
        overwrite=place.force,
    )
    return conclude(done, limit, limits.max_epsilon, as_json=common.as_json)


def audit_set(
    path: Path,
    private: str,
    control: str,
    place: Place,
    limits: Limits,
    data: DataOptions,
    common: Common,
) -> int:
    """Attack a finished set alone; the exit code that the limits ask for."""
    limit = limits.tpr()
    members, others = data.read(private, "private"), data.read(control)
    done = audit_finished(
        read_set(path, members, "--synthetic"),
        members,
        others,
        store=place.output,
        seed=common.seed,
        overwrite=place.force,
    )
    return conclude(done, limit, limits.max_epsilon, as_json=common.as_json)
