"""Signals that were measured elsewhere: an .npz file of them, read and checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from limbeck import coins
from limbeck.audit import plan
from limbeck.audit.chunks import CONTROL_EPSILON, DELTA
from limbeck.audit.inference.checks import control_signals
from limbeck.audit.inference.shadows import Shadows, require_shapes
from limbeck.data.sources.npz import read_archive
from limbeck.errors import OptionError
from limbeck.privacy.gaussian import mu_of

FEWEST_RUNS = 4
_UNFAIR = 1e-6
"""Probability below which coins are not put down to chance, so that fair ones hardly ever are."""
_OFF_ONE = 0.02
"""How far a sum of probabilities may lie from 1: in bfloat16 they are off by thousandths."""


@dataclass(frozen=True, eq=False)
class Signals:
    """What a file of signals holds, checked.

    signals: float32 (runs, views, records), higher where the release is surer of the record. Best
        the logit margin log(p / (1 - p)) of the record's label, which RMIA turns back into p and
        of which the loss threshold takes the loss; any other score keeps the bounds valid, and
        minus a loss or a distance is of use too.
    membership: bool (runs, records), independent fair coins: True where the record was in.
    population: bool (records,), True for records that are in no run and of which all attackers
        know it: they calibrate RMIA and are not attacked. None: there are none.
    groups: integers (records,), equal for records that share their coins; None: none do.
    labels: integers (records,), the class of each record, for attacks with thresholds or
        classifiers for each class. softmax: float32 (runs, records, classes), the releases' whole
        answers, which the shadow attack reads. None: not given.

    OptionError, in one line, where shapes or values do not fit together.
    """

    signals: np.ndarray
    membership: np.ndarray
    population: np.ndarray | None = None
    groups: np.ndarray | None = None
    labels: np.ndarray | None = None
    softmax: np.ndarray | None = None

    @classmethod
    def load(cls, path: str | Path) -> "Signals":
        """Read an .npz file; OptionError or DatasetError names the array that is amiss.

        Arrays of Python objects are refused: reading them would run code stored in the file.
        """
        file = Path(path)
        if not file.is_file():
            raise OptionError(f"{file}: there is no such file; give an .npz archive with signals")
        arrays = read_archive(file)
        for name in ("signals", "membership"):
            if name not in arrays:
                raise OptionError(
                    f"{file} holds {', '.join(sorted(arrays)) or 'nothing'} and lacks {name!r}; "
                    "save it with np.savez(path, signals=..., membership=...)"
                )
        population, softmax = arrays.get("population"), arrays.get("softmax")
        return cls(
            _numbers(arrays["signals"], file),
            _bits(arrays["membership"], "membership", file),
            None if population is None else _bits(population, "population", file),
            _codes(arrays.get("groups"), "groups", file),
            _codes(arrays.get("labels"), "labels", file),
            None if softmax is None else _numbers(softmax, file, "softmax"),
        )

    def __post_init__(self) -> None:
        runs, _, records = self.signals.shape
        classes = () if self.softmax is None else self.softmax.shape[2:]
        wanted = {
            "membership": (runs, records),
            "population": (records,),
            "groups": (records,),
            "labels": (records,),
            "softmax": (runs, records, *classes),
        }
        require_shapes(self, wanted, self.signals.shape)
        self._require_probabilities()
        inside = self.membership[:, self.strangers]
        if inside.any():
            record = np.flatnonzero(self.strangers)[inside.any(0)][0]
            raise OptionError(
                f"population of shape {self.strangers.shape} names record {record}, which "
                "membership has in a run; name records that are in none"
            )
        attacked = self.membership[:, ~self.strangers]
        if runs < FEWEST_RUNS or min(_rows_with(attacked), _rows_with(~attacked)) < 2:
            raise OptionError(
                f"signals of shape {self.signals.shape}: members and non-members must be seen in "
                f"at least 2 of at least {FEWEST_RUNS} runs; add runs"
            )
        self._require_shared_coins()
        self._require_fair_coins()

    @property
    def strangers(self) -> np.ndarray:
        """Bool (records,): population, all False where none was given."""
        if self.population is None:
            return np.zeros(self.signals.shape[2], dtype=bool)
        return self.population

    @property
    def units(self) -> np.ndarray:
        """int64 (records,), equal for records that share their coins."""
        return np.arange(self.signals.shape[2]) if self.groups is None else self.groups

    def _require_probabilities(self) -> None:
        """The attack that reads whole answers takes them as they are: logits would not do."""
        if self.softmax is None:
            return
        off = np.abs(self.softmax.sum(-1) - 1) > _OFF_ONE
        if off.any() or self.softmax.min() < 0:
            raise OptionError(
                f"softmax of shape {self.softmax.shape} is not made of probabilities: "
                f"{off.mean():.0%} of its answers do not sum to 1, the smallest value is "
                f"{self.softmax.min():.3g}; give answers after the softmax"
            )

    def _require_shared_coins(self) -> None:
        """Records of one group are in the same runs; those of the population are in none."""
        _, first, own = np.unique(self.units, return_index=True, return_inverse=True)
        same = first[own.reshape(-1)]
        apart = (self.membership != self.membership[:, same]).any(0)
        if apart.any():
            record = int(np.flatnonzero(apart)[0])
            raise OptionError(
                f"groups of shape {self.units.shape} put records {same[record]} and {record} into "
                f"one group ({int(apart.sum())} such records), but they are not in the same runs: "
                "give one group to records that were drawn together, and to no others"
            )

    def _require_fair_coins(self) -> None:
        """The bounds rest on coins that fell for each record and run with probability 1/2."""
        attacked = np.flatnonzero(~self.strangers)
        first = np.unique(self.units[attacked], return_index=True)[1]
        own = self.membership[:, attacked[first]]
        for axis, what in ((0, "record"), (1, "run")):
            count, thrown = own.sum(axis), own.shape[axis]
            excess = float(((count - thrown / 2) ** 2).sum() / (thrown / 4))
            if stats.chi2.sf(excess, len(count)) < _UNFAIR:
                raise OptionError(
                    f"membership of shape {self.membership.shape} is {own.mean():.0%} True, and "
                    f"not by the throw of a fair coin for every {what}: draw each record into each "
                    "run with probability 1/2, and name those in no run as population"
                )

    def described(self) -> dict[str, Any]:
        """Shapes and hashes as JSON values."""
        given = {name: getattr(self, name) for name in ("signals", "membership")}
        optional = ("population", "groups", "labels", "softmax")
        extra = {name: getattr(self, name) for name in optional}
        given |= {name: array for name, array in extra.items() if array is not None}
        return {
            name: {"shape": list(array.shape), "sha256": plan.array_digest(array)}
            for name, array in given.items()
        }

    def shadows(self, seed: int) -> Shadows:
        """For the judge: ordinary records, half of the runs drawn to be judged, a planted leak."""
        runs, views, _ = self.signals.shape
        halves = np.zeros(runs, dtype=bool)
        halves[coins.numpy_generator(seed, "plan", "halves").permutation(runs)[1::2]] = True
        shift = mu_of(CONTROL_EPSILON, DELTA)
        return Shadows(
            signals=self.signals[:, :, None],
            membership=self.membership,
            groups=np.where(self.strangers, "control", "ordinary"),
            halves=halves,
            control=control_signals(self.membership[:, ~self.strangers], shift, views, seed=seed),
            units=self.units,
            labels=self.labels,
            softmax=self.softmax,
        )


def _rows_with(bits: np.ndarray) -> int:
    return int(bits.any(1).sum())


_AXES = {"signals": ("run", "view", "record"), "softmax": ("run", "record", "class")}


def _codes(labels: np.ndarray | None, name: str, file: Path) -> np.ndarray | None:
    """Any labels of groups or classes, one a record, numbered in sorted order."""
    if labels is None:
        return None
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise OptionError(
            f"{file}: {name} of shape {labels.shape} hold NaN or infinity; give each record one"
        )
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


def _numbers(values: np.ndarray, file: Path, name: str = "signals") -> np.ndarray:
    """Float32 values of three axes, all finite."""
    axes = _AXES[name]
    if values.ndim != 3 or values.size == 0:
        wanted = "(runs, views, records)" if name == "signals" else "(runs, records, classes)"
        raise OptionError(f"{file}: {name} have shape {values.shape}; they need {wanted}")
    if values.dtype.kind not in "iuf":
        raise OptionError(f"{file}: {name} are {values.dtype}; give real numbers")
    # What float32 cannot hold becomes infinite, and is refused as such.
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    bad = np.argwhere(~np.isfinite(narrow))
    if len(bad):
        at = ", ".join(f"{axis} {k}" for axis, k in zip(axes, bad[0].tolist(), strict=True))
        raise OptionError(
            f"{file}: {name} of shape {values.shape} hold {len(bad)} values that are not finite, "
            f"the first at {at}; leave those records out"
        )
    return narrow


def _bits(values: np.ndarray, name: str, file: Path) -> np.ndarray:
    """Bool values; 0 and 1 of any type are taken too."""
    if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise OptionError(
            f"{file}: {name} ({values.dtype}, shape {values.shape}) must be True or False"
        )
    return values.astype(bool)
