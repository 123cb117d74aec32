import pytest
import torch

from limbeck.data import SyntheticDataset, read
from limbeck.data.export import export, losses
from limbeck.errors import OptionError, StoreError

CLASSES = ("T-shirt/top", "a", "B c")


def make(channels=1, soft=False):
    inputs = torch.rand(6, channels, 5, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([2, 0, 1, 1, 0, 2])
    targets = torch.full((6, 3), 1 / 3) if soft else None
    return SyntheticDataset(inputs, labels, CLASSES, targets)


@pytest.mark.parametrize("channels", [1, 3])
def test_npz_reads_back_exactly(tmp_path, channels):
    synthetic = make(channels, soft=True)
    data = read(export(synthetic, tmp_path / "x.npz", "npz"))
    assert torch.equal(data.inputs, synthetic.inputs) and data.classes == CLASSES
    assert torch.equal(data.labels, synthetic.labels)


@pytest.mark.parametrize("channels", [1, 3])
def test_folders_read_back_to_eight_bits_in_the_order_of_classes(tmp_path, channels):
    synthetic = make(channels)
    data = read(export(synthetic, tmp_path / "x", "folder"))
    assert data.classes == ("0-T-shirt-top", "1-a", "2-B c")
    order = torch.argsort(synthetic.labels, stable=True)
    assert torch.equal(data.labels, synthetic.labels[order])
    assert torch.allclose(data.inputs, synthetic.inputs[order], atol=0.5001 / 255)


@pytest.mark.parametrize("channels", [1, 3])
def test_hugging_face_reads_back(tmp_path, channels):
    pytest.importorskip("datasets")
    synthetic = make(channels, soft=True)
    data = read(export(synthetic, tmp_path / "x", "huggingface"))
    assert data.classes == CLASSES and torch.equal(data.labels, synthetic.labels)
    assert torch.allclose(data.inputs, synthetic.inputs, atol=0.5001 / 255)


def test_tables_export_to_npz_and_hugging_face(tmp_path, refused):
    datasets = pytest.importorskip("datasets")
    table = SyntheticDataset(torch.rand(4, 3), torch.tensor([0, 1, 0, 1]), ("a", "b"))
    assert torch.equal(read(export(table, tmp_path / "x.npz", "npz")).inputs, table.inputs)
    path = export(table, tmp_path / "x", "huggingface")
    rows = datasets.load_from_disk(str(path))
    assert torch.allclose(torch.tensor(rows["input"][:]), table.inputs)
    with refused(r"shape \(3,\) are not images", OptionError):
        export(table, tmp_path / "y", "folder")


def test_nothing_is_overwritten_and_nothing_is_left_half_done(tmp_path, refused, monkeypatch):
    (tmp_path / "x").mkdir()
    with refused("x exists already", StoreError):
        export(make(), tmp_path / "x", "folder")

    def fail(*_args):
        raise OSError("disk full")

    monkeypatch.setattr("limbeck.data.export._pictures", fail)
    with pytest.raises(OSError, match="disk full"):
        export(make(), tmp_path / "y", "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_an_archive_is_named_as_one(tmp_path, refused):
    with refused(r"write .*/x\.npz", OptionError):
        export(make(), tmp_path / "x", "npz")
    assert not list(tmp_path.iterdir())


def test_what_an_export_leaves_out_is_said():
    assert losses(make(soft=True), "npz") == []
    assert losses(make(), "folder") == ["differences of pixels below 1/255"]
    assert losses(make(soft=True), "folder")[0] == "soft labels"
    assert len(losses(make(soft=True), "huggingface")) == 1
    assert losses(make(channels=6), "huggingface") == ["the shape (6, 5, 4) of a record"]


def test_a_missing_package_is_named(tmp_path, refused, monkeypatch):
    monkeypatch.setattr("limbeck.data.export.find_spec", lambda _name: None)
    with refused("needs datasets; install it", OptionError):
        export(make(), tmp_path / "x", "huggingface")
