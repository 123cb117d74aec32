import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from limbeck.audit import plan
from limbeck.audit.presets import PRESETS, Preset
from limbeck.audit.views import View
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DatasetError

SIZES = Preset(
    runs=40, company_runs=8, utility_runs=3, canaries=20, ordinary=60, control=30, views=1
)


def data(n=500, groups=None, name="private"):
    generator = torch.Generator().manual_seed(n)
    inputs = torch.rand(n, 1, 4, 4, generator=generator)
    return LabeledDataset(inputs, torch.arange(n) % 5, tuple("abcde"), groups, name=name)


def make(private=None, preset=SIZES, kind="mislabelled", seed=0):
    return plan.make(
        private or data(),
        data(100, name="test"),
        (View(),),
        preset=preset,
        canary_kind=kind,
        seed=seed,
    )


def test_roles_are_disjoint_and_sized_as_asked():
    made = make()
    assert len(made.canary) == 20 and len(made.ordinary) == 60 and len(made.control) == 30
    assert not set(made.canary) & set(made.ordinary)
    always = np.setdiff1d(np.arange(500), made.observed)
    assert made.membership[:, always].all(), "every other record is in every run"
    assert made.groups.count("canary") == 20 and made.groups.count("ordinary") == 60


def test_canaries_are_at_most_five_percent():
    made = make(data(100), replace(SIZES, canaries=500))
    assert len(made.canary) == 5
    assert len(made.observed) <= 50, "half of the records stay in every run"
    assert "5 canaries are planted, not 500: at most 5% of 100" in (made.short_of(500) or "")
    assert made.short_of(5) is None and made.short_of(None) is None
    with pytest.raises(DatasetError, match="19 records spare no canary"):
        make(data(19))


def test_utility_runs_hold_everyone_but_the_canaries():
    made = make()
    for row in made.membership[40:]:
        assert not row[made.canary].any()
        assert np.delete(row, made.canary).all()


def test_coins_are_fair_and_independent_between_runs_and_records():
    """Pitfall: exactly balanced membership gives the held-out bit away."""
    coins = make(data(4000), replace(SIZES, runs=100, canaries=200, ordinary=800)).membership
    varied = coins[:100][:, ~coins[:100].all(0)].astype(float)
    runs, records = varied.shape
    assert abs(varied.mean() - 0.5) < 4 * 0.5 / math.sqrt(varied.size)
    # The number of runs that hold a record varies as a binomial does: it is not balanced.
    assert varied.sum(0).var() == pytest.approx(runs / 4, rel=0.2)
    centred = varied - 0.5
    between = (centred @ centred.T) / (records / 4)
    off = between[~np.eye(runs, dtype=bool)]
    assert abs(off).max() < 5.5 / math.sqrt(records)


def test_records_of_one_group_share_role_and_coin():
    groups = torch.arange(500) // 4
    made = make(data(groups=groups))
    group = groups.numpy()
    for who in np.unique(group[made.observed]):
        columns = np.flatnonzero(group == who)
        assert set(columns) <= set(made.canary) or set(columns) <= set(made.ordinary)
        assert (made.membership[:, columns] == made.membership[:, columns[:1]]).all()


def test_twins_share_their_coin():
    made = make(kind="duplicates")
    twins = made.membership[:40, made.canary]
    assert (twins[:, 0::2] == twins[:, 1::2]).all()
    assert len(np.unique(made.units[:20])) == 10


def test_mislabelled_canaries_are_also_asked_under_their_true_labels():
    made = make()
    queries, groups = made.queries, np.array(made.groups)
    assert len(queries) == len(groups) == 20 + 60 + 30 + 20
    again, first = np.flatnonzero(groups == "canary-true"), np.flatnonzero(groups == "canary")
    assert (queries.inputs[again] == queries.inputs[first]).all()
    assert (queries.labels[again] == data().labels[made.canary]).all()
    assert (queries.labels[again] != queries.labels[first]).all()
    assert (queries.labels[: len(made.observed)] == made.data.labels[made.observed]).all()
    assert (queries.inputs[groups == "control"] == made.control.inputs).all()


def test_canaries_with_no_other_label_are_asked_once():
    made = make(kind="out-of-distribution")
    assert len(made.queries) == len(made.groups) == 20 + 60 + 30
    assert "canary-true" in make(kind="duplicates").groups


def test_halves_split_the_runs():
    assert make().halves.sum() == 20


def test_canaries_are_planted_in_the_data_alone():
    private = data()
    made = make(private)
    changed = (made.data.labels != private.labels).nonzero()[:, 0].numpy()
    assert set(changed) == set(made.canary)


def test_everything_that_matters_changes_the_hash():
    base = plan.digest(make().described())
    assert base == plan.digest(make().described())
    other = data()
    other = replace(other, inputs=other.inputs.clone())
    other.inputs[3, 0, 0, 0] = 0.5
    changed = [
        make(seed=1),
        make(other),
        make(kind="out-of-distribution"),
        make(preset=replace(SIZES, runs=41)),
        make(preset=replace(SIZES, canaries=19)),
    ]
    hashes = {plan.digest(one.described()) for one in changed}
    assert len(hashes) == len(changed) and base not in hashes


def test_more_runs_keep_the_earlier_ones():
    few, many = make(), make(preset=replace(SIZES, runs=50))
    assert (few.membership[:40] == many.membership[:40]).all()


def test_a_test_set_of_another_form_is_refused():
    other = LabeledDataset(torch.rand(10, 1, 5, 5), torch.zeros(10).long(), tuple("abcde"))
    with pytest.raises(DatasetError, match="same source"):
        plan.make(data(), other, (View(),), preset=SIZES, canary_kind="mislabelled", seed=0)


def test_presets_are_those_documented():
    standard = PRESETS["standard"]
    assert (standard.runs, standard.canaries, standard.ordinary, standard.views) == (
        64,
        500,
        2000,
        4,
    )
    assert PRESETS["quick"].runs == 16 and PRESETS["thorough"].runs == 256
