"""The audit plan: roles, coins, seeds and attacks, fixed and hashed before anything runs."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Int64

from limbeck import coins
from limbeck.audit.presets import Preset
from limbeck.audit.views import View
from limbeck.data import canaries
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import DatasetError

SCHEMA = 2
CANARY_SHARE = 0.05  # more canaries would change what the mechanism learns of everyone else
Group = Literal["canary", "ordinary", "control", "canary-true"]


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything an audit of one dataset fixes beforehand, whatever the mechanism.

    data: the private records with the canaries planted among them.
    canary, ordinary: indices of the observed records with a fair coin in each run; every other
        record is in every run ("always").
    control: observed records of the test data, in no run.
    true_labels: int64 (canaries,), the classes that the canaries' inputs really have.
    units: int64 (canaries + ordinary,), equal for records that share their coins.
    membership: bool (runs + utility runs, records). The last rows, the utility runs, hold every
        record but the canaries.
    seeds: one per row. halves: True for the runs of half B, which epsilon bounds are judged on.
    """

    data: LabeledDataset
    canary_kind: canaries.Kind
    canary: Int64[np.ndarray, " c"]
    ordinary: Int64[np.ndarray, " o"]
    control: LabeledDataset
    true_labels: Int64[np.ndarray, " c"]
    units: Int64[np.ndarray, " u"]
    membership: Bool[np.ndarray, "rows records"]
    seeds: tuple[int, ...]
    halves: Bool[np.ndarray, " runs"]
    views: tuple[View, ...]
    preset: Preset
    seed: int

    @property
    def runs(self) -> int:
        """Shadow runs, without the utility runs."""
        return self.preset.runs

    @property
    def observed(self) -> Int64[np.ndarray, " m"]:
        """Indices of the private records whose signals are stored: canaries, then ordinary."""
        return np.concatenate([self.canary, self.ordinary])

    def short_of(self, canaries: int | None) -> str | None:
        """In words that fewer canaries are planted than were asked for; None where all are."""
        if canaries is None or len(self.canary) >= canaries:
            return None
        return (
            f"{len(self.canary)} canaries are planted, not {canaries}: at most {CANARY_SHARE:.0%} "
            f"of {len(self.data)} records, and whole groups"
        )

    @property
    def mislabelled(self) -> bool:
        """Whether any canary was given a wrong label."""
        return bool((self.data.labels[self.canary].numpy() != self.true_labels).any())

    @property
    def groups(self) -> list[Group]:
        """What each stored record is, in the order of the stored signals.

        Where canaries are mislabelled they come last again, "canary-true", to be read under their
        true labels: a mechanism that copies their images hides them under the assigned ones.
        """
        parts: list[tuple[Group, int]] = [
            ("canary", len(self.canary)),
            ("ordinary", len(self.ordinary)),
            ("control", len(self.control)),
            ("canary-true", len(self.canary) if self.mislabelled else 0),
        ]
        return [name for name, size in parts for _ in range(size)]

    @property
    def queries(self) -> LabeledDataset:
        """The records that each run is asked about, in the order of ``groups``."""
        seen = self.data.select(torch.from_numpy(self.observed))
        inputs, labels = [seen.inputs, self.control.inputs], [seen.labels, self.control.labels]
        if self.mislabelled:
            inputs.append(self.data.inputs[self.canary])
            labels.append(torch.from_numpy(self.true_labels))
        return LabeledDataset(
            torch.cat(inputs), torch.cat(labels), self.data.classes, name="observed records"
        )

    def described(self) -> dict[str, Any]:
        """The plan as JSON values; arrays as lists where they are short, else as their hash."""
        return {
            "schema_version": SCHEMA,
            "preset": asdict(self.preset),
            "seed": self.seed,
            "dataset": {"fingerprint": self.data.fingerprint(), "records": len(self.data)},
            "control": {"fingerprint": self.control.fingerprint(), "records": len(self.control)},
            "canary_kind": self.canary_kind,
            "roles": {
                "always": len(self.data) - len(self.observed),
                "canary": self.canary.tolist(),
                "ordinary": self.ordinary.tolist(),
            },
            "units": self.units.tolist(),
            "membership": array_digest(np.packbits(self.membership, axis=1)),
            "run_seeds": list(self.seeds),
            "half_b": np.flatnonzero(self.halves).tolist(),
            "views": [view.name for view in self.views],
        }


def make(
    private: LabeledDataset,
    test: LabeledDataset,
    views: tuple[View, ...],
    *,
    preset: Preset,
    canary_kind: canaries.Kind,
    seed: int,
) -> Plan:
    """Draw a plan. All draws depend on ``seed`` and the data's size and groups alone.

    Raises DatasetError when the private set is too small to spare a single canary, or the test
    set has other shapes or classes.
    """
    _check_alike(private, test)
    units = _units(private)
    ranks = coins.numpy_generator(seed, "plan", "roles").permutation(int(units.max()) + 1)
    order = np.argsort(ranks[units], kind="stable")  # records in random order, units together
    wanted = min(preset.canaries, int(CANARY_SHARE * len(private)))
    # At most half of the records have coins: the mechanism still sees a stable set.
    spare = min(preset.ordinary, len(private) // 2 - wanted)
    canary = _whole_units(order, units, wanted)
    ordinary = _whole_units(order[len(canary) :], units, spare)
    if canary_kind == "duplicates":
        canary = canary[: len(canary) // 2 * 2]
    if not len(canary):
        raise DatasetError(
            f"{private.name}: {len(private)} records spare no canary (at most 5%, and whole "
            "groups); audit a larger set"
        )
    planted = canaries.plant(private, torch.from_numpy(canary), canary_kind, seed)
    units = _units(planted.data)
    membership, halves = _coins(preset, units, canary, ordinary, seed)
    rows = len(membership)
    control = coins.numpy_generator(seed, "plan", "control").permutation(len(test))
    observed = np.concatenate([canary, ordinary])
    return Plan(
        data=planted.data,
        canary_kind=canary_kind,
        canary=canary,
        ordinary=ordinary,
        control=test.select(torch.from_numpy(np.sort(control[: preset.control]))),
        true_labels=planted.true_labels.numpy(),
        units=units[observed],
        membership=membership,
        seeds=tuple(coins.derive(seed, "run", row) for row in range(rows)),
        halves=halves,
        views=views,
        preset=preset,
        seed=seed,
    )


def digest(described: dict[str, Any]) -> str:
    """SHA-256 of JSON values in canonical form: the hash of a plan or of a key."""
    text = json.dumps(described, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(released: SyntheticDataset) -> str:
    """SHA-256 of a released set."""
    return LabeledDataset(released.inputs, released.labels, released.classes).fingerprint()


def _coins(
    preset: Preset,
    units: Int64[np.ndarray, " records"],
    canary: Int64[np.ndarray, " c"],
    ordinary: Int64[np.ndarray, " o"],
    seed: int,
) -> tuple[Bool[np.ndarray, "rows records"], Bool[np.ndarray, " runs"]]:
    """Independent fair coins per run and unit; balanced ones would give held-out bits away."""
    membership = np.ones((preset.runs + preset.utility_runs, len(units)), dtype=bool)
    membership[preset.runs :, canary] = False
    observed = np.concatenate([canary, ordinary])
    owners, position = np.unique(units[observed], return_inverse=True)
    for run in range(preset.runs):
        flips = coins.numpy_generator(seed, "plan", "coins", run).random(len(owners)) < 0.5
        membership[run, observed] = flips[position]
    halves = np.zeros(preset.runs, dtype=bool)
    halves[coins.numpy_generator(seed, "plan", "halves").permutation(preset.runs)[1::2]] = True
    return membership, halves


def _units(data: LabeledDataset) -> Int64[np.ndarray, " records"]:
    if data.groups is None:
        return np.arange(len(data))
    return np.unique(data.groups.numpy(), return_inverse=True)[1].astype(np.int64)


def _whole_units(
    order: Int64[np.ndarray, " k"], units: Int64[np.ndarray, " records"], limit: int
) -> Int64[np.ndarray, " m"]:
    """The longest prefix of ``order`` of at most ``limit`` records that splits no unit."""
    taken = max(0, min(limit, len(order)))
    while 0 < taken < len(order) and units[order[taken - 1]] == units[order[taken]]:
        taken -= 1
    return order[:taken]


def _check_alike(private: LabeledDataset, test: LabeledDataset) -> None:
    if private.shape != test.shape or private.classes != test.classes:
        raise DatasetError(
            f"{test.name}: test records have shape {test.shape} and {len(test.classes)} classes, "
            f"private ones ({private.name}) {private.shape} and {len(private.classes)}; give both "
            "from the same source and with the same options"
        )


def array_digest(values: np.ndarray) -> str:
    """SHA-256 of an array's values."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
