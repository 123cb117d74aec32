import io

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data import load, read
from limbeck.data.sources import columns
from limbeck.errors import OptionError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
datasets = pytest.importorskip("datasets")

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 5, 4), dtype=np.uint8)


def encoded(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def image_table(n=8, **extra):
    images = [{"bytes": encoded(p), "path": None} for p in PIXELS[:n]]
    return pa.table({"image": images, "label": [i % 2 for i in range(n)], **extra})


def test_parquet_images_as_the_hub_stores_them(tmp_path):
    pq.write_table(image_table(who=list("aabbccdd")), tmp_path / "x.parquet")
    data = read(tmp_path / "x.parquet", group="who")
    assert torch.equal(data.inputs[:, 0], torch.from_numpy(PIXELS).float() / 255)
    people = np.unique(data.groups.numpy(), return_inverse=True)[1]
    assert data.labels.tolist() == [0, 1] * 4 and len(set(people)) == 4
    assert (people.reshape(4, 2) == people[::2, None]).all()
    assert load(tmp_path / "x.parquet", size=8, channels=3, limit=4)[0].inputs.shape == (4, 3, 8, 8)


def test_parquet_numbers_with_a_public_range(tmp_path):
    table = pa.table({"a": [0, 5, 10, 10], "b": [1.0, 2.0, 3.0, 4.0], "label": list("uvuv")})
    pq.write_table(table, tmp_path / "x.parquet")
    data = read(tmp_path / "x.parquet", value_range=(0.0, 10.0))
    assert torch.allclose(data.inputs, torch.tensor([[0, 0.1], [0.5, 0.2], [1, 0.3], [1, 0.4]]))
    assert data.classes == ("u", "v")


def test_a_folder_of_parquet_files_keeps_its_split(tmp_path):
    pq.write_table(image_table(), tmp_path / "train-0.parquet")
    pq.write_table(image_table(4), tmp_path / "test-0.parquet")
    private, test = load(tmp_path)
    assert (len(private), len(test)) == (8, 4)


def hugging(n=8):
    features = datasets.Features(
        {"img": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    rows = {"img": [Image.fromarray(p) for p in PIXELS[:n]], "label": [i % 2 for i in range(n)]}
    return datasets.Dataset.from_dict(rows, features=features)


def test_hugging_face_datasets_keep_class_names_and_splits(tmp_path):
    both = datasets.DatasetDict({"train": hugging(), "test": hugging(4)})
    both.save_to_disk(str(tmp_path / "both"))
    private, test = load(tmp_path / "both")
    assert private.classes == ("cat", "dog") and (len(private), len(test)) == (8, 4)
    assert torch.equal(private.inputs[:, 0], torch.from_numpy(PIXELS).float() / 255)


def test_a_selection_of_a_hugging_face_dataset_is_respected(tmp_path):
    hugging().select([5, 1, 2, 0]).save_to_disk(str(tmp_path / "one"))
    data = read(tmp_path / "one")
    assert torch.equal(data.inputs[:, 0], torch.from_numpy(PIXELS[[5, 1, 2, 0]]).float() / 255)
    assert data.labels.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"a": [1.0, None], "label": [0, 1]}), "'a' holds NaN or infinity in 1 of 2"),
        (pa.table({"a": [1.0, 2.0], "label": [0, None]}), "'label' is empty in 1 of 2"),
        (pa.table({"a": [[1.0], [2.0]], "label": [0, 1]}), "neither numbers nor images"),
        (pa.table({"a": ["x", "y"], "label": [0, 1]}), "'a' is not numeric"),
        (pa.table({"a": [b"x", b"y"], "label": [0, 1]}), "a of row 0 is not an image"),
        (pa.table({"a": [1.0, 2.0], "label": [0.5, 1.0]}), "labels are float64"),
        (pa.table({"a": [1.0][:0], "label": [0][:0]}), "has no row"),
    ],
)
def test_bad_tables_are_refused_in_one_line(tmp_path, refused, table, message):
    pq.write_table(table, tmp_path / "x.parquet")
    with refused(message):
        load(tmp_path / "x.parquet", value_range=(0.0, 10.0))


def test_damaged_files_are_refused(tmp_path, refused):
    path = tmp_path / "x.parquet"
    pq.write_table(image_table(), path)
    path.write_bytes(path.read_bytes()[:-10])
    with refused("damaged or no Parquet file"):
        load(path)
    hugging().save_to_disk(str(tmp_path / "one"))
    arrow = next((tmp_path / "one").glob("*.arrow"))
    arrow.write_bytes(arrow.read_bytes()[:50])
    with refused("cannot be read as a Hugging Face dataset"):
        load(tmp_path / "one")


def test_a_missing_package_is_named(tmp_path, refused, monkeypatch):
    pq.write_table(image_table(), tmp_path / "x.parquet")
    monkeypatch.setattr(columns, "find_spec", lambda name: None)
    with refused(r"needs pyarrow; install it with pip install 'limbeck\[tables\]'", OptionError):
        load(tmp_path / "x.parquet")
    assert not columns.Parquet().status(None).reachable
