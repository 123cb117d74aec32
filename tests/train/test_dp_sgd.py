"""DP-SGD: what it claims, what one record can change, and that it learns."""

import pytest
import torch

from limbeck import recipe
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.mechanism.pipeline import Pipeline
from limbeck.privacy.accountant import epsilon_declared
from limbeck.privacy.digits import up
from limbeck.train import dp_sgd
from limbeck.train.dp_sgd import DPSGD
from limbeck.train.levels import LEVELS

pytest.importorskip("opacus", reason="needs the extra 'private'")

SHAPE = (1, 8, 8)


def test_it_learns_digits_at_epsilon_10(digits):
    private, test = digits
    trainer = DPSGD("epsilon-10", epochs=6, width=8).resolve(private.shape)
    assert 9.9 < trainer.guarantee.epsilon <= 10
    assert trainer.fit(private, seed=0).accuracy(test) > 0.88


@pytest.mark.parametrize("level", ["epsilon-1", "epsilon-3", "epsilon-10"])
def test_a_formal_level_claims_its_epsilon_and_lists_its_events(level):
    trainer = DPSGD(level).resolve(SHAPE)
    claimed, stated = trainer.guarantee, LEVELS[level]
    assert 0.99 * stated.epsilon < claimed.epsilon <= stated.epsilon
    counting, steps = claimed.events
    assert (counting.sensitivity, counting.count, counting.rate) == (1.0, 1, 1.0)
    assert (steps.rate, steps.count) == (0.25, round(stated.epochs / 0.25))
    assert claimed.epsilon == epsilon_declared(claimed.events, 1e-5, grid=1e-3)
    without = epsilon_declared((steps,), 1e-5, grid=1e-3)
    assert without < claimed.epsilon, "the count costs something"
    assert Pipeline(None, trainer).guarantee == claimed
    assert trainer.title == f"dp-sgd at epsilon {claimed.epsilon:.3g}"


def test_one_step_more_than_declared_would_break_the_claim():
    trainer = DPSGD("epsilon-1").resolve(SHAPE)
    counting, steps = trainer.guarantee.events
    more = type(steps)(**{**vars(steps), "count": steps.count + 1})
    assert epsilon_declared((counting, more), 1e-5, grid=1e-3) > 1.0


@pytest.mark.parametrize(("level", "least"), [("medium", 500), ("high", 1e5), ("very-high", 1e5)])
def test_levels_of_high_utility_print_how_huge_their_epsilon_is(level, least):
    trainer = DPSGD(level).resolve(SHAPE)
    assert trainer.guarantee.epsilon > least
    assert trainer.title == f"dp-sgd at epsilon {up(trainer.guarantee.epsilon, 3)}"


def test_without_noise_there_is_no_guarantee():
    trainer = DPSGD("no-noise").resolve(SHAPE)
    assert trainer.guarantee is None and trainer.title == "dp-sgd"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epsilon": 1.0, "multiplier": 1.0}, "gives epsilon .*, not the epsilon 1 asked for"),
        ({"epsilon": 1.0, "multiplier": 0.0}, "gives no guarantee"),
        ({"level": "high", "adjacency": "replace-one"}, "no finite epsilon under replace-one"),
    ],
)
def test_claims_that_do_not_hold_are_refused(options, said):
    with pytest.raises(OptionError, match=said) as caught:
        DPSGD(**options).resolve(SHAPE)
    assert "\n" not in str(caught.value)


def test_more_noise_than_asked_for_is_fine():
    asked = DPSGD(epsilon=5.0, multiplier=20.0).resolve(SHAPE)
    assert asked.guarantee.epsilon < 5 and recipe.from_recipe(recipe.recipe(asked)) == asked


def one_step(data, views=3):
    """The weights after a single noiseless step that every record takes part in."""
    trainer = DPSGD(
        multiplier=0.0,
        rate=1.0,
        epochs=1,
        views=views,
        network="convnet1",
        width=3,
        learning_rate=1.0,
        average=0.0,
        clip=0.5,
        expected=1.0,
    )
    return torch.cat([p.flatten() for p in trainer.fit(data, seed=4).network.parameters()])


@pytest.mark.parametrize("at", [0, 17, 40])
def test_one_record_moves_the_weights_by_the_clipping_norm_at_most(tiny_images, at):
    """With augmentation: whoever stands behind the new record is augmented as before."""
    extra = LabeledDataset(torch.ones(1, *SHAPE), torch.tensor([3]), tiny_images.classes)
    inputs = torch.cat([tiny_images.inputs[:at], extra.inputs, tiny_images.inputs[at:]])
    labels = torch.cat([tiny_images.labels[:at], extra.labels, tiny_images.labels[at:]])
    moved = one_step(LabeledDataset(inputs, labels, tiny_images.classes)) - one_step(tiny_images)
    assert 0.4 < moved.norm() <= 0.5 * (1 + 1e-4)


def test_coins_of_shadow_runs_follow_from_their_seeds(tiny_images):
    trainer = DPSGD(multiplier=2.0, rate=0.5, epochs=2, width=2)
    mechanism = Pipeline(None, trainer)
    everyone = torch.ones(1, len(tiny_images), dtype=torch.bool)
    [one], [same], [other] = (
        list(mechanism.run_many(tiny_images, everyone, [seed])) for seed in (5, 5, 6)
    )
    logits = [r.classifier.logits(tiny_images.inputs) for r in (one, same, other)]
    assert torch.equal(logits[0], logits[1]) and not torch.equal(logits[0], logits[2])


def test_a_group_moves_the_weights_as_one_record_does(tiny_images):
    groups = torch.arange(40) // 20
    grouped = LabeledDataset(tiny_images.inputs, tiny_images.labels, tiny_images.classes, groups)
    alone = LabeledDataset(tiny_images.inputs[:1], tiny_images.labels[:1], grouped.classes)
    # One of each of the two groups takes part, instead of forty records.
    assert (one_step(grouped) - one_step(alone)).norm() <= 3 * 0.5
    assert (one_step(tiny_images) - one_step(alone)).norm() > 3 * 0.5


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr(dp_sgd, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"needs opacus; .*limbeck\[private\]"):
        DPSGD().resolve((1, 8, 8))
