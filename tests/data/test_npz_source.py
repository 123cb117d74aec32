import io
import zipfile

import numpy as np
import pytest
import torch

from limbeck.data import load, read
from limbeck.errors import OptionError


def save(folder, **arrays):
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


LABELS = np.arange(20) % 2
DISTINCT = np.arange(60).reshape(20, 3) / 60


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535), (bool, 1)])
def test_integers_are_scaled_by_their_type(tmp_path, dtype, top):
    inputs = np.random.default_rng(0).integers(0, top + 1, (20, 1, 3, 3)).astype(dtype)
    data = read(save(tmp_path, inputs=inputs, labels=LABELS))
    assert torch.equal(data.inputs, torch.from_numpy(inputs.astype(np.float32) / np.float32(top)))


def test_floats_stay_and_ranges_scale_and_clip(tmp_path):
    inputs = np.linspace(0, 1, 60).reshape(20, 3)
    assert torch.equal(
        read(save(tmp_path, inputs=inputs, labels=LABELS)).inputs,
        torch.from_numpy(inputs.astype(np.float32)),
    )
    wide = inputs * 10 - 5
    wide[0, 0] = -100
    data = read(save(tmp_path, inputs=wide, labels=LABELS), value_range=(-5.0, 5.0))
    assert torch.allclose(data.inputs, torch.from_numpy(inputs.astype(np.float32)), atol=1e-6)


def test_axes_of_images_are_put_in_order(tmp_path):
    inputs = np.random.default_rng(0).integers(0, 256, (20, 5, 4, 3), dtype=np.uint8)
    data = read(save(tmp_path, inputs=inputs, labels=LABELS))
    assert torch.equal(
        data.inputs, torch.from_numpy(inputs.transpose(0, 3, 1, 2) / np.float32(255))
    )
    assert read(save(tmp_path, inputs=inputs[..., 0], labels=LABELS)).shape == (1, 5, 4)


def test_classes_groups_and_test_part(tmp_path):
    path = save(
        tmp_path,
        inputs=np.zeros((20, 3)),
        labels=LABELS,
        classes=np.array(["healthy", "ill"]),
        groups=np.repeat(["ann", "bob", "cid", "dan"], 5),
        test_inputs=np.ones((4, 3)),
        test_labels=np.array([0, 1, 1, 0]),
    )
    private, test = load(path)
    assert private.classes == test.classes == ("healthy", "ill")
    people = private.groups.reshape(4, 5)
    assert len(people[:, 0].unique()) == 4 and (people == people[:, :1]).all()
    assert len(private) == 20 and test.labels.tolist() == [0, 1, 1, 0]


def test_words_become_classes(tmp_path):
    words = np.array(["b", "a"] * 10)
    data = read(save(tmp_path, inputs=np.zeros((20, 3)), labels=words))
    assert data.classes == ("a", "b") and data.labels.tolist() == [1, 0] * 10


def test_a_persons_records_stay_together(tmp_path):
    groups = np.repeat(np.arange(10), 2)
    path = save(tmp_path, inputs=np.zeros((20, 3)), labels=groups % 2, groups=groups)
    private, test = load(path, test_share=0.3)
    assert len(test) > 0
    assert not set(private.groups.tolist()) & set(test.groups.tolist())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": np.zeros((20, 3))}, "lacks 'labels'"),
        (
            {"inputs": np.zeros((20, 3)), "labels": LABELS, "classes": np.array(["a", "a"])},
            "two classes are called 'a'",
        ),
        ({"inputs": np.zeros((19, 3)), "labels": LABELS}, "labels have shape 20, inputs 19x3"),
        ({"inputs": np.zeros((20, 3)), "labels": LABELS[:, None]}, "labels have shape 20x1"),
        ({"inputs": np.zeros(20), "labels": LABELS}, "inputs have shape 20; they need"),
        ({"inputs": np.zeros((0, 3)), "labels": LABELS[:0]}, "shape 0x3"),
        ({"inputs": np.full((20, 3), np.nan), "labels": LABELS}, "NaN"),
        ({"inputs": np.full((20, 3), 2.0), "labels": LABELS}, "range from 2 to 2; say .*public"),
        ({"inputs": np.zeros((20, 3), complex), "labels": LABELS}, "complex128; give numbers"),
        ({"inputs": np.zeros((20, 3)), "labels": LABELS * 0.5}, "labels are float64"),
        ({"inputs": np.zeros((20, 3)), "labels": LABELS - 1}, "range from -1 to 0"),
        ({"inputs": np.zeros((20, 3)), "labels": LABELS * 900}, "highest label is 900"),
        (
            {"inputs": np.zeros((20, 3)), "labels": LABELS * 2, "classes": np.array(["a", "b"])},
            "label '2' of record 1 is none of the 2 classes",
        ),
        (
            {"inputs": np.zeros((20, 3)), "labels": np.array(["x"] * 20), "classes": ["a", "b"]},
            "label 'x' of record 0 is none of the 2 classes",
        ),
        (
            {"inputs": np.zeros((20, 3)), "labels": LABELS, "groups": np.arange(3)},
            "3 groups for 20 records",
        ),
        (
            {"inputs": np.zeros((20, 3)), "labels": LABELS, "test_inputs": np.zeros((2, 3))},
            "test_inputs without test_labels",
        ),
        (
            {
                "inputs": np.zeros((20, 3)),
                "labels": LABELS,
                "test_inputs": np.zeros((2, 4)),
                "test_labels": np.arange(2),
            },
            r"shape \(3,\), test records \(4,\)",
        ),
    ],
)
def test_bad_arrays_are_refused_in_one_line(tmp_path, refused, arrays, message):
    with refused(message):
        load(save(tmp_path, **arrays))


def test_python_objects_are_never_loaded(tmp_path, refused):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a stored object was executed",))

    path = save(tmp_path, inputs=np.array([Trap()], dtype=object), labels=LABELS)
    with refused("'inputs' holds Python objects"):
        load(path)


def test_cut_and_foreign_files_are_refused(tmp_path, refused):
    path = save(tmp_path, inputs=np.zeros((20, 3)), labels=LABELS)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with refused("no .npz archive, or is cut short"):
        load(path)
    path.write_bytes(b"")
    with refused("no .npz archive"):
        load(path)
    array = io.BytesIO()
    np.save(array, np.zeros((20, 3)))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inputs.npy", array.getvalue()[:-8])
        archive.writestr("labels.npy", b"junk")
    with refused("'inputs' is damaged"):
        load(path)


def test_a_size_is_for_images(tmp_path, refused):
    with refused("size is for images, but inputs have shape 20x3", OptionError):
        load(save(tmp_path, inputs=np.zeros((20, 3)), labels=LABELS), size=8)


def test_a_range_in_another_unit_is_refused(tmp_path, refused):
    with refused("every input lies outside the public range 100 to 200"):
        load(save(tmp_path, inputs=np.ones((20, 3)), labels=LABELS), value_range=(100.0, 200.0))


def test_either_part_is_read_on_its_own(tmp_path):
    split = {"test_inputs": np.full((5, 3), 0.5), "test_labels": np.arange(5) % 2}
    path = save(tmp_path, inputs=np.zeros((20, 3)), labels=LABELS, **split)
    assert len(read(path)) == 5 and len(read(path, part="private")) == 20
    assert len(read(path, part="private", limit=6)) == 6
    # A file without parts is all of either; a named source is split as ``load`` splits it.
    whole = save(tmp_path, inputs=np.zeros((20, 3)), labels=LABELS)
    assert len(read(whole)) == len(read(whole, part="private")) == 20
    private, test = load("digits", test_share=0.3, seed=4)
    for ours, part in ((private, "private"), (test, "test")):
        assert torch.equal(ours.inputs, read("digits", part=part, test_share=0.3, seed=4).inputs)
