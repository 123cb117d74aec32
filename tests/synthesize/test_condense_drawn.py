"""Condensing drawn records: of the classes that their teacher takes them for, equally many."""

import torch

from limbeck.data.synthetic import SyntheticDataset
from limbeck.synthesize.generate.condense_drawn import as_taught, condense_drawn


def drawn(soft):
    n, classes = soft.shape
    return SyntheticDataset(
        torch.arange(n * 64.0).reshape(n, 1, 8, 8) / (n * 64),
        torch.zeros(n, dtype=torch.int64),  # the class drawn for: of no account
        tuple("abcdef"[:classes]),
        soft_labels=soft,
        name="drawn",
    )


def places(found, source):
    """Where each record of ``found`` stands in ``source``: every record is unlike every other."""
    same = (found.inputs[:, None] == source.inputs[None]).flatten(2).all(2)
    assert (same.sum(1) == 1).all()
    return same.int().argmax(1)


def test_every_class_gets_as_many_as_the_rarest_all_of_which_the_teacher_takes_for_it():
    soft = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
    soft[:, 2] *= 0.6
    soft = soft / soft.sum(1, keepdim=True)
    taken = soft.argmax(1)
    rarest = int(torch.bincount(taken, minlength=3).min())
    assert 2 <= rarest == int((taken == 2).sum()) < 13
    source = drawn(soft)
    found = as_taught(source, 1, torch.Generator().manual_seed(1))
    assert torch.bincount(found.labels).tolist() == [rarest] * 3
    at = places(found, source)
    assert torch.equal(taken[at], found.labels)
    assert len(at.unique()) == len(at)
    other = as_taught(source, 1, torch.Generator().manual_seed(2))
    assert not torch.equal(places(other, source), at), "which ones is for the coins to say"


def test_a_class_that_is_hardly_ever_taken_gets_its_likeliest():
    soft = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.8, 0.2], [0.4, 0.6]])
    source = drawn(soft)
    found = as_taught(source, 3, torch.Generator().manual_seed(0))
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    at = places(found, source).tolist()
    assert set(at[:3]) == {0, 1, 2}
    assert at[3:] == [3, 1, 2]


def test_condensed_images_are_of_the_class_that_the_teacher_chose():
    # Dark images and bright ones, drawn for one class and taken for two: hard labels follow.
    bright = torch.arange(40) % 2
    noise = 0.2 * torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    source = SyntheticDataset(
        noise + 0.7 * bright.view(-1, 1, 1, 1),
        torch.zeros(40, dtype=torch.int64),
        ("dark", "bright"),
        soft_labels=torch.nn.functional.one_hot(bright, 2) * 0.8 + 0.1,
        name="drawn",
    )
    found = condense_drawn(source, 2, 3, seed=0)
    assert found.labels.tolist() == [0, 0, 1, 1] and found.soft_labels is None
    brightness = found.inputs.mean((1, 2, 3))
    assert float(brightness[:2].max()) + 0.3 < float(brightness[2:].min())
