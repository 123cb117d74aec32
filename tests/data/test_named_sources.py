import gzip
import io
import tarfile
import threading
from dataclasses import fields
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch

from limbeck.data import available, load, read
from limbeck.data.sources import SOURCES, idx
from limbeck.data.sources.places import cache_folder, fetch
from limbeck.errors import DatasetError, OptionError

STEMS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx_bytes(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return head + array.astype(np.uint8).tobytes()


def idx_arrays(n=20, m=10, classes=10):
    rng = np.random.default_rng(0)
    return (
        rng.integers(0, 256, (n, 5, 4), dtype=np.uint8),
        np.arange(n) % classes,
        rng.integers(0, 256, (m, 5, 4), dtype=np.uint8),
        np.arange(m) % classes,
    )


def write_idx(folder, arrays, zipped=True):
    folder.mkdir(parents=True, exist_ok=True)
    for stem, array in zip(STEMS, arrays, strict=True):
        content = idx_bytes(array)
        path = folder / (f"{stem}.gz" if zipped else stem)
        path.write_bytes(gzip.compress(content) if zipped else content)
    return folder


def test_digits_are_scaled_and_split_in_fixed_proportions(digits):
    private, test = digits
    assert len(private) + len(test) == 1797
    assert private.shape == (1, 8, 8) and not private.mirror
    # The stored grey levels are whole numbers from 0 to 16.
    assert torch.equal((private.inputs * 16).round(), private.inputs * 16)
    assert float(private.inputs.max()) == 1.0
    assert torch.equal(read("digits").inputs, test.inputs)
    together = torch.cat([private.inputs, test.inputs]).sum()
    assert together == pytest.approx(561718 / 16)  # the sum of scikit-learn's array


def test_digits_by_another_seed_are_another_split(digits):
    assert not torch.equal(load("digits", seed=1)[1].inputs[:50], digits[1].inputs[:50])


def test_options_shape_the_digits():
    private, test = load("digits", limit=50, size=16, channels=3, mirror=True)
    assert private.shape == test.shape == (3, 16, 16)
    assert private.counts().tolist() == [5] * 10
    assert private.mirror and test.mirror


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_files_are_read_from_a_root(tmp_path, name, zipped):
    arrays = idx_arrays()
    write_idx(tmp_path / "data", arrays, zipped)
    private, test = load(name, root=tmp_path / "data")
    assert torch.equal(private.inputs[:, 0], torch.from_numpy(arrays[0]).float() / 255)
    assert private.labels.tolist() == arrays[1].tolist()
    assert torch.equal(test.inputs[:, 0], torch.from_numpy(arrays[2]).float() / 255)
    assert private.mirror == (name == "fashion-mnist")
    assert private.classes[0] == ("T-shirt/top" if name == "fashion-mnist" else "0")
    assert torch.equal(read(name, root=tmp_path / "data").inputs, test.inputs)


def test_idx_files_are_found_in_the_cache(own_cache):
    write_idx(own_cache / "mnist", idx_arrays())
    assert len(load("mnist")[0]) == 20
    status = {s.name: s for s in available()}["mnist"]
    assert status.reachable and status.where == str(own_cache / "mnist")


def test_a_folder_of_idx_files_is_a_dataset_too(tmp_path):
    private, test = load(write_idx(tmp_path / "mine", idx_arrays(classes=3)))
    assert private.classes == ("0", "1", "2") and (len(private), len(test)) == (20, 10)


def test_a_root_without_the_files_is_named(tmp_path, refused):
    with refused("mnist: .* lacks the four files"):
        load("mnist", root=tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: gzip.compress(raw)[:-30], "cut short"),
        (lambda raw: gzip.compress(raw[:-1]), "announces 20x5x4 bytes and holds 399"),
        (lambda raw: gzip.compress(raw[:6]), "cut short"),
        (lambda raw: gzip.compress(b"GIF8" + raw), "not an IDX file"),
        (lambda raw: gzip.compress(b""), "begins empty"),
        (lambda raw: b"no gzip", "cut short or damaged"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path, refused, damage, message):
    folder = write_idx(tmp_path / "mine", idx_arrays())
    (folder / f"{STEMS[0]}.gz").write_bytes(damage(idx_bytes(idx_arrays()[0])))
    with refused(message):
        load(folder)


def test_idx_labels_that_do_not_fit_are_refused(tmp_path, refused):
    arrays = idx_arrays()
    with refused("labels have shape 19, inputs 20x5x4"):
        load(write_idx(tmp_path / "short", (arrays[0], arrays[1][:-1], *arrays[2:])))
    with refused("label '10' of record 10 is none of the 10 classes"):
        load(
            "mnist", root=write_idx(tmp_path / "high", (arrays[0], np.arange(20) % 12, *arrays[2:]))
        )


def cifar_files(n=10):
    rng = np.random.default_rng(1)
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    out = {}
    for name in names:
        records = rng.integers(0, 256, (n, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(n) % 10
        out[name] = records
    return out


def write_cifar(folder, files):
    place = folder / "cifar-10-batches-bin"
    place.mkdir(parents=True)
    for name, records in files.items():
        (place / name).write_bytes(bytes(records))
    return folder


def write_archive(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, records in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            content = bytes(records)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("write", [write_cifar, write_archive])
@pytest.mark.parametrize("by_name", [True, False])
def test_cifar10_from_batches_and_from_the_archive(tmp_path, write, by_name):
    files = cifar_files()
    place = write(tmp_path / "data", files)
    root = place.parent if place.is_file() else place
    private, test = load("cifar10", root=root) if by_name else load(place)
    train = np.concatenate([files[f"data_batch_{i}.bin"] for i in range(1, 6)])
    assert private.inputs.shape == (50, 3, 32, 32) and len(test) == 10
    expected = torch.from_numpy(train[:, 1:].reshape(-1, 3, 32, 32)).float() / 255
    assert torch.equal(private.inputs, expected)
    assert private.labels.tolist() == train[:, 0].tolist()
    assert private.classes[2] == "bird" and private.mirror


def test_cut_cifar_files_are_refused(tmp_path, refused):
    files = cifar_files()
    files["data_batch_3.bin"] = bytes(files["data_batch_3.bin"])[:-5]
    with refused("data_batch_3.bin has 30725 bytes, not a multiple of 3073"):
        load("cifar10", root=write_cifar(tmp_path / "cut", files))
    path = write_archive(tmp_path / "whole", cifar_files())
    path.write_bytes(path.read_bytes()[:-2000])
    with refused("cut short or damaged"):
        load(path)
    del files["test_batch.bin"]
    with refused("lacks test_batch.bin"):
        load(write_archive(tmp_path / "less", files))
    with refused("holds neither cifar-10-binary.tar.gz nor"):
        load("cifar10", root=tmp_path)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        pass


@pytest.fixture
def server(tmp_path):
    """A web server on this machine; (address, the folder it serves)."""
    folder = tmp_path / "web"
    folder.mkdir()
    made = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}", folder
    made.shutdown()
    made.server_close()
    thread.join()


def test_a_download_is_kept_when_its_checksum_holds(server, tmp_path):
    url, folder = server
    (folder / "file").write_bytes(b"content")
    target = tmp_path / "new" / "file"
    assert fetch(f"{url}/file", sha256(b"content").hexdigest(), target, name="x") == target
    assert target.read_bytes() == b"content"


def test_a_download_with_a_wrong_checksum_leaves_nothing(server, tmp_path, refused):
    url, folder = server
    (folder / "file").write_bytes(b"changed")
    with refused("x: .* gave 7 bytes with SHA-256 .* nothing was kept: place file in .* by hand"):
        fetch(f"{url}/file", sha256(b"content").hexdigest(), tmp_path / "new" / "file", name="x")
    assert not (tmp_path / "new").exists()


def test_without_network_the_error_says_where_to_put_the_files(tmp_path, refused):
    with refused("x: cannot download http://127.0.0.1:9/file .* by hand"):
        fetch("http://127.0.0.1:9/file", "0" * 64, tmp_path / "file", name="x")


def test_a_missing_page_is_one_line(server, tmp_path, refused):
    with refused("cannot download .*not found"):
        fetch(f"{server[0]}/none", "0" * 64, tmp_path / "file", name="x")


def test_mnist_is_downloaded_into_the_cache(server, own_cache, monkeypatch, refused):
    url, folder = server
    write_idx(folder / "mnist", idx_arrays())
    sums = tuple(sha256((folder / "mnist" / f"{s}.gz").read_bytes()).hexdigest() for s in STEMS)
    monkeypatch.setattr(idx.MNIST, "url", f"{url}/mnist")
    with refused("SHA-256"):
        load("mnist")
    monkeypatch.setattr(idx.MNIST, "sha256", sums)
    assert len(load("mnist")[0]) == 20
    assert sorted(p.name for p in (own_cache / "mnist").iterdir()) == sorted(
        f"{s}.gz" for s in STEMS
    )
    monkeypatch.setattr(idx.MNIST, "url", "http://127.0.0.1:9")
    assert len(load("mnist")[0]) == 20


def test_fashion_mnist_of_the_system_is_the_published_one():
    places = [p for p in map(idx.Path, idx.FASHION_MNIST.also) if p.is_dir()]
    if not places:
        pytest.skip("the Debian package dataset-fashion-mnist is not installed")
    private, test = load("fashion-mnist", limit=20)
    assert private.shape == (1, 28, 28) and len(private) == 20
    assert test.counts().tolist() == [1000] * 10
    # Boot, pullover, trouser, trouser, shirt: well known from its publishers' page.
    assert test.labels[:5].tolist() == [9, 2, 1, 1, 6]


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("LIMBECK_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("mnist") == tmp_path / "limbeck" / "mnist"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder("mnist") == tmp_path / "home" / ".cache" / "limbeck" / "mnist"


def test_every_source_reports_its_status():
    found = available()
    assert [s.name for s in found] == [s.name for s in SOURCES]
    assert len({s.name for s in found}) == len(found)
    for status in found:
        assert all(getattr(status, f.name) not in ("", None) for f in fields(status))
    assert not {s.name: s for s in found}["cifar10"].reachable


def test_unknown_data_is_refused_with_the_names(tmp_path, refused):
    with refused("'imagenet' is neither a named source .digits, fashion-mnist"):
        load("imagenet")
    (tmp_path / "a.xyz").write_text("")
    with refused("no known kind"):
        load(tmp_path / "a.xyz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size is 0"),
        ({"channels": 2}, "channels is 2"),
        ({"value_range": (1.0, 1.0)}, "value_range"),
        ({"test_share": 1.0}, "test_share"),
        ({"limit": 3}, "limit is 3"),
    ],
)
def test_options_out_of_range_are_refused(refused, options, message):
    with refused(message, OptionError):
        load("digits", **options)


def test_too_few_records_for_a_test_part(tmp_path, refused):
    np.savez(tmp_path / "a.npz", inputs=np.eye(2), labels=np.arange(2))
    with refused("2 records with test_share 1e-06 leave none for testing", DatasetError):
        load(tmp_path / "a.npz", test_share=1e-6)
    with refused("2 records with test_share 0.999999 leave none for training", DatasetError):
        load(tmp_path / "a.npz", test_share=1 - 1e-6, seed=3)
    parts = load(tmp_path / "a.npz", test_share=1 - 1e-6, seed=3, guaranteed=True)
    assert [len(part) for part in parts] == [0, 2], "an error would depend on single records"
