"""What every registered trainer owes: one suite, run through the registry."""

import pytest
import torch

from limbeck import recipe, registry
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.train.base import Classifier, Trainer, TrainingSet

# Small options for trainers whose defaults take seconds; a trainer not named here runs as it is.
SMALL = {
    "standard": {"network": "mlp", "width": 16, "steps": 100},
    # So little noise that thirty records can be learnt from; its coins alone are under test.
    "dp-sgd": {"multiplier": 0.01, "width": 4, "rate": 0.5, "epochs": 10, "expected": 20},
    "private-ridge": {"epsilon": 1000.0, "features": 20},
}
PRIVATE = [name for name, m in registry.methods("trainer").items() if m.guarantee != "none"]


@pytest.fixture(params=sorted(registry.methods("trainer")))
def trainer(request: pytest.FixtureRequest) -> Trainer:
    made = recipe.build(request.param, SMALL.get(request.param, {}), "trainer")
    assert isinstance(made, Trainer)
    return made


def fit(trainer: Trainer, data: TrainingSet, seed: int = 0) -> Classifier:
    """A classifier whose coins follow from its seed: of private trainers, a shadow run's."""
    if trainer.method_name in PRIVATE:
        return next(iter(trainer.fit_many([data], [seed])))
    return trainer.fit(data, seed=seed)


def table(name: str = "table") -> LabeledDataset:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(30, 5, generator=generator)
    return LabeledDataset(inputs, (inputs[:, 0] > 0.5).long(), ("low", "high"), name=name)


def test_logits_are_finite_float32_one_row_a_record(
    trainer: Trainer, tiny_images: LabeledDataset
) -> None:
    logits = fit(trainer, tiny_images).logits(tiny_images.inputs[:7])
    assert logits.shape == (7, 4)
    assert logits.dtype == torch.float32
    assert logits.device.type == "cpu"
    assert torch.isfinite(logits).all()
    assert not logits.requires_grad


def test_logits_of_a_record_do_not_depend_on_its_company(
    trainer: Trainer, tiny_images: LabeledDataset
) -> None:
    classifier = fit(trainer, tiny_images)
    alone = classifier.logits(tiny_images.inputs[3:4])
    together = classifier.logits(tiny_images.inputs)[3:4]
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_classifier_and_leaves_global_state_alone(
    trainer: Trainer, tiny_images: LabeledDataset
) -> None:
    before = torch.random.get_rng_state()
    first = fit(trainer, tiny_images, 3).logits(tiny_images.inputs)
    torch.rand(5)
    state = torch.random.get_rng_state()
    again = fit(trainer, tiny_images, 3).logits(tiny_images.inputs)
    assert torch.equal(first, again)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.random.set_rng_state(before)


def test_fit_many_equals_fit(trainer: Trainer, tiny_images: LabeledDataset) -> None:
    sets = [tiny_images.select(range(20)), tiny_images.select(range(20, 40)), tiny_images]
    many = list(trainer.fit_many(sets, [5, 6, 7]))
    assert len(many) == 3
    for data, seed, classifier in zip(sets, [5, 6, 7], many, strict=True):
        alone = fit(trainer, data, seed).logits(tiny_images.inputs)
        torch.testing.assert_close(classifier.logits(tiny_images.inputs), alone, rtol=0, atol=1e-3)


def test_serves_tables_soft_labels_one_record_and_absent_classes(
    trainer: Trainer, tiny_images: LabeledDataset
) -> None:
    soft = torch.full((30, 2), 0.5)
    rows = table()
    softly = SyntheticDataset(rows.inputs, rows.labels, rows.classes, soft_labels=soft)
    for data in (rows, softly, rows.select([0]), tiny_images.select(tiny_images.labels < 2)):
        logits = fit(trainer, data).logits(data.inputs)
        assert logits.shape == (len(data), len(data.classes))
        assert torch.isfinite(logits).all()


def test_learns_a_separable_rule(trainer: Trainer) -> None:
    rows = table()
    assert fit(trainer, rows).accuracy(rows) > 0.7


def test_state_is_tensors_that_a_release_can_hold(
    trainer: Trainer, tiny_images: LabeledDataset
) -> None:
    state = fit(trainer, tiny_images).state()
    assert state
    assert all(isinstance(v, torch.Tensor) and v.device.type == "cpu" for v in state.values())


def test_the_recipe_of_the_resolved_trainer_gives_it_back(trainer: Trainer) -> None:
    for each in (trainer, trainer.resolve((1, 8, 8)), trainer.for_many_records()):
        assert recipe.from_recipe(recipe.recipe(each)) == each


def test_abridged_is_the_same_trainer_and_no_longer(trainer: Trainer) -> None:
    short, factor = trainer.abridged()
    assert type(short) is type(trainer)
    assert factor >= 1


def test_the_resolved_trainer_trains_alike(trainer: Trainer, tiny_images: LabeledDataset) -> None:
    resolved = trainer.resolve(tiny_images.shape)
    first = fit(trainer, tiny_images, 2).logits(tiny_images.inputs)
    assert torch.equal(first, fit(resolved, tiny_images, 2).logits(tiny_images.inputs))


@pytest.mark.parametrize("name", PRIVATE)
def test_coins_of_a_private_classifier_to_be_released_follow_from_no_seed(
    name: str, tiny_images: LabeledDataset
) -> None:
    trainer = recipe.build(name, SMALL.get(name, {}), "trainer")
    one, other = (trainer.fit(tiny_images, seed=3).logits(tiny_images.inputs) for _ in range(2))
    assert not torch.equal(one, other)
    claimed = trainer.resolve(tiny_images.shape).guarantee
    assert claimed is not None and claimed.epsilon > 0 and claimed.events
