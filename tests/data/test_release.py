import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data import SyntheticDataset
from limbeck.data.preview import grid
from limbeck.errors import DatasetError, StoreError
from limbeck.files import write_safetensors

CARD = {
    "recipe": {"method": "dm", "options": {"ipc": 2}},
    "guarantee": None,
    "holds_real_records": False,
    "evaluation": {"network": "convnet3"},
}


@pytest.fixture
def synthetic():
    inputs = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    soft = torch.eye(3).repeat_interleave(2, 0)
    labels = torch.arange(3).repeat_interleave(2)
    return SyntheticDataset(inputs, labels, ("a", "b", "c"), soft, True, "six", CARD)


@pytest.fixture
def folder(synthetic, tmp_path):
    return synthetic.save(tmp_path / "release")


def test_what_is_saved_is_loaded(synthetic, folder):
    again = SyntheticDataset.load(folder)
    for name in ("inputs", "labels", "soft_labels"):
        assert torch.equal(getattr(again, name), getattr(synthetic, name))
    assert (again.classes, again.mirror, again.name) == (("a", "b", "c"), True, "six")
    assert again.card == {**CARD, "ledger": []}
    assert sorted(p.name for p in folder.iterdir()) == [
        "card.json",
        "dataset.safetensors",
        "preview.png",
    ]


def test_saving_twice_gives_the_same_bytes(synthetic, folder, tmp_path):
    other = SyntheticDataset.load(folder).save(tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes()


def test_hard_labels_stay_hard(synthetic, tmp_path):
    path = replace(synthetic, soft_labels=None).save(tmp_path / "hard")
    assert SyntheticDataset.load(path).soft_labels is None
    assert json.loads((path / "card.json").read_text())["limbeck"]["labels"] == "hard"


def test_the_card_is_croissant_and_says_what_matters(folder):
    text = (folder / "card.json").read_text()
    card = json.loads(text)
    assert card["@type"] == "sc:Dataset"
    assert card["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert card["distribution"][0]["contentUrl"] == "dataset.safetensors"
    assert "Holds real records: no." in card["description"]
    form = card["limbeck"]
    assert form["recipe"] == CARD["recipe"] and form["labels"] == "soft"
    assert (form["records"], form["shape"], form["schema_version"]) == (6, [1, 8, 8], 1)
    rows = card["recordSet"][0]["data"]
    assert [r["classes/name"] for r in rows] == ["a", "b", "c"]
    # Every prefixed name is defined in the context, so that a JSON-LD reader resolves it.
    assert {"sc", "cr", "limbeck"} <= set(card["@context"])


@pytest.mark.parametrize(("real", "word"), [(True, "yes"), (False, "no"), (None, "unknown")])
def test_real_records_are_named_in_words(synthetic, tmp_path, real, word):
    card = {} if real is None else {"holds_real_records": real}
    path = replace(synthetic, card=card).save(tmp_path / "x")
    written = json.loads((path / "card.json").read_text())
    assert f"Holds real records: {word}." in written["description"]
    assert written["limbeck"]["holds_real_records"] is real


def test_a_seed_never_reaches_the_card(synthetic, tmp_path, refused):
    leaky = {"recipe": {"method": "x", "options": {"parts": [{"seed": 1}]}}}
    with refused("recipe.options.parts.0.seed", StoreError):
        replace(synthetic, card=leaky).save(tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "card", [{"ledger": [float("nan")]}, {"recipe": {1, 2}}, {"holds_real_records": "perhaps"}]
)
def test_a_card_that_cannot_be_written_leaves_the_old_release(
    synthetic, folder, tmp_path, refused, card
):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for place in (folder, tmp_path / "new"):
        with refused("six: the card cannot be written as JSON", StoreError):
            replace(synthetic, inputs=synthetic.inputs / 2, card=card).save(place)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert not (tmp_path / "new").exists()


def test_the_preview_shows_each_class_in_a_row(synthetic, folder):
    with Image.open(folder / "preview.png") as image:
        pixels = np.asarray(image)
    assert pixels.shape == (3 * 66 + 2, 2 * 66 + 2)
    for i in range(6):
        y, x = 2 + 66 * (i // 2), 2 + 66 * (i % 2)
        tile = pixels[y : y + 64, x : x + 64]
        expected = (synthetic.inputs[i, 0] * 255).round().byte().numpy()
        assert np.array_equal(tile, expected.repeat(8, 0).repeat(8, 1))


def test_the_preview_is_in_colour_and_at_most_ten_wide():
    inputs = torch.zeros(24, 3, 100, 100)
    inputs[:, 2] = 1
    labels = torch.cat([torch.zeros(20), torch.full((4,), 2)]).long()
    image = grid(SyntheticDataset(inputs, labels, ("a", "none", "c")))
    assert image.mode == "RGB" and image.size == (10 * 102 + 2, 2 * 102 + 2)
    assert image.getpixel((50, 50)) == (0, 0, 255)


def test_tables_have_no_preview(tmp_path):
    table = SyntheticDataset(torch.rand(4, 3), torch.tensor([0, 1, 0, 1]), ("a", "b"))
    path = table.save(tmp_path / "table")
    assert not (path / "preview.png").exists()
    assert torch.equal(SyntheticDataset.load(path).inputs, table.inputs)


def edit(folder, change):
    card = json.loads((folder / "card.json").read_text())
    change(card)
    (folder / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "card.json").unlink(), "holds no card.json: it is not a release"),
        (lambda f: (f / "card.json").write_text("{"), "card.json is damaged"),
        (lambda f: (f / "card.json").write_bytes(b"\xff\xfe\x00"), "card.json is damaged"),
        (lambda f: (f / "card.json").write_text("[]"), "not a card of limbeck"),
        (lambda f: (f / "card.json").write_text("{}"), "not a card of limbeck"),
        (lambda f: edit(f, lambda c: c["limbeck"].update(schema_version=99)), "schema 99"),
        (lambda f: edit(f, lambda c: c["limbeck"].pop("classes")), "lacks limbeck.classes"),
        (lambda f: edit(f, lambda c: c.pop("distribution")), "lacks distribution"),
        (lambda f: edit(f, lambda c: c["limbeck"].update(records=7)), "6 records of shape"),
        (lambda f: edit(f, lambda c: c["limbeck"].update(records="6")), "limbeck.records is '6'"),
        (lambda f: edit(f, lambda c: c["limbeck"].update(records=True)), "limbeck.records is True"),
        (lambda f: edit(f, lambda c: c["limbeck"].update(name=None)), "limbeck.name is None"),
        (lambda f: edit(f, lambda c: c["limbeck"].update(classes="abc")), "limbeck.classes"),
        (lambda f: edit(f, lambda c: c["limbeck"].update(classes=[1, 2, 3])), "limbeck.classes"),
        (lambda f: edit(f, lambda c: c["limbeck"].update(mirror="yes")), "limbeck.mirror"),
        (lambda f: edit(f, lambda c: c["limbeck"].update(shape=None)), "limbeck.shape"),
        (lambda f: edit(f, lambda c: c["limbeck"].update(shape=[1, "8", 8])), "limbeck.shape"),
        (lambda f: edit(f, lambda c: c["limbeck"].update(classes=["a"])), "is damaged"),
        (lambda f: (f / "dataset.safetensors").unlink(), "dataset.safetensors cannot be read"),
        (
            lambda f: (f / "dataset.safetensors").write_bytes(
                (f / "dataset.safetensors").read_bytes()[:-1]
            ),
            "not the file that card.json describes",
        ),
    ],
)
def test_damaged_releases_are_refused_in_one_line(folder, refused, damage, message):
    damage(folder)
    with refused(message, StoreError):
        SyntheticDataset.load(folder)


def test_foreign_tensors_are_refused(folder, refused):
    from hashlib import sha256

    path = write_safetensors(folder / "dataset.safetensors", {"other": torch.zeros(2)})
    digest = sha256(path.read_bytes()).hexdigest()
    edit(folder, lambda c: c["distribution"][0].update(sha256=digest))
    with refused("damaged .*'inputs'", StoreError):
        SyntheticDataset.load(folder)


def test_labels_without_a_class_are_refused(synthetic, tmp_path, refused):
    folder = replace(synthetic, soft_labels=None).save(tmp_path / "hard")
    edit(folder, lambda c: c["limbeck"].update(classes=["a", "b"]))
    with refused("labels up to 2, its card names 2 classes", StoreError):
        SyntheticDataset.load(folder)


def test_a_place_that_cannot_be_written_is_named(synthetic, tmp_path, refused):
    (tmp_path / "file").write_text("in the way")
    with refused("file cannot be written", StoreError):
        synthetic.save(tmp_path / "file")


def test_synthetic_shapes_are_checked(refused):
    with refused("3 labels for 2", DatasetError):
        SyntheticDataset(torch.zeros(2, 1), torch.zeros(3, dtype=torch.int64), ("a",))
    with refused(r"soft labels have shape \(2, 2\); they need \(2, 1\)", DatasetError):
        zeros = torch.zeros(2, dtype=torch.int64)
        SyntheticDataset(torch.zeros(2, 1), zeros, ("a",), torch.zeros(2, 2))
