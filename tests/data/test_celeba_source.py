import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data import available, load
from limbeck.errors import OptionError


def write_celeba(root, n=12, identity=True, partition=True):
    """A folder in the published layout; image i is of grey level i at its centre, black outside."""
    folder = root / "img_align_celeba"
    folder.mkdir(parents=True)
    lines = [str(n), "Bald Male Young "]
    for i in range(n):
        name = f"{i + 1:06d}.png"
        pixels = np.zeros((218, 178, 3), np.uint8)
        pixels[20:198] = i + 1
        Image.fromarray(pixels).save(folder / name)
        lines.append(f"{name} -1  {1 if i % 3 == 0 else -1}  1")
    (root / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    names = [f"{i + 1:06d}.png" for i in range(n)]
    if identity:
        rows = [f"{name} {100 + i // 2}" for i, name in enumerate(names)]
        (root / "identity_CelebA.txt").write_text("\n".join(reversed(rows)))
    if partition:
        rows = [f"{name} {0 if i < 8 else 1 if i < 9 else 2}" for i, name in enumerate(names)]
        (root / "list_eval_partition.txt").write_text("\n".join(rows))
    return root


def test_attribute_persons_and_partition(tmp_path):
    root = write_celeba(tmp_path / "faces")
    private, test = load("celeba", root=root, label="Male", size=16)
    assert private.classes == ("not Male", "Male") and private.mirror
    assert private.labels.tolist() == [1, 0, 0, 1, 0, 0, 1, 0]
    assert private.groups.tolist() == [100, 100, 101, 101, 102, 102, 103, 103]
    assert len(test) == 3 and test.labels.tolist() == [1, 0, 0]
    assert private.shape == (3, 16, 16)
    # The central square of 178 pixels is all of one grey: cropped, not stretched.
    levels = torch.arange(1, 9).reshape(8, 1, 1, 1).expand(8, 3, 16, 16) / 255
    assert torch.allclose(private.inputs, levels)


def test_without_partition_persons_are_not_separated(tmp_path):
    root = write_celeba(tmp_path / "faces", partition=False)
    private, test = load(root, label="Male")
    assert private.shape == (3, 64, 64) and len(private) + len(test) == 12
    assert not set(private.groups.tolist()) & set(test.groups.tolist())


def test_without_identities_there_are_no_groups(tmp_path):
    root = write_celeba(tmp_path / "faces", identity=False)
    assert load(root, label="Male", channels=1)[0].groups is None


def test_it_is_found_in_the_cache(own_cache):
    write_celeba(own_cache / "celeba")
    assert len(load("celeba", label="Male", limit=4)[0]) == 4
    assert {s.name: s for s in available()}["celeba"].reachable


@pytest.mark.parametrize("label", [None, "Height"])
def test_the_attribute_must_be_said(tmp_path, refused, label):
    with refused("say which attribute .* Bald, Male, Young", OptionError):
        load(write_celeba(tmp_path / "faces"), label=label)


def cut(path, keep):
    path.write_text("\n".join(path.read_text().splitlines()[:keep]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: cut(r / "list_attr_celeba.txt", 7), "announces 12 images and holds 5"),
        (lambda r: (r / "list_attr_celeba.txt").write_text(""), "cut short or damaged"),
        (
            lambda r: (r / "list_attr_celeba.txt").write_bytes(b"\xff\xfe" * 9),
            "cut short or damaged",
        ),
        (lambda r: cut(r / "identity_CelebA.txt", 4), "has no line for 000001.png"),
        (lambda r: (r / "identity_CelebA.txt").write_text("a b c"), "2 words each"),
        (
            lambda r: (r / "list_eval_partition.txt").write_text(
                (r / "list_eval_partition.txt").read_text().replace(" 2", " 0")
            ),
            "0 as test",
        ),
        (
            lambda r: (r / "img_align_celeba" / "000001.png").unlink(),
            "lacks img_align_celeba/000001",
        ),
        (lambda r: (r / "img_align_celeba" / "000003.png").unlink(), "000003.png cannot be read"),
        (
            lambda r: (r / "img_align_celeba" / "000002.png").write_bytes(b"text"),
            "000002.png is not an image",
        ),
    ],
)
def test_damaged_files_are_refused(tmp_path, refused, damage, message):
    root = write_celeba(tmp_path / "faces")
    damage(root)
    with refused(message):
        load(root, label="Male", size=8)


def test_a_missing_folder_says_what_to_place_where(refused):
    with refused("lacks list_attr_celeba.txt; its licence forbids automatic download"):
        load("celeba", label="Male")
