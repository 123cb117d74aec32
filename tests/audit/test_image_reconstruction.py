"""Reconstruction: learned labels on public images give few records away, fitted noise does not."""

from functools import lru_cache

import pytest
import torch

from limbeck.audit.images.copying import copying
from limbeck.audit.images.measures import L2
from limbeck.audit.images.reconstruction import reconstruct
from limbeck.data.sources import load
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.nn.kernels import fully_connected_ntk
from limbeck.nn.ridge import ridge_dual

RECORDS = 3


@lru_cache
def digits():
    private, test = load("digits")
    order = torch.randperm(len(private), generator=torch.Generator().manual_seed(1))
    return private.select(order), test


def label_solve(private, images):
    """Labels learned on fixed images: what ridge regression on the private records says of them."""
    own, ours = private.inputs.double().flatten(1), images.double().flatten(1)
    labels = torch.eye(10, dtype=torch.float64)[private.labels] - 0.1
    dual = ridge_dual(fully_connected_ntk(own, own), labels, 1e-4)
    soft = (fully_connected_ntk(ours, own) @ dual + 0.1).float()
    return SyntheticDataset(images, soft.argmax(1), private.classes, soft_labels=soft)


def test_labels_learned_on_public_images_give_the_records_away():
    every, test = digits()
    private, public = every.select(range(RECORDS)), every.select(range(500, 600))
    found = reconstruct(label_solve(private, public.inputs), RECORDS, steps=150)
    assert found.unexplained < 0.5
    control = test.select(range(RECORDS))
    (seen,) = copying(found.guesses, private, control, [L2()]).measured
    assert seen.closer.value == 1.0
    assert seen.expected == 0.5
    # Nearer than the public images that happen to lie nearest, which anyone has.
    distances = L2().between(
        L2().prepare(private.inputs), L2().prepare(torch.cat([found.guesses.inputs, public.inputs]))
    )
    ours, theirs = distances[:, :RECORDS].amin(1), distances[:, RECORDS:].amin(1)
    assert (ours < theirs).sum() >= RECORDS - 1
    # Each guess has the class of the record that it shows.
    nearest = private.labels[torch.as_tensor(seen.nearest[:, 0].copy())]
    assert (found.guesses.labels == nearest).float().mean() > 0.6


def test_the_records_themselves_are_solved_for_exactly():
    private = digits()[0].select(range(RECORDS))
    found = reconstruct(label_solve(private, private.inputs), RECORDS, steps=200)
    assert found.unexplained < 0.01
    nearest = torch.cdist(private.inputs.flatten(1), found.guesses.inputs.flatten(1)).amin(1) / 8
    assert nearest.max() < 0.05


def test_labels_that_hold_nothing_of_the_records_give_nothing_away():
    every, test = digits()
    private, public = every.select(range(RECORDS)), every.select(range(500, 600))
    others = label_solve(every.select(range(700, 700 + RECORDS)), public.inputs)
    found = reconstruct(others, RECORDS, steps=80)
    control = test.select(range(40))
    (seen,) = copying(found.guesses, private, control, [L2()]).measured
    assert seen.closer.value <= 0.5


def test_one_hot_labels_are_refused():
    release = SyntheticDataset(torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64), ("a",))
    with pytest.raises(OptionError, match="learned labels"):
        reconstruct(release, 2)


def test_another_kernel_is_used():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(6, 3, generator=generator)
    soft = torch.rand(6, 2, generator=generator)
    release = SyntheticDataset(inputs, soft.argmax(1), ("a", "b"), soft_labels=soft)
    seen = []

    def linear(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append((len(x), len(y)))
        return x @ y.mT + 1.0

    # Four dimensions of linear functions: four records explain any of them.
    found = reconstruct(release, 4, kernel=linear, ridge=1e-3, steps=50)
    assert found.unexplained < 0.01
    assert (4, 6) in seen
