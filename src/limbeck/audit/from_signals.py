"""An audit of signals that were measured elsewhere: straight into the attacks and the inference."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from limbeck import coins
from limbeck.audit import plan
from limbeck.audit.chunks import CONTROL_EPSILON, DELTA
from limbeck.audit.evidence import Evidence
from limbeck.audit.inference import judge
from limbeck.audit.inference.checks import control_signals
from limbeck.audit.inference.shadows import Shadows
from limbeck.audit.inference.verdict import NOT_TESTED, verdict
from limbeck.audit.provenance import machine, versions
from limbeck.audit.result import Audit
from limbeck.audit.store import COST, EVIDENCE, Store
from limbeck.data.sources.npz import read_archive
from limbeck.errors import OptionError
from limbeck.privacy.gaussian import mu_of
from limbeck.recipe import recipe
from limbeck.types import Estimate

FEWEST_RUNS = 4
_TAKEN_ON_TRUST = (
    "whether the signals and the coins are what the file says: they were measured elsewhere",
)
_UNFAIR = 1e-6
"""Probability below which coins are not put down to chance, so that fair ones hardly ever are."""


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

    OptionError, in one line, where shapes or values do not fit together.
    """

    signals: np.ndarray
    membership: np.ndarray
    population: np.ndarray | None = None
    groups: np.ndarray | None = None

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
        population, groups = arrays.get("population"), arrays.get("groups")
        return cls(
            _numbers(arrays["signals"], file),
            _bits(arrays["membership"], "membership", file),
            None if population is None else _bits(population, "population", file),
            None if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1),
        )

    def __post_init__(self) -> None:
        runs, _, records = self.signals.shape
        wanted = {"membership": (runs, records), "population": (records,), "groups": (records,)}
        for name, shape in wanted.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise OptionError(
                    f"{name} has shape {value.shape}; signals of shape {self.signals.shape} need "
                    f"{shape}"
                )
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
        extra = {"population": self.population, "groups": self.groups}
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
        )


def audit_signals(
    signals: Signals,
    *,
    store: str | Path,
    title: str = "the mechanism behind the given signals",
    seed: int = 0,
    overwrite: bool = False,
) -> Audit:
    """Judge signals that were measured elsewhere, and write the evidence to the folder ``store``.

    Nothing is known of the accuracy, the recipe or a guarantee, and the records are not planted:
    the report says so. StoreError when the folder holds another audit, unless ``overwrite``.
    """
    runs, views, records = signals.signals.shape
    described = {
        "schema_version": plan.SCHEMA,
        "given": signals.described(),
        "attacks": [recipe(attack) for attack in judge.ATTACKS],
        "seed": seed,
        "delta": DELTA,
        "versions": versions(),
    }
    described["hash"] = plan.digest(described)
    kept = Store(store)
    kept.begin(described, overwrite=overwrite)
    subject = judge.judge(
        signals.shadows(seed),
        title=title,
        role="subject",
        recipe={},
        holds_real_records=None,
        guarantee=None,
        utility=Estimate(math.nan),
        utility_with_canaries=Estimate(math.nan),
        seed=seed,
        delta=DELTA,
        control_epsilon=CONTROL_EPSILON,
    )
    points = int(signals.strangers.sum())
    found = Evidence(
        plan_hash=str(described["hash"]),
        plan={
            "roles": {"ordinary": records - points, "population": points},
            "runs": runs,
            "views": views,
            "seed": seed,
            "delta": DELTA,
        },
        dataset={"name": title, "records": records},
        subjects=(subject,),
        verdict=verdict((subject,), not_tested=(*NOT_TESTED, *_TAKEN_ON_TRUST)),
        versions=versions(),
    )
    kept.write_json(EVIDENCE, found.model_dump(mode="json"))
    spent: Mapping[str, Any] = {"machine": machine("cpu"), "workers": 1, "subjects": {}}
    kept.write_json(COST, spent)
    return Audit(found, spent, kept.folder)


def _rows_with(bits: np.ndarray) -> int:
    return int(bits.any(1).sum())


def _numbers(values: np.ndarray, file: Path) -> np.ndarray:
    """Float32 values of shape (runs, views, records), all finite."""
    if values.ndim != 3 or values.size == 0:
        raise OptionError(
            f"{file}: signals have shape {values.shape}; they need (runs, views, records)"
        )
    if values.dtype.kind not in "iuf":
        raise OptionError(f"{file}: signals are {values.dtype}; give real numbers")
    # What float32 cannot hold becomes infinite, and is refused as such.
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    bad = np.argwhere(~np.isfinite(narrow))
    if len(bad):
        run, view, record = bad[0].tolist()
        raise OptionError(
            f"{file}: signals of shape {values.shape} hold {len(bad)} values that are not finite, "
            f"the first at run {run}, view {view}, record {record}; leave those records out"
        )
    return narrow


def _bits(values: np.ndarray, name: str, file: Path) -> np.ndarray:
    """Bool values; 0 and 1 of any type are taken too."""
    if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise OptionError(
            f"{file}: {name} ({values.dtype}, shape {values.shape}) must be True or False"
        )
    return values.astype(bool)
