"""A choice among settings: who is scored, what runs cost, and what is told of it."""

import json
import math

import pytest
import torch

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.mechanism import tuning as module
from limbeck.mechanism.tuning import Tuning
from limbeck.privacy.gaussian import delta_of, mu_of
from limbeck.privacy.selection import Selection, log_ratio
from limbeck.recipe import build
from limbeck.synthesize.private import PrivateSynthesizer
from limbeck.train.private_ridge import PrivateRidge

WHOLE = {"epsilon": 3.0, "delta": 1e-5}


def ridges(*features, **options):
    return [(PrivateRidge(features=k, **options), {"features": k}) for k in features]


@pytest.fixture(scope="module")
def blobs():
    """Two separable classes of 600 records; three records a person."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(600) % 2
    inputs = torch.rand(600, 6, generator=generator) * 0.3 + labels[:, None] * 0.5
    return LabeledDataset(inputs, labels, ("a", "b"), groups=torch.arange(600) // 3, name="blobs")


def test_runs_see_one_part_and_scores_the_other(blobs, monkeypatch):
    made, scored = [], []
    fit, margin = PrivateRidge.fit, module.NoisyScore.margin

    def fits(self, data, **words):
        made.append((self, data))
        return fit(self, data, **words)

    def counts(self, logits):
        scored.append(self._records)
        return margin(self, logits)

    monkeypatch.setattr(PrivateRidge, "fit", fits)
    monkeypatch.setattr(module.NoisyScore, "margin", counts)
    monkeypatch.setattr(Selection, "draw", lambda self: 12)
    heard = []
    found = Tuning(ridges(4, 8), blobs, **WHOLE)
    tuned = found.run(seed=0, after_first=lambda: heard.append(len(made)))
    assert len(made) == len(scored) == 12 and heard == [1]
    assert {method.features for method, _ in made} == {4, 8}, "settings are drawn"
    people = [{*part.groups.tolist()} for part in (made[0][1], scored[0])]
    assert not people[0] & people[1] and len(people[0] | people[1]) == 200
    assert all(data is made[0][1] for _, data in made)
    # Each run, and each score, costs what the choice allows of it, and with the choice the whole.
    run = found.selection
    assert {(m.epsilon, m.delta, m.adjacency, m.unit) for m, _ in made} == {
        (run.run_epsilon, 1.666e-6, "add-remove", "group")
    }
    assert f"({run.run_epsilon:g}, 1.666e-06)" in tuned.statement["in_words"][-1]
    assert float(f"{run.run_epsilon:g}") == run.run_epsilon, "printed as it is"
    mu = made[0][0].guarantee.mu
    assert mu == mu_of(run.run_epsilon, run.run_delta)
    assert run.run_epsilon + 2 * log_ratio(lambda e: delta_of(mu, e), 6) <= 3.0
    assert tuned.guarantee.unit == "group" and tuned.guarantee.epsilon == 3.0


def test_the_better_setting_is_chosen_where_it_is_tried(blobs, monkeypatch):
    monkeypatch.setattr(Selection, "draw", lambda self: 8)

    class Wrong(PrivateRidge):
        def fit(self, data, *, seed, device="cpu"):
            made = super().fit(data, seed=seed, device=device)
            made.teacher.weights.neg_()
            return made

    settings = [(Wrong(features=4), {"sign": -1}), (PrivateRidge(features=4), {"sign": 1})]
    Wrong.method_name = "private-ridge"
    found = Tuning(settings, blobs, **WHOLE)
    chosen = [found.run(seed=0).statement["selection"]["chosen"]["sign"] for _ in range(12)]
    # Of eight runs all draw the wrong one with chance 1/256.
    assert chosen.count(1) >= 10


def test_the_card_says_what_was_tried_and_not_how_often(blobs):
    tuned = Tuning(ridges(4, 8), blobs, **WHOLE).run(seed=0)
    said = tuned.statement
    text = json.dumps(said)
    assert said["selection"]["tried"] == [{"features": 4}, {"features": 8}]
    assert said["selection"]["chosen"] == {"features": tuned.method.features}
    assert said["selection"]["law_of_runs"] == {"law": "geometric", "mean": 6}
    assert said["selection"]["recipe"]["options"]["epsilon"] < 3.0
    assert said["guarantee"]["epsilon"] == 3.0 and said["guarantee"]["mu"] is None
    assert [event["name"] for event in said["ledger"]] == ["private selection"]
    assert said["deployment"]["mechanisms"] == ["random stopping"]
    assert "6 expected, geometric" in said["in_words"][-1] and '"seed"' not in text
    keys = {key for part in (said["selection"], said["ledger"][0]) for key in part}
    assert not keys & {"runs", "scores", "count", "seconds"}


def test_replacing_is_removing_and_adding(blobs):
    one = Tuning(ridges(4, 8), blobs, **WHOLE, adjacency="replace-one")
    assert one.selection.epsilon == 1.5
    assert one.selection.delta == pytest.approx(1e-5 / (1 + math.exp(1.5)))
    assert one.run(seed=0).guarantee.adjacency == "replace-one"


def test_sampled_methods_are_bounded_before_they_run(tiny_images):
    psg = build("psg", {"ipc": 1, "networks": 1, "outer": 2, "inner": 0, "width": 2}, "synthesizer")
    other = build("psg", {**{"ipc": 1, "networks": 1, "outer": 3}, "width": 2}, "synthesizer")
    found = Tuning([(psg, {"outer": 2}), (other, {"outer": 3})], tiny_images, **WHOLE, mean=2)
    [event] = found._methods[0].sampled_steps
    assert (event.count, event.rate) == (2, psg.rate)
    tuned = found.run(seed=0)
    # What the run's own budget entered is what the choice counted on.
    budget = tuned.method.budget(tiny_images)
    steps = budget.steps("", [torch.Size([1])], rate=0.2, count=tuned.method.outer, norm=1.0).steps
    [counted] = tuned.method.sampled_steps
    assert steps.event(counted.name) == counted
    assert isinstance(tuned.method, PrivateSynthesizer)
    assert tuned.synthetic.card["guarantee"]["epsilon"] == 3.0


def test_what_cannot_be_chosen_is_refused(blobs, tiny_images, tmp_path):
    with pytest.raises(OptionError, match="two settings or more"):
        Tuning(ridges(4), blobs, **WHOLE)
    plain = build("random-subset", {}, "synthesizer")
    with pytest.raises(OptionError, match=r"gives no guarantee.*limbeck compare"):
        Tuning([(plain, {}), (plain, {"ipc": 2})], blobs, **WHOLE)
    with pytest.raises(OptionError, match=r"no record of shape .* has a group"):
        Tuning(ridges(4, 8, unit="group"), tiny_images, **WHOLE)
    start = build("dp-merf", {"ipc": 2, "steps": 1}, "synthesizer").synthesize(tiny_images, seed=0)
    start.save(tmp_path / "first")
    options = {"ipc": 1, "init": f"private:{tmp_path / 'first'}", "networks": 1, "width": 2}
    settings = [
        (build("psg", {**options, "outer": k}, "synthesizer"), {"outer": k}) for k in (1, 2)
    ]
    with pytest.raises(OptionError, match="a guarantee of its own"):
        Tuning(settings, tiny_images, **WHOLE)
