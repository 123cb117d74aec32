import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data import SyntheticDataset
from limbeck.data.card import evaluation
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
    filled = {"ledger": [], "interrupted": None, "formation": 1, "slots_per_class": 2}
    assert {k: v for k, v in again.card.items() if k != "software"} == {**CARD, **filled}
    assert sorted(p.name for p in folder.iterdir()) == [
        "card.json",
        "dataset.safetensors",
        "preview.png",
    ]


@pytest.mark.parametrize("soft", [True, False])
def test_torch_pairs_feed_a_loader_and_a_loss(synthetic, soft):
    pairs = (synthetic if soft else replace(synthetic, soft_labels=None)).torch()
    inputs, target = pairs[3]
    assert torch.equal(inputs, synthetic.inputs[3])
    assert target.tolist() == ([0, 1, 0] if soft else 1)
    [(batch, targets)] = torch.utils.data.DataLoader(pairs, batch_size=6)
    loss = torch.nn.functional.cross_entropy(torch.zeros(6, 3), targets)
    assert batch.shape == (6, 1, 8, 8) and loss.item() == pytest.approx(np.log(3))


def test_the_two_lines_of_the_docs_and_of_the_card_load_a_release(synthetic, tmp_path, monkeypatch):
    folder = synthetic.save(tmp_path / "release")
    lines = json.loads((folder / "card.json").read_text())["limbeck"]["usage"]
    page = (Path(__file__).parents[2] / "docs" / "release.md").read_text()
    assert len(lines) == 2 and "```python\n{}\n\n{}\n```".format(*lines) in page
    monkeypatch.chdir(tmp_path)
    names = {}
    exec("\n".join(lines), names)
    assert torch.equal(names["dataset"][0][0], synthetic.inputs[0]) and len(names["dataset"]) == 6


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


def written(synthetic, folder, **card):
    return json.loads((replace(synthetic, card=card).save(folder) / "card.json").read_text())


def test_the_card_says_what_a_user_needs(synthetic, tmp_path):
    card = written(synthetic, tmp_path / "x")
    form = card["limbeck"]
    assert form["records_per_class"] == [2, 2, 2] and form["slots_per_class"] == 2
    assert form["formation"] == 1 and "Multi-formation" not in card["description"]
    assert "in [0, 1]" in form["scaling"] and "255" in form["scaling"]
    assert "with soft labels" in card["description"]
    assert "soft_labels" in card["distribution"][0]["description"]
    assert form["software"].keys() == {"limbeck", "torch", "python"}
    assert form["software"]["torch"] == torch.__version__
    ranged = written(synthetic, tmp_path / "y", value_range=[0, 1000])["limbeck"]
    assert "0 stands for 0 and 1 for 1000" in ranged["scaling"]


def test_soft_labels_that_are_no_probabilities_are_called_so(synthetic, tmp_path):
    targets = replace(synthetic, soft_labels=1.5 * synthetic.soft_labels - 1 / 6)
    for made, said in ((synthetic, False), (targets, True)):
        card = json.loads((made.save(tmp_path / str(said)) / "card.json").read_text())
        assert ("outside [0, 1]" in card["distribution"][0]["description"]) is said


def test_sets_of_another_kind_say_so(synthetic, tmp_path):
    card = written(synthetic, tmp_path / "x", formation=2, slots_per_class=5, interrupted=0.25)
    assert "Multi-formation: 4 images" in card["description"]
    assert "Interrupted when 25%" in card["description"]
    assert (card["limbeck"]["formation"], card["limbeck"]["slots_per_class"]) == (2, 5)
    unlike = replace(synthetic, labels=torch.tensor([0, 0, 0, 1, 1, 2]))
    assert written(unlike, tmp_path / "y")["limbeck"]["slots_per_class"] is None
    assert written(unlike, tmp_path / "z")["limbeck"]["records_per_class"] == [3, 2, 1]


def test_the_software_is_that_of_the_maker(synthetic, folder, tmp_path):
    made = SyntheticDataset.load(folder)
    old = replace(made, card={**made.card, "software": {"limbeck": "0.0.1"}}).save(tmp_path / "a")
    again = SyntheticDataset.load(old).save(tmp_path / "b")
    assert SyntheticDataset.load(again).card["software"] == {"limbeck": "0.0.1"}


@pytest.mark.parametrize(
    ("shape", "network"),
    [
        ((1, 8, 8), "convnet3"),
        ((3, 32, 64), "convnet3"),
        ((1, 4, 7), "convnet2"),
        ((1, 1, 9), "mlp"),
        ((13,), "mlp"),
    ],
)
def test_the_evaluation_on_the_card_can_be_run(shape, network):
    from limbeck.train.recipes import RECIPES
    from limbeck.train.standard import Standard

    recommended = evaluation(shape)
    assert recommended["network"] == network
    assert {recommended["recipe"], *recommended["quicker_recipes"]} <= set(RECIPES)
    Standard(network, recommended["recipe"]).resolve(shape)  # refuses what it cannot serve
    words = recommended["command"].split()
    assert words[words.index("--network") + 1] == network and "reference" in words


def test_a_method_may_name_its_own_evaluation(folder):
    assert SyntheticDataset.load(folder).card["evaluation"] == CARD["evaluation"]


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
    "card",
    [
        {"ledger": [float("nan")]},
        {"recipe": {1, 2}},
        {"holds_real_records": "perhaps"},
        {"formation": 0},
        {"formation": "2x2"},
    ],
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
        (lambda f: edit(f, lambda c: c["limbeck"].update(formation="2")), "formation is '2'"),
        (lambda f: edit(f, lambda c: c["limbeck"].update(slots_per_class=[2])), "slots_per_class"),
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
