"""Standard training: it learns, its recipes are what they say, and stacking changes nothing."""

import math

import pytest
import torch
from torch.nn import functional as F

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.nn.networks import make
from limbeck.recipe import build
from limbeck.train.recipes import RECIPES
from limbeck.train.standard import Standard, _Plan

Digits = tuple[LabeledDataset, LabeledDataset]


@pytest.mark.parametrize(
    ("trainer", "records", "accuracy"),  # thresholds leave five points
    [
        (Standard("convnet2"), 100, 0.75),
        (Standard("convnet2", recipe="full", steps=100), 1000, 0.95),
        (Standard("mlp", recipe="full", steps=200), 1000, 0.93),
        (Standard("linear", steps=200), 1000, 0.85),
    ],
    ids=["search", "full", "mlp", "linear"],
)
def test_learns_digits(digits: Digits, trainer: Standard, records: int, accuracy: float) -> None:
    private, test = digits
    assert trainer.fit(private.select(range(records)), seed=0).accuracy(test) > accuracy


@pytest.mark.parametrize("recipe", ["search", "confirm"])
def test_training_equals_sgd_written_out(digits: Digits, recipe: str) -> None:
    # Full batches without augmentation leave only the optimiser and the schedule.
    data = digits[0].select(range(20))
    steps, rate = 6, RECIPES[recipe].learning_rate
    trainer = build(
        "standard", {"recipe": recipe, "network": "linear", "steps": steps, "augment": False}
    )
    trained = trainer.fit(data, seed=5).state()
    network = make("linear", data.shape, 10, seed=5)
    values = {k: v.detach().clone().requires_grad_() for k, v in network.named_parameters()}
    speed = {k: torch.zeros_like(v) for k, v in values.items()}
    for step in range(steps):
        cosine = (1 + math.cos(math.pi * step / steps)) / 2
        lr = rate * (cosine if recipe == "search" else (1.0 if step < 3 else 0.1))
        scores = data.inputs.flatten(1) @ values["head.weight"].T + values["head.bias"]
        gradients = torch.autograd.grad(F.cross_entropy(scores, data.labels), values.values())
        with torch.no_grad():
            for (name, value), gradient in zip(values.items(), gradients, strict=True):
                speed[name] = 0.9 * speed[name] + gradient + 5e-4 * value
                value -= lr * speed[name]
    for name, value in values.items():
        torch.testing.assert_close(trained[name], value.detach(), rtol=0, atol=1e-5)


def test_the_adam_recipe_is_adam_at_a_constant_rate(digits: Digits) -> None:
    # Its first step moves every weight by the rate in the gradient's direction, whatever its size.
    data = digits[0].select(range(20))
    before = make("linear", data.shape, 10, seed=5).head.weight.detach()
    scores = data.inputs.flatten(1) @ before.T + make("linear", data.shape, 10, seed=5).head.bias
    error = scores.softmax(1) - F.one_hot(data.labels, 10)
    gradient = error.T.detach() @ data.inputs.flatten(1) / 20
    options = {"recipe": "adam", "network": "linear"}
    moved = build("standard", {**options, "steps": 1}).fit(data, seed=5).state()["head.weight"]
    seen = gradient.abs() > 1e-4
    expected = before - 0.001 * gradient.sign()
    torch.testing.assert_close(moved[seen], expected[seen], rtol=0, atol=2e-6)
    plan = _Plan.of(build("standard", options).resolve(data.shape), data)
    assert (plan.steps, plan.rate(0), plan.rate(99)) == (100, 0.001, 0.001)


def test_an_epoch_sees_every_record_once(digits: Digits) -> None:
    data = digits[0].select(range(50))
    seen: list[int] = []

    plan = _Plan.of(Standard("linear", epochs=2, batch=16, augment=False).resolve(data.shape), data)
    assert plan.steps == 8
    feed = plan.batches(data, 0, "cpu")
    for _ in range(4):
        images, _labels = next(feed)
        seen += [int((data.inputs == x).flatten(1).all(1).nonzero()[0]) for x in images]
    assert sorted(seen) == list(range(50))


def test_one_hot_soft_labels_are_hard_labels_and_others_are_not(digits: Digits) -> None:
    data = digits[0].select(range(30))
    one_hot = torch.eye(10)[data.labels]
    fits = [
        Standard("mlp", steps=5)
        .fit(SyntheticDataset(data.inputs, data.labels, data.classes, soft_labels=soft), seed=1)
        .logits(data.inputs)
        for soft in (None, one_hot, 0.5 * one_hot + 0.05)
    ]
    assert torch.equal(fits[0], fits[1])
    assert not torch.equal(fits[0], fits[2])


@pytest.mark.parametrize("network", ["convnet3", "mlp"])
def test_stacked_equals_one_by_one(digits: Digits, network: str) -> None:
    private, test = digits
    # The third set differs in size and breaks the stack in two.
    sets = [private.select(range(a, b)) for a, b in ((0, 40), (40, 80), (80, 125), (125, 170))]
    options = {"network": network, "steps": 20, "width": 8, "augment": network != "mlp"}
    stacked = build("standard", {**options, "stacking": "always"})
    single = build("standard", {**options, "stacking": "never"})
    together = list(stacked.fit_many(sets, [3, 4, 5, 6]))
    for data, seed, classifier in zip(sets, [3, 4, 5, 6], together, strict=True):
        alone = single.fit(data, seed=seed)
        torch.testing.assert_close(
            classifier.logits(test.inputs), alone.logits(test.inputs), rtol=0, atol=1e-3
        )


def test_each_coin_depends_on_the_seed(digits: Digits) -> None:
    data = digits[0].select(range(40))
    plan = _Plan.of(Standard(batch=10).resolve(data.shape), data)
    first, again, other = (next(plan.batches(data, seed, "cpu")) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[1], other[1])
    assert not torch.equal(plan.network(1).head.weight, plan.network(2).head.weight)


def test_augmentation_draws_parameters_per_image_and_respects_mirror(digits: Digits) -> None:
    image = torch.rand(1, 1, 8, 8, generator=coins.generator(0))
    data = LabeledDataset(image.repeat(30, 1, 1, 1), torch.zeros(30, dtype=torch.int64), ("a", "b"))
    plan = _Plan.of(Standard().resolve(data.shape), data)
    feed = plan.batches(data, 0, "cpu")
    for _ in range(30):
        images, _ = next(feed)
        assert (images != images[:1]).any(), "every drawn transform varies within the batch"
        # Without mirror no batch mixes the image with its exact mirror.
        assert not torch.equal(images.sort(0).values[-1], torch.maximum(image, image.flip(-1))[0])


def test_resolve_spells_every_option_out() -> None:
    image = Standard().resolve((1, 28, 28))
    assert (image.width, image.steps, image.batch, image.augment) == (32, 150, 100, True)
    assert (image.learning_rate, image.epochs) == (0.06, None)
    papers = Standard(recipe="reference").resolve((1, 28, 28))
    assert (papers.width, papers.steps, papers.epochs, papers.batch) == (128, None, 300, 256)
    table = Standard("mlp", width=7, augment=True, epochs=3).resolve((30,))
    assert (table.width, table.augment, table.steps, table.epochs) == (7, False, None, 3)
    assert Standard().resolve((1, 8, 8)).resolve((1, 8, 8)) == Standard().resolve((1, 8, 8))


def test_abridged_times_to_the_full_training() -> None:
    short, factor = Standard().abridged()
    assert (short.steps, factor) == (10, 15)
    short, factor = Standard(recipe="reference").abridged()
    assert (short.epochs, short.steps, factor) == (2, None, 150)
    short, factor = Standard(steps=4).abridged()
    assert (short.steps, factor) == (4, 1)


@pytest.mark.parametrize(
    ("network", "shape"), [("convnet3", (30,)), ("convnet3", (1, 4, 4)), ("resnet", (1, 8, 8))]
)
def test_a_shape_that_does_not_fit_is_refused_in_one_line(
    network: str, shape: tuple[int, ...]
) -> None:
    data = LabeledDataset(torch.zeros(4, *shape), torch.tensor([0, 1, 0, 1]), ("a", "b"))
    with pytest.raises(OptionError) as refusal:
        Standard(network).fit(data, seed=0)
    assert "\n" not in str(refusal.value)
    assert network in str(refusal.value)


def test_bfloat16_rounds_the_forward_pass_and_returns_float32(digits: Digits) -> None:
    data = digits[0].select(range(50))
    full, half = (
        Standard("mlp", width=32, steps=10, precision=precision)
        .fit(data, seed=0)
        .logits(data.inputs)
        for precision in ("float32", "bfloat16")
    )
    assert half.dtype == torch.float32
    assert not torch.equal(half, full)
    torch.testing.assert_close(half, full, rtol=0, atol=0.05)
