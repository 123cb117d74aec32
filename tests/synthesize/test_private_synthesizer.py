"""The form of private synthesizers: what they claim, what they are handed, whose noise is whose."""

import json
from dataclasses import replace
from typing import Annotated

import pytest
import torch
from pydantic import Field

from limbeck.data.dataset import LabeledDataset
from limbeck.data.release import read_card
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.mechanism.pipeline import Pipeline
from limbeck.privacy.gaussian import mu_of
from limbeck.privacy.records import Bound
from limbeck.recipe import options
from limbeck.synthesize.private import PrivateSynthesizer
from limbeck.train.standard import Standard


@options
class ClassSums(PrivateSynthesizer):
    """The noisy mean of each class, twice."""

    share: Annotated[float, Field(gt=0)] = 0.5

    def publish(self, budget, form, seed, *, device="cpu", progress=None):
        def pixels(inputs, labels):
            return torch.cat([inputs.flatten(1), torch.ones(len(inputs), 1)], 1)

        for name in ("one", "other"):
            found = budget.release(name, pixels, Bound.of(9.0), self.share, by_class=True)
            sums = found.values
            means = (sums[:, :-1] / sums[:, -1:].clamp(min=1)).clamp(0, 1).float()
            made = self.release(
                means.reshape(len(form.classes), *form.shape),
                torch.arange(len(form.classes)),
                form,
            )
            if progress is not None:
                progress(0.5 if name == "one" else 1.0, made)
        return made


ClassSums.method_name = "class-sums"


def data(n=60, groups=None):
    inputs = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return LabeledDataset(inputs, torch.arange(n) % 3, ("a", "b", "c"), groups=groups, name="some")


def test_the_claim_is_known_before_anything_runs_and_stands_on_the_card(tmp_path):
    method = ClassSums(epsilon=2.0, delta=1e-6, adjacency="replace-one")
    claimed = method.guarantee
    assert (claimed.epsilon, claimed.delta, claimed.adjacency) == (2.0, 1e-6, "replace-one")
    assert claimed.mu == pytest.approx(mu_of(2.0, 1e-6)) and claimed.events == ()
    made = method.synthesize(data(), seed=0)
    card = read_card(made.save(tmp_path / "release"))["limbeck"]
    stated = card["guarantee"]
    assert stated["epsilon"] == pytest.approx(2.0, abs=1e-6) and stated["epsilon"] <= 2.0
    assert (stated["adjacency"], stated["unit"]) == ("replace-one", "record")
    assert [event["name"] for event in card["ledger"]] == ["one", "other"]
    assert all(event["mechanism"] == "discrete Gaussian" for event in card["ledger"])
    assert set(card["privacy_libraries"]) == {"dp-accounting"}
    assert card["recipe"]["options"]["unit"] == "record"
    assert isinstance(SyntheticDataset.load(tmp_path / "release"), SyntheticDataset)


def test_a_pipeline_claims_what_its_synthesizer_does():
    method = ClassSums(epsilon=3.0)
    assert Pipeline(method, Standard("mlp")).guarantee == method.guarantee
    assert Pipeline(None, Standard("mlp")).guarantee is None
    assert Pipeline(ClassSums(epsilon=None), None).guarantee is None


def test_groups_are_protected_where_there_are_groups_unless_records_are_asked_for():
    grouped = data(groups=torch.arange(60) // 4)
    assert ClassSums().resolve(grouped).guarantee.unit == "group"
    assert ClassSums().synthesize(grouped, seed=0).card["guarantee"]["unit"] == "group"
    by_record = ClassSums(unit="record")
    assert by_record.synthesize(grouped, seed=0).card["guarantee"]["unit"] == "record"
    with pytest.raises(OptionError, match=r"some: no record of shape .* has a group"):
        ClassSums(unit="group").synthesize(data(), seed=0)


def test_a_real_run_is_never_the_same_twice():
    one, other = (ClassSums().synthesize(data(), seed=0) for _ in range(2))
    assert (one.inputs != other.inputs).any()


def test_shadow_runs_are_the_same_each_time_and_claim_nothing():
    membership = torch.rand(3, 60, generator=torch.Generator().manual_seed(1)) < 0.7
    runs = [list(ClassSums().synthesize_many(data(), membership, [5, 6, 7])) for _ in range(2)]
    for one, same in zip(*runs, strict=True):
        assert torch.equal(one.inputs, same.inputs)
        assert one.card["guarantee"] is None and one.card["ledger"] == []
        assert one.card["noise"].startswith("repeatable")
    alone = next(iter(ClassSums().synthesize_many(data(), membership[1:2], [6])))
    assert torch.equal(alone.inputs, runs[0][1].inputs), "whatever the chunk it is in"
    assert (runs[0][0].inputs != runs[0][1].inputs).any(), "each run has noise of its own"


def test_without_noise_the_same_computation_runs_and_nothing_is_claimed():
    method = ClassSums(epsilon=None)
    one, same = (method.synthesize(data(), seed=0) for _ in range(2))
    assert torch.equal(one.inputs, same.inputs)
    means = torch.stack([data().inputs[data().labels == c].mean(0) for c in range(3)])
    assert torch.allclose(one.inputs, means, atol=1e-4)
    assert method.guarantee is None and one.card["guarantee"] is None
    assert one.card["noise"] == "none"


def test_a_state_on_the_way_says_what_was_spent_until_then():
    states = []
    ClassSums(epsilon=1.0).synthesize(
        data(), seed=0, progress=lambda share, state: states.append(state)
    )
    spent = [state.card["guarantee"]["epsilon"] for state in states]
    assert 0 < spent[0] < spent[1] <= 1.0
    assert [len(state.card["ledger"]) for state in states] == [1, 2]
    json.dumps([state.card for state in states])


def test_the_number_of_records_reaches_no_option():
    method = ClassSums()
    assert method.resolve(data(60)) == method.resolve(data(7))
    assert replace(method, unit="record") == method.resolve(data(7))
