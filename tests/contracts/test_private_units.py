"""Whose privacy is claimed: every private method states groups where the data have them."""

import pytest
import torch

from limbeck import recipe, registry
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.mechanism.pipeline import Pipeline
from limbeck.train.standard import Standard

pytest.importorskip("opacus", reason="private methods need the extra 'private'")

# Noise is not under test: a given multiplier saves looking for one.
QUICK = {"dp-sgd": {"multiplier": 3.0, "rate": 0.5, "epochs": 1}}
PRIVATE = [m for m in registry.methods().values() if m.guarantee != "none"]


@pytest.fixture
def grouped(tiny_images):
    groups = torch.arange(40) // 4
    return LabeledDataset(tiny_images.inputs, tiny_images.labels, tiny_images.classes, groups)


def claimed(method, kind, data):
    """What a pipeline of the method claims, once it knows the form of the data."""
    if kind == "trainer":
        return Pipeline(None, method).resolve(data).guarantee
    return Pipeline(method, Standard("linear")).resolve(data).guarantee


@pytest.mark.parametrize(("name", "kind"), [(m.name, m.kind) for m in PRIVATE])
def test_the_unit_is_stated_as_it_is_protected(name, kind, tiny_images, grouped):
    method = recipe.build(name, QUICK.get(name, {}), kind)
    assert claimed(method, kind, grouped).unit == "group"
    assert claimed(method, kind, tiny_images).unit == "record"
    by_record = recipe.build(name, {**QUICK.get(name, {}), "unit": "record"}, kind)
    assert claimed(by_record, kind, grouped).unit == "record"
    by_group = recipe.build(name, {**QUICK.get(name, {}), "unit": "group"}, kind)
    with pytest.raises(OptionError, match=r"tiny: no record of shape .* has a group"):
        claimed(by_group, kind, tiny_images)


@pytest.mark.parametrize("name", [m.name for m in PRIVATE if m.kind == "trainer"])
def test_the_card_of_a_trained_classifier_states_groups(name, tmp_path, run):
    """From the command line, of data in which two rows belong to each person."""
    rows = [f"{i // 2},{i % 2},{i / 40},{(i * 7 % 40) / 40}" for i in range(40)]
    table = tmp_path / "people.csv"
    table.write_text("\n".join(["who,label,a,b", *rows]), encoding="utf-8")
    words = [w for k, v in QUICK.get(name, {}).items() for w in ("--set", f"{k}={v}")]
    code, out, err = run(
        *("train", table, "--trainer", name, "--label", "label", "--group", "who"),
        *("--range", "0:1", "-o", tmp_path / "model", *words),
    )
    assert code == 0, err
    assert "unit of privacy: group" in out
