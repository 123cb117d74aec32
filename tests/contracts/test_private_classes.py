"""Whether a class has a record is private: with and without, a private release looks alike.

D has one record of class "hiv" and D' has none. Data of one record and of none are neighbours too.
"""

import pytest
import torch

from limbeck import recipe, registry
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DatasetError
from limbeck.mechanism.pipeline import Pipeline

pytest.importorskip("opacus", reason="private methods need the extra 'private'")

QUICK = {
    "dp-sgd": {"epochs": 1, "rate": 0.5, "width": 2, "multiplier": 3.0},
    "psg": {"ipc": 2, "network": "convnet1", "width": 2, "networks": 1, "outer": 2, "inner": 1},
    "dp-kip": {"ipc": 2, "steps": 2},
    "private-copula": {"ipc": 2, "pool": 8, "steps": 1, "features": 5},
    "private-matching": {
        **{"ipc": 2, "network": "convnet1", "width": 2, "pairs": 2, "features": 6, "steps": 2},
        **{"waves": 1.0, "rounds": 2},
    },
    "private-ridge": {"features": 5},
    "dp-merf": {"ipc": 2, "features": 10, "steps": 2, "batch": 2, "width": 2},
    "dp-sinkhorn": {"ipc": 2, "rate": 0.5, "steps": 2, "batch": 2, "width": 2},
    "gs-wgan": {"ipc": 2, "shards": 2, "steps": 2, "batch": 2, "warmup": 0, "width": 2},
}
PRIVATE = [m for m in registry.methods().values() if m.guarantee != "none"]
SYNTHESIZERS = [m.name for m in PRIVATE if m.kind == "synthesizer"]
TRAINERS = [m.name for m in PRIVATE if m.kind == "trainer"]


def data(records):
    """Records of "a" and "b" in turn, the 25th alone in "hiv"."""
    inputs = torch.rand(25, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(25) % 2
    labels[24] = 2
    return LabeledDataset(inputs[:records], labels[:records], ("a", "b", "hiv"), name="clinic")


NEIGHBOURS = [(25, 24), (1, 0)]


@pytest.mark.parametrize("sizes", NEIGHBOURS, ids=["hiv", "none at all"])
@pytest.mark.parametrize("name", SYNTHESIZERS)
def test_a_synthesizer_releases_the_same_but_for_noise(name, sizes):
    method = recipe.build(name, QUICK.get(name, {"ipc": 2}), "synthesizer")
    one, other = (Pipeline(method, None).resolve(data(n)).synthesizer for n in sizes)
    assert recipe.recipe(one) == recipe.recipe(other)
    assert one.guarantee == other.guarantee
    reported = []
    made = [
        method.synthesize(
            data(n), seed=0, progress=lambda share, _, n=n: reported.append((n, share))
        )
        for n in sizes
    ]
    assert made[0].card == made[1].card and made[0].card["guarantee"] is not None
    assert made[0].inputs.shape == made[1].inputs.shape
    assert torch.equal(made[0].labels, made[1].labels)
    assert made[0].labels.bincount(minlength=3).tolist() == [2, 2, 2]
    assert (made[0].soft_labels is None) == (made[1].soft_labels is None)
    assert made[0].inputs.isfinite().all() and made[1].inputs.isfinite().all()
    steps = [[share for m, share in reported if m == n] for n in sizes]
    assert steps[0] == steps[1]


@pytest.mark.parametrize("sizes", NEIGHBOURS, ids=["hiv", "none at all"])
@pytest.mark.parametrize("name", TRAINERS)
def test_a_trainer_releases_the_same_but_for_noise(name, sizes):
    trainer = recipe.build(name, QUICK.get(name, {}), "trainer")
    one, other = (Pipeline(None, trainer).resolve(data(n)).trainer for n in sizes)
    assert recipe.recipe(one) == recipe.recipe(other)
    assert one.guarantee == other.guarantee is not None
    fitted = [trainer.fit(data(n), seed=0) for n in sizes]
    assert fitted[0].architecture() == fitted[1].architecture()
    states = [{k: v.shape for k, v in each.state().items()} for each in fitted]
    assert states[0] == states[1]
    blank = torch.zeros(1, 1, 8, 8)
    assert all(each.logits(blank).shape == (1, 3) for each in fitted)
    assert all(each.logits(blank).isfinite().all() for each in fitted)


@pytest.mark.parametrize("name", ["dm", "dm-ridge", "dc", "cgan", "random-subset"])
def test_what_has_no_guarantee_refuses_a_class_without_records(name):
    method = recipe.build(name, {"ipc": 2}, "synthesizer")
    with pytest.raises(DatasetError, match="no record of class 'hiv' among 24"):
        Pipeline(method, None).resolve(data(24))


def test_noise_images_need_no_record():
    method = recipe.build("noise-images", {"ipc": 1}, "synthesizer")
    assert Pipeline(method, None).resolve(data(24)).synthesizer == method
