"""What a run will cost is read off two short ones: set-up is counted once."""

import time
from collections.abc import Callable

import pytest
import torch

from limbeck.audit import cost
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.mechanism.pipeline import Pipeline
from limbeck.recipe import options
from limbeck.synthesize.base import Progress, Synthesizer

CLASSES = ("a", "b")


@options
class Timed(Synthesizer):
    """Works for ``setup`` seconds, and ``each`` in every step; a whole run has 100 ``steps``."""

    setup: float
    each: float
    steps: int = 100
    once: bool = False

    def abridged(self, times: int = 1) -> tuple["Timed", float]:
        steps = min(self.steps, 4 * times)
        return Timed(self.setup, self.each, steps, self.once), self.steps / steps

    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        remembered = self.once and self.steps in KNOWN
        KNOWN.add(self.steps)
        CLOCK.forward((0.0 if remembered else self.setup) + self.each * self.steps)
        return SyntheticDataset(private.inputs[:2], private.labels[:2], CLASSES)


class Clock:
    """Processor time that passes only when told."""

    now, calls = 0.0, 0

    def forward(self, seconds: float) -> None:
        self.now += seconds
        self.calls += 1

    def __call__(self) -> float:
        return self.now


CLOCK, KNOWN = Clock(), set[int]()


@pytest.fixture
def estimated(monkeypatch: pytest.MonkeyPatch) -> Callable[[Timed], float]:
    monkeypatch.setattr(cost, "cpu_seconds", CLOCK)
    monkeypatch.setattr(CLOCK, "calls", 0)
    KNOWN.clear()
    data = LabeledDataset(torch.rand(40, 5), torch.arange(40) % 2, CLASSES, name="table")
    return lambda method: cost.trial(Pipeline(method, None), data, "cpu").run


@pytest.mark.parametrize(
    ("method", "seconds"),
    [
        (Timed(setup=0.0, each=0.1), 10.0),
        (Timed(setup=3.0, each=0.1), 13.0),  # 85 if the set-up were multiplied
        (Timed(setup=3.0, each=0.0), 3.0),
        (Timed(setup=0.0, each=0.001), 0.1),  # short work is repeated, and its mean taken
        (Timed(setup=3.0, each=0.1, once=True), 10.0),  # paid once in all runs of a process
        (Timed(setup=3.0, each=0.1, steps=4), 3.4),  # as short as it gets
        (Timed(setup=3.0, each=0.1, steps=6), 3.6),
    ],
)
def test_set_up_is_not_multiplied_with_the_steps(
    method: Timed, seconds: float, estimated: Callable[[Timed], float]
) -> None:
    assert estimated(method) == pytest.approx(seconds)


@pytest.mark.parametrize(("each", "times"), [(0.001, 5), (0.02, 2), (1.0, 1)])
def test_work_that_is_over_in_a_moment_is_repeated(
    each: float, times: int, estimated: Callable[[Timed], float]
) -> None:
    estimated(Timed(setup=0.0, each=each, steps=4))
    # Once for the set that the trainer is tried on, and then what is timed.
    assert CLOCK.calls == 1 + times


def test_the_clock_is_the_processors_own() -> None:
    before = cost.cpu_seconds()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert 0.04 < cost.cpu_seconds() - before < 1
