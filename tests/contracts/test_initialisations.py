"""What every registered initialisation must do; a new one is tested here by being registered."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from limbeck import registry
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import LimbeckError
from limbeck.privacy.claim import stated
from limbeck.privacy.gaussian import mu_of
from limbeck.privacy.statement import Statement
from limbeck.recipe import recipe
from limbeck.synthesize import initialise
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.base import DataFree, FromRecords
from limbeck.types import Guarantee

NAMES = list(registry.methods("initialisation"))
SHAPES = [(1, 8, 8), (3, 8, 8), (1, 28, 28), (3, 64, 64), (1, 9, 12), (6,)]
PER_CLASS = 3
SOME = ~torch.isin(torch.arange(40), torch.tensor([1, 5, 18, 27, 39]))
"""Members among the forty tiny images: at least eight of each of the four classes."""


def made(shape, n=40, classes=("a", "b", "c", "d"), seed=0):
    inputs = torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed))
    return LabeledDataset(inputs, torch.arange(n) % len(classes), classes, name="tiny")


def option(name, shape, folder):
    """The text after the colon, where the initialisation cannot do without; ``folder`` has it."""
    other = made(shape, classes=("x", "y"), seed=9)
    if name == "public":
        file = folder / "other.npz"
        np.savez(file, inputs=other.inputs.numpy(), labels=other.labels.numpy())
        return f":{file}"
    if name == "private":
        own = Guarantee(1.0, 1e-5, mu=mu_of(1.0, 1e-5))
        card = stated(Statement.of(own, name="other"))
        SyntheticDataset(other.inputs, other.labels, other.classes, card=card).save(folder)
        return f":{folder}"
    return ""


@pytest.fixture(params=NAMES)
def begin(request, tmp_path):
    return initialise.parse(request.param + option(request.param, (1, 8, 8), tmp_path))


def start(begin, data, member=None, seed=0, per_class=PER_CLASS):
    begin.check(Form.of(data), per_class)
    if isinstance(begin, FromRecords):
        member = torch.ones(len(data), dtype=torch.bool) if member is None else member
        return begin.read(data, member, per_class, seed)
    return begin.draw(Form.of(data), per_class, seed)


def test_the_seed_alone_decides(begin, tiny_images):
    first, same, other = (start(begin, tiny_images, seed=s) for s in (3, 3, 4))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_count_shape_and_range(name, shape, tmp_path):
    data = made(shape)
    begin = initialise.parse(name + option(name, shape, tmp_path))
    if name == "kaleidoscope" and len(shape) == 1:
        with pytest.raises(LimbeckError, match=r"needs images .*\(6,\)"):
            begin.check(Form.of(data), PER_CLASS)
        return
    images = start(begin, data)
    assert images.shape == (4 * PER_CLASS, *shape) and images.dtype == torch.float32
    assert 0 <= images.min() <= images.max() <= 1
    assert images.is_contiguous() and not images.requires_grad


def test_images_come_class_by_class_and_from_their_own_class(begin):
    """Each class is a grey level of its own: what comes of its records is nearest to that level."""
    levels = torch.tensor([0.1, 0.9, 0.5])
    labels = torch.arange(90) % 3
    inputs = levels[labels][:, None, None, None].expand(-1, 1, 8, 8).clone()
    data = LabeledDataset(inputs, labels, ("a", "b", "c"))
    if isinstance(begin, DataFree):
        return
    means = start(begin, data, per_class=20).unflatten(0, (3, 20)).mean((1, 2, 3, 4))
    assert (means[:, None] - levels).abs().argmin(1).tolist() == [0, 1, 2]


def test_only_members_are_read(begin, tiny_images):
    member = SOME
    inputs = tiny_images.inputs.clone()
    inputs[~member] = 1 - inputs[~member]
    changed = dataclasses.replace(tiny_images, inputs=inputs)
    assert torch.equal(start(begin, tiny_images, member), start(begin, changed, member))


def test_absent_records_and_non_members_are_the_same(begin, tiny_images):
    chosen = tiny_images.select(SOME)
    assert torch.equal(start(begin, tiny_images, SOME), start(begin, chosen))


def test_declared_access_is_honest(begin, tiny_images):
    changed = dataclasses.replace(tiny_images, inputs=1 - tiny_images.inputs)
    same = torch.equal(start(begin, tiny_images), start(begin, changed))
    assert begin.access == ("none" if same else "records")
    assert isinstance(begin, DataFree if same else FromRecords)
    assert begin.needs_per_class(PER_CLASS) == 0 or not same


def test_the_records_it_needs_suffice_and_fewer_are_refused_in_one_line(begin):
    if begin.access == "none":
        return
    needed = begin.needs_per_class(PER_CLASS)
    enough = made((1, 8, 8), n=4 * needed)
    assert len(start(begin, enough)) == 4 * PER_CLASS
    member = torch.ones(len(enough), dtype=torch.bool)
    member[1] = False
    line = rf"^tiny: class 'b' has {needed - 1} records, fewer than the {needed} [^\n]*$"
    with pytest.raises(LimbeckError, match=line):
        start(begin, enough, member)


def test_a_guarantee_is_stated_only_where_no_record_is_read(begin):
    assert begin.access == "none" or (begin.guarantee is None and begin.ledger == ())
    json.dumps([begin.guarantee, *begin.ledger])
    assert bool(begin.owed) == (begin.guarantee is not None)


def test_it_can_be_written_and_read_back(begin):
    written = recipe(begin)
    [value] = list(written["options"].values()) or [None]
    text = begin.method_name if value is None else f"{begin.method_name}:{value}"
    assert initialise.parse(text) == begin
