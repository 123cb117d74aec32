"""Choosing among declared settings of a private method under one guarantee (``privacy.selection``).

Part of the units is set aside for scores, and the other is what every run is made of. A run draws
one of the settings, publishes with that, and counts, with noise, the right predictions on the units
set aside: of the classifier that it released, or of a network trained on the set that it released.
The run with the highest count is the release.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.mechanism.base import Release
from limbeck.mechanism.judge import judge, judge_in_words
from limbeck.mechanism.pipeline import Pipeline
from limbeck.privacy.accountant import Profile, profile
from limbeck.privacy.budget import protected
from limbeck.privacy.claim import Claim, stated
from limbeck.privacy.classes import with_classes
from limbeck.privacy.digits import pair
from limbeck.privacy.entropy import below
from limbeck.privacy.gaussian import delta_of
from limbeck.privacy.sampled import GRID
from limbeck.privacy.score import SHARE, NoisyScore, set_aside
from limbeck.privacy.selection import Selection, mixed
from limbeck.privacy.statement import Statement
from limbeck.recipe import recipe
from limbeck.synthesize.base import Synthesizer
from limbeck.train.base import Trainer
from limbeck.types import Adjacency, Guarantee

RUNS_PER_SETTING = 3
"""Expected runs for each setting: the best one is then tried with a chance of 3 in 4 at least."""

MECHANISM = "random stopping"
"""In the ledger: a choice among runs, paid for by the law of their number."""

Method = Synthesizer | Trainer


@dataclass(frozen=True, eq=False)
class Tuned:
    """What was chosen: the release, the method with its setting, and what a card says of it."""

    release: Release
    method: Method
    guarantee: Guarantee
    statement: Mapping[str, Any]

    @property
    def synthesizer(self) -> Synthesizer:
        """The method, where it is one that makes a set."""
        assert isinstance(self.method, Synthesizer)
        return self.method

    @property
    def synthetic(self) -> SyntheticDataset:
        """The set that is released, whose card says what is claimed."""
        made = self.release.synthetic
        assert made is not None, "a synthesizer makes a set"
        return dataclasses.replace(made, card={**made.card, **self.statement})


class Tuning:
    """A declared list of settings, and how the choice among them is paid for.

    settings: methods of one kind that take epsilon and delta, before these are filled in, with the
        options in which they differ: what a card says was tried.
    epsilon, delta, adjacency: of the whole. Replacing a unit is removing one and adding another:
        runs and choice are then (epsilon / 2, delta / (1 + e^(epsilon / 2))) for one more or less
        [Vadhan 2017, "The complexity of differential privacy", lemma 2.2].
    mean: expected number of runs; None: ``RUNS_PER_SETTING`` for each setting.
    Raises OptionError where a setting has no guarantee, or the budget does not reach so far.
    """

    def __init__(
        self,
        settings: Sequence[tuple[Method, Mapping[str, Any]]],
        private: LabeledDataset,
        *,
        epsilon: float,
        delta: float,
        adjacency: Adjacency = "add-remove",
        mean: int | None = None,
    ) -> None:
        if len(settings) < 2:
            raise OptionError("a choice needs two settings or more; give another value")
        self._settings, self._private = settings, private
        for method, _ in settings:
            if not {"epsilon", "delta", "adjacency", "unit"} <= set(_fields(method)):
                raise OptionError(
                    f"{method.title}: it gives no guarantee, so that a choice of it cannot be paid "
                    "for; `limbeck compare` puts settings without one side by side"
                )
        self._unit = protected(private, getattr(settings[0][0], "unit", None))
        self._whole = Guarantee(epsilon, delta, adjacency, self._unit)
        share, chance = epsilon, delta
        if adjacency == "replace-one":
            share = epsilon / 2
            chance = delta / (1 + math.exp(share))
        mean = mean or RUNS_PER_SETTING * len(settings)
        self.selection = Selection.of(share, chance, mean, self._profile)
        self._methods = self._resolved(self.selection.run_epsilon, self.selection.run_delta)

    def run(
        self,
        *,
        seed: int,
        device: str = "cpu",
        after_first: Callable[[], None] | None = None,
    ) -> Tuned:
        """Make the runs and choose. ``seed`` is of public coins, the same in every run.

        after_first: called when the first run, which there always is, is done. Nobody is told of
        the others: their number is secret.
        """
        making, scoring = set_aside(self._private, self._unit)
        score = NoisyScore(
            scoring,
            epsilon=self.selection.run_epsilon,
            delta=self.selection.run_delta,
            adjacency="add-remove",
            unit=self._unit,
        )
        told = False

        def once() -> tuple[float, tuple[int, Release]]:
            nonlocal told
            setting = int(below(len(self._methods), 1)[0])
            release = _pipeline(self._methods[setting]).run(making, seed=seed, device=device)
            classifier = judge(release, self._private.shape, seed=seed, device=device)
            found = score.margin(classifier.logits), (setting, release)
            if after_first is not None and not told:
                after_first()
            told = True
            return found

        setting, release = self.selection.choose(once)
        method = self._methods[setting]
        if release.classifier is not None:
            release.classifier.claimed = self._whole  # no longer what its run alone cost
        return Tuned(release, method, self._whole, self._statement(setting))

    def _resolved(self, epsilon: float, delta: float) -> list[Method]:
        """Every setting with what a run may cost, its other options filled in for the data."""
        made: list[Method] = []
        for method, _ in self._settings:
            each = dataclasses.replace(  # type: ignore[type-var]
                method, epsilon=epsilon, delta=delta, adjacency="add-remove", unit=self._unit
            )
            resolved = _pipeline(each).resolve(self._private)
            found = resolved.synthesizer or resolved.trainer
            assert found is not None, "a pipeline has one of the two"
            owed = getattr(getattr(found, "start", None), "guarantee", None)
            if owed is not None:
                raise OptionError(
                    f"{found.title}: a release to start from has a guarantee of its own, which a "
                    "choice among settings does not count; start from something else"
                )
            made.append(found)
        return made

    def _profile(self, epsilon: float, delta: float) -> Profile:
        return mixed([_profile_of(method) for method in self._resolved(epsilon, delta)])

    def _statement(self, setting: int) -> dict[str, Any]:
        """What the card says: guarantee, one event for all runs, and what was tried; not how often.

        The scores, the runs that were not chosen, and their number are no part of the release.
        """
        chosen = self.selection
        method = self._methods[setting]
        run = {"epsilon": chosen.run_epsilon, "delta": chosen.run_delta}
        tried = [dict(differing) for _, differing in self._settings]
        words = (
            f"event: the best of a secret number of runs ({chosen.mean} expected, geometric), each "
            f"with one of {len(tried)} settings and "
            f"{pair(chosen.run_epsilon, chosen.run_delta)}-differentially private, "
            f"by a noisy score on {SHARE:.0%} of the {self._unit}s"
        )
        statement = Statement.of(
            self._whole,
            name=f"the best of {len(tried)} settings of {method.method_name}",
            limit=self._private.limit,
            grouped=self._private.groups is not None,
        )
        said = with_classes(stated(statement), self._private.classes_from)
        event = {
            "name": "private selection",
            "mechanism": MECHANISM,
            "settings": len(tried),
            "expected_runs": chosen.mean,
            "run": run,
        }
        return {
            **said,
            "in_words": [*said["in_words"], words],
            "deployment": {**said["deployment"], "mechanisms": [MECHANISM]},
            "ledger": [event],
            "noise": "discrete Gaussian, exactly, from the operating system's entropy",
            "selection": {
                "tried": tried,
                "chosen": tried[setting],
                "recipe": recipe(method),
                "scheme": "random stopping (Liu and Talwar 2019; Papernot and Steinke 2022)",
                "law_of_runs": {"law": "geometric", "mean": chosen.mean},
                "run": run,
                "score": {
                    "what": "right less wrong predictions, with noise",
                    "classifier": judge_in_words(isinstance(method, Trainer), self._private.shape),
                    "chance_of_being_set_aside": SHARE,
                },
            },
        }


def _fields(method: Method) -> list[str]:
    return [field.name for field in dataclasses.fields(method)]  # type: ignore[arg-type]


def _pipeline(method: Method) -> Pipeline:
    return Pipeline(method) if isinstance(method, Synthesizer) else Pipeline(None, method)


def _profile_of(method: Method) -> Profile:
    """Of what a method releases, known before it runs."""
    guarantee = method.guarantee
    assert guarantee is not None, "an epsilon was filled in"
    if guarantee.mu is not None:
        return partial(delta_of, guarantee.mu)
    events = guarantee.events or (method.sampled_steps if isinstance(method, Claim) else ())
    assert events, "a guarantee without mu is of sampled steps"
    return profile(events, grid=GRID)
