"""Classes as a public list: for every kind of source, and what happens to records outside it."""

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data import LabeledDataset, load, read
from limbeck.data.sources.base import Request
from limbeck.data.sources.labels import UNLISTED, numbered
from limbeck.errors import DatasetError, DataWarning, OptionError

VALUES = np.arange(40, dtype=np.float32).reshape(20, 2) / 40
WORDS = np.array(["b", "a"] * 10)
LISTED = ("a", "b", "hiv")


def written(kind, folder, words=WORDS):
    """The records as a source of this kind; of images, each is of one grey."""
    if kind == "npz":
        np.savez(folder / "x.npz", inputs=VALUES, labels=words)
        return folder / "x.npz"
    if kind == "npz-numbers":
        known, numbers = np.unique(words, return_inverse=True)
        np.savez(folder / "x.npz", inputs=VALUES, labels=numbers, classes=known)
        return folder / "x.npz"
    if kind == "csv":
        lines = [f"{w},{p},{q}" for w, (p, q) in zip(words, VALUES, strict=True)]
        (folder / "x.csv").write_text("\n".join(["label,p,q", *lines]), encoding="utf-8")
        return folder / "x.csv"
    if kind == "folder":
        for i, word in enumerate(words):
            (folder / "x" / word).mkdir(parents=True, exist_ok=True)
            Image.new("L", (2, 2), i).save(folder / "x" / word / f"{i:02d}.png")
        return folder / "x"
    if kind == "huggingface":
        datasets = pytest.importorskip("datasets")
        known, numbers = np.unique(words, return_inverse=True)
        features = datasets.Features(
            {
                "p": datasets.Value("float32"),
                "label": datasets.ClassLabel(names=known.tolist()),
            }
        )
        columns = {"p": VALUES[:, 0].tolist(), "label": numbers.tolist()}
        datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(folder / "x"))
        return folder / "x"
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"p": VALUES[:, 0], "label": words.tolist()}
    if kind == "parquet-images":
        file = folder / "one.png"
        images = []
        for i in range(len(words)):
            Image.new("L", (2, 2), i).save(file)
            images.append({"bytes": file.read_bytes(), "path": None})
        columns = {"image": images, "label": words.tolist()}
    pq.write_table(pa.table(columns), folder / "x.parquet")
    return folder / "x.parquet"


KINDS = ["npz", "npz-numbers", "csv", "folder", "huggingface", "parquet", "parquet-images"]
OWN_LIST = ("npz-numbers", "huggingface")


def ranged(kind):
    return {"value_range": (0.0, 1.0)} if kind in ("csv", "parquet", "huggingface") else {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_numbers_the_classes_of_every_source(tmp_path, kind):
    path = written(kind, tmp_path)
    plain = read(path, **ranged(kind))
    assert plain.classes == ("a", "b")
    assert plain.classes_from == ("source" if kind in OWN_LIST else "data")
    for names in (LISTED, ("hiv", "b", "a")):
        found = read(path, classes=names, **ranged(kind))
        assert (found.classes, found.classes_from) == (names, "list")
        said = [[each.classes[k] for k in each.labels.tolist()] for each in (plain, found)]
        assert said[0] == said[1]
        assert torch.equal(found.inputs, plain.inputs)
        assert found.counts()[names.index("hiv")] == 0
    private, test = load(path, classes=LISTED, **ranged(kind))
    assert private.classes == test.classes == LISTED and len(private) + len(test) == 20


@pytest.mark.parametrize("kind", KINDS)
def test_an_unlisted_label_is_named_or_left_out(tmp_path, refused, kind):
    words = WORDS.copy()
    words[7] = "x"
    path = written(kind, tmp_path, words)
    label = "the folder 'x'" if kind == "folder" else "label 'x' of record 7"
    message = rf"{path.name}: {label} is none of the 3 classes \('a', 'b', 'hiv'\)"
    with refused(message):
        read(path, classes=LISTED, **ranged(kind))
    with pytest.warns(DataWarning, match=r"are left out") as seen:
        found = read(path, classes=LISTED, guaranteed=True, **ranged(kind))
    assert len(seen) == 1
    (tmp_path / "without").mkdir()
    other = written(kind, tmp_path / "without", words)
    with pytest.warns(DataWarning):
        private, test = load(other, classes=LISTED, guaranteed=True, **ranged(kind))
    assert len(found) == len(private) + len(test) == 19
    assert 7 not in np.flatnonzero(np.isin(VALUES[:, 0], found.inputs.flatten(1)[:, 0].numpy()))


@pytest.mark.parametrize("classes", [LISTED, ("a", "b")])
def test_leaving_a_record_out_moves_no_other(tmp_path, classes):
    """The private part of a file, and of the file without the record, are the same."""
    words = np.append(WORDS[:-1], "x")
    parts = []
    for name, keep in (("with", 20), ("without", 19)):
        np.savez(tmp_path / f"{name}.npz", inputs=VALUES[:keep], labels=words[:keep])
        how = {"classes": classes, "guaranteed": True, "limit": 9}
        if name == "without":
            parts.append(load(tmp_path / f"{name}.npz", **how)[0])
            continue
        with pytest.warns(DataWarning):
            parts.append(load(tmp_path / f"{name}.npz", **how)[0])
    assert torch.equal(parts[0].inputs, parts[1].inputs)
    assert torch.equal(parts[0].labels, parts[1].labels)


@pytest.mark.parametrize(
    ("names", "labels", "places"),
    [
        (("a", "b", "c"), [0, 2, 3, -1], [0, 2, UNLISTED, UNLISTED]),
        (("3", "1", "-1"), [1, 3, 0, -1], [1, 0, UNLISTED, 2]),
        (("1", "x"), [0, 1, 2, 3], [0, 1, UNLISTED, UNLISTED]),
    ],
    ids=["places", "names that are numbers", "not all names are numbers"],
)
@pytest.mark.parametrize("dtype", [np.int8, np.int64])
def test_integers_are_names_where_all_names_are_integers_and_places_otherwise(
    names, labels, places, dtype
):
    request = Request(classes=names, guaranteed=True)
    found = numbered(np.array(labels, dtype=dtype), None, request, "x")
    assert found.numbers.tolist() == places and found.classes == names


def test_unsigned_labels_that_are_not_listed_do_not_wrap():
    request = Request(guaranteed=True)
    found = numbered(np.array([0, 9], dtype=np.uint8), ("a", "b"), request, "x")
    assert found.numbers.tolist() == [0, UNLISTED] and found.origin == "source"


def test_integers_stand_for_the_names_of_the_source_first():
    request = Request(classes=("dog", "cat"))
    assert numbered(np.array([0, 1, 1]), ("cat", "dog"), request, "x").numbers.tolist() == [1, 0, 0]
    with pytest.raises(DatasetError, match="label '2' of record 1 is none of the 2 classes"):
        numbered(np.array([0, 2]), ("cat", "dog"), request, "x")


def test_named_sources_have_their_list_and_take_another(refused):
    assert read("digits").classes_from == "source"
    reverse = [str(k) for k in range(9, -1, -1)]
    found, plain = read("digits", classes=reverse), read("digits")
    assert torch.equal(9 - found.labels, plain.labels) and found.classes_from == "list"
    with refused("digits: label '2' of record 2 is none of the 2 classes"):
        read("digits", classes=["0", "1"])


def test_a_test_part_of_its_own_has_the_listed_classes(tmp_path):
    tests = {"test_inputs": VALUES[:2], "test_labels": np.array([3, 1])}
    np.savez(tmp_path / "x.npz", inputs=VALUES, labels=np.arange(20) % 3 + 1, **tests)
    private, test = load(tmp_path / "x.npz", classes=("1", "2", "3", "4"))
    assert private.labels[:3].tolist() == [0, 1, 2] and test.labels.tolist() == [2, 0]
    assert private.classes == test.classes


def test_the_test_part_of_parquet_has_the_classes_of_the_private_one(tmp_path, refused):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"p": VALUES[:, 0], "label": WORDS.tolist()}
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    pq.write_table(pa.table({"p": [0.5], "label": ["b"]}), tmp_path / "test.parquet")
    private, test = load(tmp_path, value_range=(0.0, 1.0))
    assert private.classes == test.classes == ("a", "b") and test.labels.tolist() == [1]
    pq.write_table(pa.table({"p": [0.5], "label": ["c"]}), tmp_path / "test.parquet")
    with refused("label 'c' of record 0 is none of the 2 classes"):
        load(tmp_path, value_range=(0.0, 1.0))


def test_an_attribute_of_celeba_takes_the_order_of_the_list(tmp_path, refused):
    lines = [f"{i}.png {1 if i % 3 == 0 else -1}" for i in range(8)]
    for i in range(8):
        Image.new("RGB", (8, 8), (i, i, i)).save(tmp_path / f"{i}.png")
    (tmp_path / "list_attr_celeba.txt").write_text("\n".join(["8", "Male", *lines]))
    how = {"label": "Male", "size": 4}
    assert read("celeba", root=tmp_path, **how).classes_from == "source"
    found = read("celeba", root=tmp_path, classes=["Male", "not Male"], part="private", **how)
    numbers = (found.inputs[:, 0, 0, 0] * 255).round().long()
    assert found.labels.tolist() == (numbers % 3 != 0).long().tolist()
    with refused("label 'not Male' of record 1 is none of the 1 classes"):
        read("celeba", root=tmp_path, classes=["Male"], **how)
    with pytest.warns(DataWarning, match="5 of 8 records cannot be used"):
        alone = read("celeba", root=tmp_path, classes=["Male"], guaranteed=True, **how)
    assert set(alone.labels.tolist()) == {0}


def test_an_empty_folder_is_a_class_that_was_listed(tmp_path, refused):
    path = written("folder", tmp_path)
    (path / "hiv").mkdir()
    with refused("hiv is an empty class .* list the classes"):
        load(path)
    found = load(path, classes=LISTED)[0]
    assert found.counts()[2] == 0
    assert load(path, guaranteed=True)[0].classes == LISTED, "whoever is in it is private"


@pytest.mark.parametrize(
    ("change", "values", "groups"),
    [
        ({3: np.nan}, {}, None),
        ({3: 2.0, 4: -1.0}, {}, None),
        ({3: np.inf}, {"value_range": (0.0, 1.0)}, None),
        ({}, {}, {3: ""}),
    ],
    ids=["nan", "out of [0, 1]", "clipped", "no group"],
)
def test_values_that_cannot_be_used_leave_their_record_out(tmp_path, change, values, groups):
    inputs = VALUES.copy()
    for at, value in change.items():
        inputs[at, 0] = value
    arrays = {"inputs": inputs, "labels": WORDS}
    lost = set(change) if not values else set()
    if groups is not None:
        arrays["groups"] = np.array([groups.get(i, f"p{i}") for i in range(20)])
        lost = set(groups)
    np.savez(tmp_path / "x.npz", **arrays)
    if not lost:
        assert len(read(tmp_path / "x.npz", **values)) == 20, "infinity is clipped to the range"
        return
    with pytest.raises(DatasetError):
        read(tmp_path / "x.npz", **values)
    with pytest.warns(DataWarning, match=f"{len(lost)} of 20 records cannot be used"):
        found = read(tmp_path / "x.npz", guaranteed=True, **values)
    kept = [i for i in range(20) if i not in lost]
    assert torch.equal(found.inputs, torch.from_numpy(VALUES[kept]))


def test_cells_of_a_table_that_cannot_be_used_leave_their_record_out(tmp_path, refused):
    lines = ["a,1,2", "b,,3", "a,x,4", "b,9,5", "a,2,3"]
    (tmp_path / "x.csv").write_text("\n".join(["label,p,q", *lines]), encoding="utf-8")
    with refused("column 'p' is empty in 1 of 5"):
        read(tmp_path / "x.csv", value_range=(0.0, 10.0))
    with pytest.warns(DataWarning, match="2 of 5 records cannot be used"):
        found = read(tmp_path / "x.csv", value_range=(0.0, 10.0), guaranteed=True)
    assert torch.allclose(found.inputs[:, 0], torch.tensor([0.1, 0.9, 0.2]))


def test_parquet_rows_without_a_label_are_left_out(tmp_path, refused):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table({"p": [0.1, 0.2, 0.3], "label": ["a", None, "b"]})
    pq.write_table(table, tmp_path / "x.parquet")
    with refused("column 'label' is empty in 1 of 3"):
        read(tmp_path / "x.parquet", value_range=(0.0, 1.0))
    with pytest.warns(DataWarning, match="column 'label' is empty in 1 of 3"):
        found = read(tmp_path / "x.parquet", value_range=(0.0, 1.0), guaranteed=True)
    assert torch.allclose(found.inputs[:, 0], torch.tensor([0.1, 0.3]))


def test_no_record_at_all_is_served_for_a_guarantee_alone(tmp_path, refused):
    np.savez(tmp_path / "x.npz", inputs=VALUES[:0], labels=WORDS[:0], classes=np.array(LISTED))
    with refused("inputs have shape 0x2; they need at least one record"):
        load(tmp_path / "x.npz")
    private, test = load(tmp_path / "x.npz", guaranteed=True)
    assert (len(private), len(test), private.classes) == (0, 0, LISTED)
    assert private.shape == (2,) and private.counts().tolist() == [0, 0, 0]


@pytest.mark.parametrize("classes", [[], ["a", "a"], ["a", " "]])
def test_a_list_needs_distinct_names(tmp_path, refused, classes):
    with refused("classes: ", OptionError):
        read(written("npz", tmp_path), classes=classes)


def test_a_dataset_made_by_hand_has_the_list_that_it_is_given():
    made = LabeledDataset(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), ("a", "b"))
    assert made.classes_from == "list"
    assert (
        made.fingerprint()
        == LabeledDataset(made.inputs, made.labels, made.classes, classes_from="data").fingerprint()
    )
