"""A program of the user's own as the mechanism, so that limbeck audits what it did not make."""

import shlex
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from limbeck.coins import derive
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import DatasetError, OptionError
from limbeck.mechanism import exchange
from limbeck.mechanism.base import Mechanism, Release
from limbeck.mechanism.exchange import Layout
from limbeck.mechanism.program import digest, execute
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.form import Form
from limbeck.train.base import Trainer

_NEEDED = ("{input}", "{output}")


@register(
    "command",
    kind="mechanism",
    summary="A program of your own that makes a synthetic set, then a classifier trained on it",
    paper="the program's own",
    access="records",
    guarantee="none",
    cost="what the program takes, in every run",
)
@options
class CommandMechanism(Mechanism):
    """Runs ``command`` on the records, reads back what it wrote, and trains ``trainer`` on that.

    command: words as for a shell, though none is started: ``python make.py --in {input} --out
        {output} --seed {seed}``. ``{input}`` is the file or folder with the records, ``{output}``
        where to write, ``{seed}`` a number below 2**31; ``{ipc}`` stands for ``ipc`` if given.
    layout: "npz" hands over an archive with ``inputs`` (float32 in [0, 1]), ``labels`` and
        ``classes``; "folder" one folder of 8-bit images per class. The program may answer in
        either: ``inputs`` and ``labels`` (optionally ``soft_labels``) under {output}, or a folder
        with the class folders of its input.
    timeout: seconds after which the program, with all that it started, is ended.
    ipc: records that it makes of each class, where it is a fixed number: checked, and the size of
        the random subset that an audit compares it with.
    program: SHA-256 of the program and of the files that ``command`` names, filled in before an
        audit, so that a changed program never meets the results of another. What the program
        imports or reads beyond those files is not seen.

    The records lie in a folder of the system's temporary directory that only the user can read,
    and that is removed after the run; where limbeck itself is killed it may stay behind. The same
    seed gives the same result only if the program sees to it. Raises OptionError where the program
    cannot be started, fails or takes too long, DatasetError where its output does not fit.

    A recipe with this mechanism is never taken from a release's card: only its user may say which
    programs run.
    """

    command: str
    trainer: Trainer
    layout: Layout = "npz"
    timeout: Annotated[float, Field(gt=0)] = 600.0
    ipc: Annotated[int | None, Field(ge=1)] = None
    program: str | None = None

    @model_validator(mode="after")
    def _has_placeholders(self) -> "CommandMechanism":
        words = shlex.split(self.command)  # a ValueError of its own where a quote stays open
        missing = [name for name in _NEEDED if not any(name in word for word in words)]
        if missing:
            raise ValueError(
                f"it lacks {', '.join(missing)}; write it as 'python make.py --in {{input}} "
                "--out {output} --seed {seed}'"
            )
        if self.ipc is None and "{ipc}" in self.command:
            raise ValueError("it names {ipc}: give ipc, the records per class")
        return self

    @property
    def title(self) -> str:
        size = "" if self.ipc is None else f" {self.ipc} per class"
        return f"command {self._script}{size}, then {self.trainer.title}"

    @property
    def _script(self) -> str:
        """The name of the first file among the words, else of the program; without its folder."""
        words = shlex.split(self.command)
        return Path(next((word for word in words[1:] if Path(word).is_file()), words[0])).name

    @property
    def holds_real_records(self) -> bool | None:
        return None  # only the program knows

    def resolve(self, private: LabeledDataset) -> "CommandMechanism":
        if self.layout == "folder" and not (private.is_images and private.shape[0] in (1, 3)):
            raise OptionError(
                f"command: records of shape {private.shape} are not images of 1 or 3 channels; "
                "take the layout npz"
            )
        found = digest(shlex.split(self.command))
        return replace(self, program=found, trainer=self.trainer.resolve(private.shape))

    def run(self, private: LabeledDataset, *, seed: int, device: str = "cpu") -> Release:
        synthetic = self.make(private, seed=seed)
        return Release(synthetic, self.trainer.fit(synthetic, seed=seed, device=device))

    def make(self, private: LabeledDataset, *, seed: int) -> SyntheticDataset:
        """What the program makes of the records, without the training."""
        words = shlex.split(self.command)
        if self.program not in (None, digest(words)):
            raise OptionError(
                f"command: {self._script} was changed after the audit of it was planned; start "
                "the audit again"
            )
        # Made with mode 0700. A program that leaves something running may still write there.
        with tempfile.TemporaryDirectory(prefix="limbeck-", ignore_cleanup_errors=True) as folder:
            place = Path(folder)
            target = exchange.target(place, self.layout)
            values = {
                "{input}": str(exchange.write(private, place, self.layout)),
                "{output}": str(target),
                "{seed}": str(derive(seed, "command") % 2**31),
                "{ipc}": str(self.ipc),
            }
            execute([_filled(word, values) for word in words], place / "errors", self.timeout)
            made = exchange.read(target, Form.of(private), name="the output of the command")
        self._require_size(made)
        return made

    def _require_size(self, made: SyntheticDataset) -> None:
        if self.ipc is None:
            return
        counts = made.labels.bincount(minlength=len(made.classes)).tolist()
        wrong = next((label for label, count in enumerate(counts) if count != self.ipc), None)
        if wrong is not None:
            raise DatasetError(
                f"{made.name} has {counts[wrong]} records of class {made.classes[wrong]!r}, but "
                f"ipc says {self.ipc}; correct the program, or leave ipc out"
            )


def _filled(word: str, values: dict[str, str]) -> str:
    """The word with its placeholders replaced; other braces are the program's own."""
    for name, value in values.items():
        word = word.replace(name, value)
    return word
