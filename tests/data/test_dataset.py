import pytest
import torch

from limbeck.data import LabeledDataset

LABELS = torch.tensor([0, 1, 0, 1])


def make(inputs=None, labels=LABELS, **options):
    inputs = torch.rand(4, 1, 2, 2) if inputs is None else inputs
    return LabeledDataset(inputs, labels, ("a", "b"), **options)


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (torch.rand(4), LABELS, "shape 4; they need"),
        (torch.rand(4, 0), LABELS, "shape 4x0"),
        (torch.rand(5, 3), LABELS, "labels have 4 entries, inputs have 5"),
        (torch.rand(4, 3).double(), LABELS, "float64"),
        (torch.rand(4, 3), LABELS.float(), "labels are torch.float32"),
        (torch.full((4, 3), float("nan")), LABELS, "4 of 4 records .* NaN"),
        (torch.full((4, 3), 1.5), LABELS, "range from 1.5 to 1.5"),
        (torch.rand(4, 3), LABELS + 1, "labels range from 1 to 2, but there are 2"),
        (torch.rand(4, 3), LABELS - 1, "labels range from -1 to 0"),
    ],
)
def test_bad_tensors_are_refused_in_one_line(refused, inputs, labels, message):
    with refused(message):
        make(inputs, labels)


def test_groups_must_match_the_records(refused):
    with refused("groups have 3 entries"):
        make(groups=torch.arange(3))


def test_an_empty_class_is_named(refused):
    with refused("no record of class 'b' among 4"):
        make(labels=torch.zeros(4, dtype=torch.int64)).require_every_class()


def test_select_keeps_groups_and_order():
    data = make(groups=torch.tensor([5, 6, 7, 8]))
    chosen = data.select([2, 0])
    assert chosen.groups.tolist() == [7, 5]
    assert torch.equal(chosen.inputs, data.inputs[[2, 0]])
    assert torch.equal(
        data.select(torch.tensor([True, False, True, False])).inputs, data.inputs[::2]
    )


@pytest.mark.parametrize("change", ["inputs", "labels", "mirror", "groups"])
def test_fingerprint_depends_on_everything_but_the_name(change):
    inputs = torch.rand(4, 1, 2, 2)
    base = make(inputs, name="one")
    assert base.fingerprint() == make(inputs.clone(), name="two").fingerprint()
    other = {
        "inputs": lambda: make(inputs * 0.5),
        "labels": lambda: make(inputs, LABELS.flip(0)),
        "mirror": lambda: make(inputs, mirror=True),
        "groups": lambda: make(inputs, groups=torch.arange(4)),
    }[change]()
    assert base.fingerprint() != other.fingerprint()
