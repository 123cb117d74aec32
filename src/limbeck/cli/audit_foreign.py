"""``limbeck audit`` of what cannot be repeated here: given signals, and a finished set."""

from pathlib import Path

from limbeck.audit import from_signals
from limbeck.audit.finished import audit_finished
from limbeck.cli.audit_options import Limits, Place
from limbeck.cli.options import Common, DataOptions
from limbeck.cli.verdict import conclude
from limbeck.data.dataset import LabeledDataset
from limbeck.data.release import CARD
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import DatasetError
from limbeck.mechanism import exchange
from limbeck.synthesize.form import Form


def audit_signals(path: Path, place: Place, limits: Limits, common: Common) -> int:
    """Judge the signals of an .npz file; the exit code that the limits ask for."""
    limit = limits.tpr()
    done = from_signals.audit_signals(
        from_signals.Signals.load(path),
        store=place.output,
        title=f"the mechanism behind {path.name}",
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
        _released(path, members),
        members,
        others,
        store=place.output,
        seed=common.seed,
        overwrite=place.force,
    )
    return conclude(done, limit, limits.max_epsilon, as_json=common.as_json)


def _released(path: Path, members: LabeledDataset) -> SyntheticDataset:
    """A release of limbeck's, an .npz file or an image folder, in the form of the members."""
    if not path.exists():
        raise DatasetError(f"--synthetic {path}: there is no such file or folder; correct it")
    if (path / CARD).is_file():
        return SyntheticDataset.load(path)
    return exchange.read(path, Form.of(members), name=path.name)
