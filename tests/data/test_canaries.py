from dataclasses import replace

import pytest
import torch

from limbeck.data.canaries import plant
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError

KINDS = ("mislabelled", "out-of-distribution", "duplicates")
INDEX = torch.tensor([3, 0, 17, 30, 11, 24])


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_canaries_change_and_the_input_stays(tiny_images, kind):
    before = tiny_images.fingerprint()
    planted = plant(tiny_images, INDEX, kind, seed=5)
    others = torch.ones(40, dtype=torch.bool).index_fill(0, INDEX, False)
    assert torch.equal(planted.data.inputs[others], tiny_images.inputs[others])
    assert torch.equal(planted.data.labels[others], tiny_images.labels[others])
    assert tiny_images.fingerprint() == before
    assert planted.kind == kind and torch.equal(planted.index, INDEX)
    assert torch.equal(planted.assigned_labels, planted.data.labels[INDEX])


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides(tiny_images, kind):
    first, again, other = (plant(tiny_images, torch.arange(40), kind, s) for s in (1, 1, 2))
    assert first.data.fingerprint() == again.data.fingerprint() != other.data.fingerprint()


def test_mislabelled_labels_are_uniform_among_the_wrong_ones():
    n = 3000
    data = LabeledDataset(torch.zeros(n, 1), torch.full((n,), 2), ("a", "b", "c", "d"))
    planted = plant(data, torch.arange(n), "mislabelled", 0)
    assert planted.true_labels.tolist() == [2] * n
    counts = torch.bincount(planted.assigned_labels, minlength=4)
    assert counts[2] == 0
    # Five standard deviations of 3,000 draws of probability one third: 129.
    assert (counts[[0, 1, 3]] - 1000).abs().max() < 129
    assert torch.equal(planted.data.inputs, data.inputs)


def test_patterns_are_smooth_of_full_range_and_all_different(tiny_images):
    large = LabeledDataset(torch.rand(50, 3, 32, 32), torch.arange(50) % 4, tiny_images.classes)
    planted = plant(large, torch.arange(50), "out-of-distribution", 0)
    made = planted.data.inputs
    assert torch.equal(made.amin((1, 2, 3)), torch.zeros(50))
    assert torch.equal(made.amax((1, 2, 3)), torch.ones(50))
    rough = (large.inputs.diff(dim=3) ** 2).mean() / large.inputs.var()
    smooth = (made.diff(dim=3) ** 2).mean() / made.var()
    assert smooth < rough / 20
    assert torch.cdist(made.flatten(1), made.flatten(1)).fill_diagonal_(9).min() > 1
    assert torch.equal(planted.true_labels, planted.assigned_labels)


def test_tables_get_noise(tiny_images):
    table = LabeledDataset(torch.full((9, 2), 0.5), torch.arange(9) % 3, ("a", "b", "c"))
    planted = plant(table, torch.arange(8), "out-of-distribution", 0)
    assert (planted.data.inputs[:8] != 0.5).all() and (planted.data.inputs[8] == 0.5).all()


def test_twins_share_input_label_group_and_unit(tiny_images):
    planted = plant(tiny_images, INDEX, "duplicates", 0)
    data, first, second = planted.data, INDEX[0::2], INDEX[1::2]
    assert torch.equal(data.inputs[second], tiny_images.inputs[first])
    assert torch.equal(data.inputs[first], tiny_images.inputs[first])
    assert torch.equal(data.labels[first], data.labels[second])
    assert torch.equal(data.groups[first], data.groups[second])
    assert len(data.groups.unique()) == 40 - 3
    assert planted.units.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(planted.true_labels[0::2], tiny_images.labels[first])
    assert torch.equal(planted.true_labels[0::2], planted.true_labels[1::2])


def test_half_of_the_pairs_are_mislabelled(tiny_images):
    planted = plant(tiny_images, torch.arange(40), "duplicates", 0)
    wrong = planted.assigned_labels != planted.true_labels
    assert wrong.sum() == 20 and torch.equal(wrong[0::2], wrong[1::2])


def test_twins_join_an_existing_group(tiny_images):
    data = replace(tiny_images, groups=torch.arange(40) + 100)
    planted = plant(data, torch.tensor([5, 9]), "duplicates", 0)
    assert planted.data.groups[9] == 105 == planted.data.groups[5]


@pytest.mark.parametrize("kind", KINDS)
def test_no_canary_is_no_change(tiny_images, kind):
    planted = plant(tiny_images, torch.tensor([], dtype=torch.int64), kind, 0)
    assert torch.equal(planted.data.inputs, tiny_images.inputs)
    assert torch.equal(planted.data.labels, tiny_images.labels)


@pytest.mark.parametrize(
    ("index", "kind", "message"),
    [
        ([1, 1], "mislabelled", "twice"),
        ([1, 40], "mislabelled", "run from 1 to 40, records from 0 to 39"),
        ([-1, 4], "mislabelled", "run from -1"),
        ([1, 2, 3], "duplicates", "3 canaries are asked for; give an even number"),
    ],
)
def test_bad_indices_are_refused(tiny_images, refused, index, kind, message):
    with refused(message, OptionError):
        plant(tiny_images, torch.tensor(index), kind, 0)


def test_one_class_has_no_wrong_label(refused):
    data = LabeledDataset(torch.zeros(3, 1), torch.zeros(3, dtype=torch.int64), ("a",))
    with refused("one class", OptionError):
        plant(data, torch.tensor([0]), "mislabelled", 0)
