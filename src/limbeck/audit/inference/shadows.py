"""All that the shadow runs left behind, and what each attack reads of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from limbeck.audit.attacks.base import SIGNALS, ImageSignal, MembershipAttack, Observed, Signal
from limbeck.audit.inference.design import FAIR_COINS, Design
from limbeck.audit.inference.intervals import Clusters
from limbeck.errors import OptionError

Group = Literal["canary", "ordinary"]
GROUPS: tuple[Group, ...] = ("canary", "ordinary")

TRUE_LABEL = "canary-true"
"""The group that holds the canaries once more, with the signals of their true labels."""


_OWN: tuple[ImageSignal, ...] = ("kernel-ridge", "retrained")
"""Signals of the attacker's own classifiers."""


def require_shapes(
    holder: object, wanted: Mapping[str, tuple[int, ...]], signals: tuple[int, ...]
) -> None:
    """OptionError for the first of ``holder``'s arrays, by name, of another shape than ``wanted``.

    signals: the shape that the others follow from. Arrays that are None are not there.
    """
    for name, shape in wanted.items():
        value = getattr(holder, name)
        if value is not None and value.shape != shape:
            raise OptionError(
                f"{name} has shape {value.shape}; signals of shape {signals} need {shape}"
            )


@dataclass(frozen=True)
class Shadows:
    """All that the shadow runs left for the judge.

    signals: float32 (runs, views, kinds, records), kinds in the order of ``SIGNALS``; later
        ones may be missing, the hinge only where there are no canaries.
    membership: bool (runs, records), True where the record was in the run's private set: fair
        coins, independent between runs and between units.
    groups: "canary", "ordinary", "control" or "canary-true" per record. Control records are in no
        run and serve as population points. "canary-true" are the canaries again, all of them and
        in their order, with the signals of their true labels where they were given wrong ones.
        Records of other words are not attacked.
    halves: bool (runs,), True for half B of the runs, the one that the bound judges.
    control: float32 (runs, views, attacked), the positive control's signals of the attacked
        records (canaries, or ordinary records where there are no canaries), in their order.
    units: integers (records,), equal for records that share their coins; None: none do.
    labels: integers (records,), the classes under which the signals were read; None: unknown.
    images: float32 (runs, image kinds, records but control ones), what was read of the released
        images alone, kinds in the order of ``image_kinds``; None where none were released.
    softmax: float32 (runs, records, classes), whole answers; None where no attack asked for them.
    design: how the membership was drawn.
    """

    signals: np.ndarray
    membership: np.ndarray
    groups: np.ndarray
    halves: np.ndarray
    control: np.ndarray
    units: np.ndarray | None = None
    labels: np.ndarray | None = None
    images: np.ndarray | None = None
    image_kinds: tuple[ImageSignal, ...] = ()
    softmax: np.ndarray | None = None
    design: Design = FAIR_COINS

    def __post_init__(self) -> None:
        runs, _, kinds, records = self.signals.shape
        wanted = {
            "membership": (runs, records),
            "groups": (records,),
            "halves": (runs,),
            "units": (records,),
            "labels": (records,),
        }
        require_shapes(self, wanted, self.signals.shape)
        judged = int((self.groups != "control").sum())
        read = (runs, len(self.image_kinds), judged)
        if self.images is not None and self.images.shape != read:
            raise OptionError(
                f"images has shape {self.images.shape}; {runs} runs, {len(self.image_kinds)} image "
                f"kinds and {judged} records beside the control ones need {read}"
            )
        if not 1 <= kinds <= len(SIGNALS):
            raise OptionError(
                f"signals of shape {self.signals.shape} hold {kinds} kinds, not "
                f"{', '.join(SIGNALS)}"
            )
        if not any((self.groups == group).any() for group in GROUPS):
            raise OptionError(f"none of the {records} records is a canary or ordinary: plan some")
        attacked = int((self.groups == self.attacked).sum())
        if self.control.shape[::2] != (runs, attacked):
            raise OptionError(
                f"control has shape {self.control.shape}; {runs} runs and {attacked} "
                f"{self.attacked} records need ({runs}, views, {attacked})"
            )
        if self.units is not None:
            _, first, unit = np.unique(self.units, return_index=True, return_inverse=True)
            if (self.membership != self.membership[:, first[unit.reshape(-1)]]).any():
                raise OptionError("records of one unit have different coins: the units are wrong")
        if self.membership[:, self.groups == "control"].any():
            raise OptionError(
                "a control record is a member of a run: population points must be in none of them"
            )
        canaries, again = (self.membership[:, self.groups == g] for g in ("canary", TRUE_LABEL))
        if again.size and not np.array_equal(canaries, again):
            raise OptionError(
                f"{canaries.shape[1]} canaries and {again.shape[1]} under their true labels have "
                "different coins: give the same ones in the same order"
            )

    @property
    def attacked(self) -> Group:
        """The group that the bound and the checks rest on."""
        return "canary" if (self.groups == "canary").any() else "ordinary"

    def readings(
        self,
        group: Group,
        attacks: Sequence[MembershipAttack],
        image_attacks: Sequence[MembershipAttack] = (),
    ) -> list[tuple[str, Signal | ImageSignal, MembershipAttack, Observed]]:
        """Every attack of use on one group, its name, and what it reads of which signal.

        image_attacks: read every kind of image signal. Attacks on canaries under their true
        labels are named after them.
        """
        found: list[tuple[str, Signal | ImageSignal, MembershipAttack, Observed]] = []
        for name, suffix in ((group, ""), (TRUE_LABEL, "-true-label")):
            if suffix and (group != "canary" or not (self.groups == name).any()):
                continue
            for kind, signal in enumerate(SIGNALS[: self.signals.shape[2]]):
                seen = self._observed(name, kind)
                found += [
                    (attack.title + suffix, signal, attack, seen)
                    for attack in attacks
                    if signal in attack.reads
                    and attack.applies(seen)
                    and (attack.finds_direction or not suffix)
                ]
            whole = self._observed(name, 0)
            found += [
                (attack.title + suffix, "softmax", attack, whole)
                for attack in attacks
                if "softmax" in attack.reads and attack.applies(whole)
            ]
            for kind, read in enumerate(self.image_kinds if self.images is not None else ()):
                seen = self._of_images(name, kind)
                found += [(attack.title + suffix, read, attack, seen) for attack in image_attacks]
            if set(_OWN) <= set(self.image_kinds):
                seen = self._ensemble(name)
                found += [
                    (attack.title + suffix, "ensemble", attack, seen) for attack in image_attacks
                ]
        return found

    def observed(self, group: Group, signal: Signal) -> Observed:
        """What the attacks read of one group."""
        return self._observed(group, SIGNALS.index(signal))

    def _observed(self, group: str, kind: int) -> Observed:
        records, control = (np.flatnonzero(self.groups == g) for g in (group, "control"))
        signals = self.signals[:, :, kind]
        return Observed(
            signals[:, :, records],
            self.membership[:, records],
            population=signals[:, :, control] if len(control) else None,
            labels=None if self.labels is None else self.labels[records],
            softmax=None if self.softmax is None else self.softmax[:, records],
        )

    def _of_images(self, group: str, kind: int) -> Observed:
        assert self.images is not None
        records = np.flatnonzero(self.groups == group)
        columns = np.flatnonzero(self.groups[self.groups != "control"] == group)
        return Observed(self.images[:, [kind]][:, :, columns], self.membership[:, records])

    def _ensemble(self, group: str) -> Observed:
        """The margins of all classifiers as views, each of which LiRA takes on its own scale."""
        parts = [self._observed(group, SIGNALS.index("margin"))]
        parts += [self._of_images(group, self.image_kinds.index(kind)) for kind in _OWN]
        signals = np.concatenate([part.signals for part in parts], axis=1)
        return Observed(signals, parts[0].membership)

    def clusters(self, group: Group) -> Clusters:
        """The units of one group."""
        records = np.flatnonzero(self.groups == group)
        if self.units is None:
            return Clusters.separate(len(records))
        return Clusters.of(self.units[records])
