"""A synthetic set given on the command line: a release, an .npz file or an image folder."""

from collections.abc import Mapping
from pathlib import Path

from limbeck import recipe
from limbeck.audit.store import PRIVATE
from limbeck.cli import console
from limbeck.cli.options import DataOptions
from limbeck.data.dataset import LabeledDataset
from limbeck.data.release import CARD, read_card
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import DatasetError, OptionError
from limbeck.mechanism import exchange
from limbeck.mechanism.command import CommandMechanism
from limbeck.synthesize.base import Synthesizer
from limbeck.synthesize.form import Form


def read_set(path: Path, private: LabeledDataset, flag: str) -> SyntheticDataset:
    """The set at ``path``, held to the shape and the classes of the private data.

    flag: the option or argument that named it. DatasetError, in one line, where there is none or
    it is of another form.
    """
    if not path.exists():
        raise DatasetError(f"{flag} {path}: there is no such file or folder; correct it")
    if not (path / CARD).is_file():
        return exchange.read(path, Form.of(private), name=path.name)
    found = SyntheticDataset.load(path)
    if (found.shape, found.classes) != (private.shape, private.classes):
        raise DatasetError(
            f"{private.name} has records of shape {private.shape} and {len(private.classes)} "
            f"classes, the release {found.name} {found.shape} and {len(found.classes)}; give the "
            "data and the data options that it was condensed with"
        )
    return found


def sides(
    data: DataOptions, private: str, control: str | None, *sets: Path
) -> tuple[LabeledDataset, LabeledDataset]:
    """The records that ``sets`` may have been made of, and others like them.

    limbeck splits DATA before it makes a release, and the same split is made here. Others may have
    used all of it: where a set is not limbeck's and there are control records, none is put aside.
    DatasetError where the control records are of another form.
    """
    apart = control is not None and control != private
    own = [path for path in sets if (path / CARD).is_file()]
    # As for condensing: what a method with a guarantee left out is left out here.
    claims = any(read_card(path)["limbeck"].get("guarantee") is not None for path in own)
    if apart and len(own) < len(sets):
        records = data.read(private, "private", guaranteed=claims)
    else:
        records, others = data.load(private, guaranteed=claims)
    if control is not None and apart:
        others = data.read(control, guaranteed=claims)
    for part in (records, others):
        part.require_some()
    require_alike(records, others)
    return records, others


def warn_of_control(private: str, control: str | None, *sets: Path) -> None:
    """Say that records put aside for control may be among those that a foreign set was made of."""
    foreign = next((path for path in sets if not (path / CARD).is_file()), None)
    if foreign is not None and control is None:
        console.note(
            f"{foreign} is not limbeck's: where it was made of all of {private}, the part that is "
            "put aside here as control hides its copies; give others as --control"
        )


def synthesizer_of(release: SyntheticDataset) -> Synthesizer:
    """The synthesizer that a release's card describes."""
    written = release.card.get("recipe")
    if not isinstance(written, Mapping):
        raise OptionError(
            f"the card of {release.name} holds no recipe, so the mechanism cannot be repeated; "
            "give --method and its options instead"
        )
    if CommandMechanism.method_name in _methods(written):
        raise OptionError(
            f"the card of {release.name} asks for a program to be run, which no card may; look at "
            "that program, and give it yourself with --command"
        )
    synthesizer = recipe.from_recipe(dict(written))
    if not isinstance(synthesizer, Synthesizer):
        raise OptionError(f"the card of {release.name} holds the recipe of no synthesizer")
    share = release.card.get("interrupted")
    if share is not None:
        console.note(
            f"{release.name} was interrupted when {share:.0%} was done; the shadow runs repeat the "
            "whole recipe, so that they are unlike it"
        )
    return synthesizer


def _methods(written: object) -> set[str]:
    """Every method that a recipe names, at any depth."""
    if isinstance(written, Mapping):
        here = {str(written["method"])} if "method" in written else set()
        return here.union(*map(_methods, written.values()))
    if isinstance(written, (list, tuple)):
        return set().union(*map(_methods, written))
    return set()


def require_alike(private: LabeledDataset, control: LabeledDataset) -> None:
    """DatasetError where the control records are of another form than the private ones."""
    if (control.shape, control.classes) != (private.shape, private.classes):
        raise DatasetError(
            f"--control: {control.name} has records of shape {control.shape} and "
            f"{len(control.classes)} classes, the private ones ({private.name}) {private.shape} "
            f"and {len(private.classes)}; give both in the same form"
        )


def private_folder(output: Path) -> Path:
    """The ``private`` part of an audit's folder, made where it is missing; both for one's eyes."""
    for folder in (output, output / PRIVATE):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    return output / PRIVATE
