"""Every noisy query of every private method, on neighbours: apart by its sensitivity at most.

The whole method runs on both datasets. In the second run every noisy answer is the one of the
first, so that each query is asked after the same history, as in the definition of adaptive
composition; what is compared is the integer vector to which the noise is added.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from limbeck import recipe, registry
from limbeck.data.dataset import LabeledDataset
from limbeck.mechanism.pipeline import Pipeline
from limbeck.privacy import blocks, noise, noisy_sum, sampled
from limbeck.privacy.entropy import Coins
from limbeck.privacy.records import Bound

pytest.importorskip("opacus", reason="private methods need the extra 'private'")
pytest.importorskip("geomloss", reason="DP-Sinkhorn needs the extra 'generate'")

SMALL = {"ipc": 1, "network": "convnet1", "width": 2}
QUICK = {
    "dp-sgd": {"epochs": 2, "rate": 0.5, "width": 2, "multiplier": 3.0, "clip": 0.1},
    "psg": {**SMALL, "networks": 2, "outer": 3, "inner": 1, "rate": 0.5},
    "dp-kip": {"ipc": 1, "steps": 3, "rate": 0.5},
    "private-copula": {"ipc": 1, "steps": 0, "features": 5},
    "private-matching": {**SMALL, "pairs": 2, "features": 6, "steps": 2, "waves": 1.0, "rounds": 2},
    "private-ridge": {"features": 5},
    "dp-merf": {"ipc": 1, "features": 10, "steps": 2, "batch": 2, "width": 2},
    "dp-sinkhorn": {"ipc": 1, "rate": 0.5, "steps": 3, "batch": 2, "width": 2},
    "gs-wgan": {"ipc": 1, "shards": 2, "steps": 3, "batch": 2, "warmup": 2, "width": 2},
}
PRIVATE = [(m.name, m.kind) for m in registry.methods().values() if m.guarantee != "none"]
CLASSES = ("a", "b", "c")


@dataclass
class Replay:
    """What noise is added to, and with which scale; answers of one run are those of the next."""

    totals: list[np.ndarray] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    answers: list[np.ndarray] = field(default_factory=list)

    def again(self):
        """The totals so far, put aside."""
        totals, self.totals = self.totals, []
        self.scales = []
        return totals

    def __call__(self, values, scale, *, insecure_seed=None):
        assert values.dtype == np.int64, "noise is added to integers"
        at = len(self.totals)
        self.totals.append(values.copy())
        self.scales.append(scale)
        if at == len(self.answers):
            drawn = np.random.default_rng(at).normal(0, scale, values.shape)
            self.answers.append(values + np.rint(drawn).astype(np.int64))
        assert self.answers[at].shape == values.shape, "the form of an answer is public"
        return self.answers[at].copy()


@pytest.fixture
def replay(monkeypatch):
    """All noise goes through it; the coins of records that both datasets hold are the same."""
    made = Replay()
    for module in (blocks, noise, sampled):
        monkeypatch.setattr(module, "discrete_gaussian", made)
    asked = []

    def uniform(self, n):
        asked.append(n)
        return np.random.default_rng(len(made.totals)).random(1000)[:n]

    monkeypatch.setattr(Coins, "uniform", uniform)
    assert noisy_sum.noise is noise
    return made


def events_of(name, kind, private, options):
    method = recipe.build(name, options, kind)
    if kind == "synthesizer":
        return method.synthesize(private, seed=5).card["ledger"]
    pipeline = Pipeline(None, method).resolve(private)
    pipeline.run(private, seed=5)
    return [vars(event) for event in pipeline.guarantee.events]


def by_event(events, scales):
    """Each event with its calls: a sum, or the two parts of a symmetric one."""
    calls = iter(range(len(scales)))
    for event in events:
        for _ in range(event["count"]):
            at = [next(calls)]
            assert scales[at[0]] == event["noise_scale"]
            above = noise.continuous_scale(event["noise_scale"]) / math.sqrt(2)
            after = at[0] + 1
            if after < len(scales) and scales[after] == noise.discrete_scale(above):
                at.append(next(calls))
            yield event, at
    assert next(calls, None) is None, "every query stands in the ledger"


def apart(name, kind, both, replay, options, times=1.0):
    """How far each query's totals are apart, over what its event allows."""
    events = [events_of(name, kind, both[0], options)]
    first, scales = replay.again(), [*replay.scales]
    events.append(events_of(name, kind, both[1], options))
    scales, second = [*replay.scales], replay.again()
    assert events[0] == events[1] and events[0], "the ledger is public"
    assert len(first) == len(second)
    found = []
    for event, at in by_event(events[0], scales):
        squares = [
            sum(int(d) ** 2 for d in (first[k] - second[k])[first[k] != second[k]])
            * (event["noise_scale"] / scales[k]) ** 2
            for k in at
        ]
        found.append(math.sqrt(sum(squares)) / (times * event["sensitivity"]))
    return found


def others(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 1, 8, 8, generator=generator), torch.arange(n) % 2


def pairs():
    """Neighbours made to be told apart; what leaves stands last, so that coins stay in place."""
    inputs, labels = others(65)
    last = torch.full((1, 1, 8, 8), 1.0)
    yield "the only one of its class", inputs, torch.cat([labels[:64], torch.tensor([2])]), 1
    yield "one more than a batch", torch.cat([inputs[:64], last]), labels, 1
    few = torch.cat([inputs[:5], last])
    yield "among few", few, torch.tensor([0, 0, 0, 1, 1, 1]), 1
    yield "a whole class at the end", inputs[:9], torch.tensor([0, 1, 0, 1, 0, 1, 0, 2, 2]), 1


@pytest.mark.parametrize("pair", list(pairs()), ids=lambda pair: pair[0])
@pytest.mark.parametrize(("name", "kind"), PRIVATE)
def test_a_record_moves_every_query_by_its_sensitivity_at_most(name, kind, pair, replay):
    _, inputs, labels, gone = pair
    whole = LabeledDataset(inputs, labels, CLASSES, name="neighbours")
    without = LabeledDataset(inputs[:-gone], labels[:-gone], CLASSES, name="neighbours")
    found = apart(name, kind, (whole, without), replay, QUICK.get(name, {"ipc": 1}))
    assert all(ratio <= 1 for ratio in found)
    assert max(found) > 0, "there is a query that the record has a part in"


@pytest.mark.parametrize(("name", "kind"), PRIVATE)
def test_another_record_in_its_place_moves_it_by_that_of_replacing(name, kind, replay):
    inputs, labels = others(12)
    other = torch.cat([inputs[:-1], 1 - inputs[-1:]])
    moved = torch.cat([labels[:-1], torch.tensor([2])])
    both = [LabeledDataset(*own, CLASSES, name="n") for own in ((inputs, labels), (other, moved))]
    options = {**QUICK.get(name, {"ipc": 1}), "adjacency": "replace-one"}
    if "rate" in options:  # accounted for as removing one and adding another
        found = apart(name, kind, both, replay, options, times=2.0)
    else:
        found = apart(name, kind, both, replay, options)
    assert all(ratio <= 1 for ratio in found) and max(found) > 0


@pytest.mark.parametrize(("name", "kind"), PRIVATE)
def test_a_group_moves_every_query_by_its_sensitivity_at_most(name, kind, replay):
    inputs, labels = others(14)
    labels[-1] = 2
    groups = torch.tensor([0, 1, 1, 2, 3, 3, 3, 4, 5, 6, 6, 7, 7, 7])
    whole = LabeledDataset(inputs, labels, CLASSES, groups=groups, name="n")
    without = LabeledDataset(inputs[:-3], labels[:-3], CLASSES, groups=groups[:-3], name="n")
    found = apart(name, kind, (whole, without), replay, QUICK.get(name, {"ipc": 1}))
    assert all(ratio <= 1 for ratio in found) and max(found) > 0


@pytest.mark.parametrize("name", ["dp-sgd", "psg"])
def test_rows_left_unclipped_are_told(name, replay, monkeypatch):
    def unclipped(self, statistic):
        return (statistic.double() / self.step).trunc().long()

    monkeypatch.setattr(Bound, "steps", unclipped)
    [kind] = [kind for known, kind in PRIVATE if known == name]
    inputs, labels = others(9)
    both = [LabeledDataset(inputs[:n], labels[:n], CLASSES, name="n") for n in (9, 8)]
    options = {**QUICK[name], **({"clip": 1e-3} if name == "psg" else {})}
    assert max(apart(name, kind, both, replay, options)) > 1
