"""Classifiers on disk: what is written is read, what is damaged or foreign is refused."""

import hashlib
import json

import pytest
import torch

from limbeck.errors import OptionError, StoreError
from limbeck.train.base import Classifier
from limbeck.train.kernel_ridge import KernelRidge
from limbeck.train.released import ReleasedClassifier
from limbeck.train.standard import Standard

TRAINERS = [
    Standard("convnet1", width=3, steps=2),
    Standard("mlp", width=5, steps=2),
    Standard("linear", steps=2),
    Standard("lenet", steps=1),
    KernelRidge(depth=1),
]


@pytest.mark.parametrize("trainer", TRAINERS, ids=lambda t: t.title)
def test_what_is_saved_predicts_the_same(trainer, tiny_images, tmp_path):
    classifier = trainer.fit(tiny_images, seed=1)
    card = {"guarantee": None, "recipe": {"method": "x"}}
    released = ReleasedClassifier(classifier, tiny_images.shape, tiny_images.classes, card)
    again = ReleasedClassifier.load(released.save(tmp_path / "model"))
    assert (again.shape, again.classes) == (tiny_images.shape, tiny_images.classes)
    assert again.card["recipe"] == {"method": "x"} and again.card["software"]["limbeck"]
    expected = classifier.logits(tiny_images.inputs)
    torch.testing.assert_close(again.classifier.logits(tiny_images.inputs), expected)


@pytest.fixture
def folder(tiny_images, tmp_path):
    classifier = Standard("mlp", width=5, steps=1).fit(tiny_images, seed=1)
    return ReleasedClassifier(classifier, tiny_images.shape, tiny_images.classes, {}).save(
        tmp_path / "model"
    )


def edit(folder, **changes):
    path = folder / "model.json"
    card = json.loads(path.read_text())
    card.update(changes)
    path.write_text(json.dumps(card))


def other_tensors(folder):
    content = b"\x02\x00\x00\x00\x00\x00\x00\x00{}"
    (folder / "model.safetensors").write_bytes(content)
    edit(folder, sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "model.json").unlink(), "holds no model.json"),
        (lambda f: (f / "model.json").write_text("{"), "is damaged"),
        (lambda f: (f / "model.json").write_text("[]"), "no model's card"),
        (lambda f: edit(f, schema_version=9), "schema 1"),
        (lambda f: edit(f, shape=[1, -8]), "shape is"),
        (lambda f: edit(f, classes="abc"), "classes is 'abc'"),
        (lambda f: edit(f, classes=["a"]), "does not fit"),
        (lambda f: edit(f, shape=[1, 9, 9]), "does not fit"),
        (lambda f: edit(f, architecture={"kind": "os:system"}), "this limbeck reads: network"),
        (lambda f: edit(f, architecture={"kind": "network"}), "does not fit"),
        (
            lambda f: edit(f, architecture={"kind": "network", "network": "no", "width": 1}),
            "no network is called 'no'",
        ),
        (lambda f: (f / "model.safetensors").unlink(), "cannot be read"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x"), "is not the file"),
        (other_tensors, "does not fit"),
    ],
)
def test_damaged_classifiers_are_refused_in_one_line(folder, damage, said):
    damage(folder)
    with pytest.raises(StoreError, match=said) as caught:
        ReleasedClassifier.load(folder)
    assert "\n" not in str(caught.value)


def test_a_classifier_that_cannot_be_rebuilt_is_not_released(tmp_path):
    class Foreign(Classifier):
        def logits(self, inputs):
            return torch.zeros(len(inputs), 2)

    with pytest.raises(OptionError, match="Foreign cannot be released"):
        ReleasedClassifier(Foreign(), (3,), ("a", "b"), {}).save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
