import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data import load, read


def write(path, array, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(array))
    (image.convert(mode) if mode else image).save(path)
    return path


def ramp(height=6, width=6, top=255, dtype=np.uint8):
    return np.linspace(0, top, height * width).reshape(height, width).astype(dtype)


@pytest.fixture
def animals(tmp_path):
    """Two classes of five 6x6 grey images."""
    root = tmp_path / "animals"
    for name in ("cat", "dog"):
        for i in range(5):
            write(root / name / f"{i}.png", ramp() // (i + 1))
    return root


def test_grey_images_are_read_exactly_and_labelled_by_folder(animals):
    (animals / ".DS_Store").write_bytes(b"junk")
    (animals / "cat" / ".hidden").write_bytes(b"junk")
    private, test = load(animals)
    assert private.name == "animals" and private.classes == ("cat", "dog") and not private.mirror
    assert private.shape == (1, 6, 6) and len(private) + len(test) == 10
    everything = read(animals)
    assert everything.labels.tolist() == [0] * 5 + [1] * 5
    expected = torch.stack([torch.from_numpy(ramp() // (i + 1)) for i in range(5)]).float() / 255
    assert torch.equal(everything.inputs[5:, 0], expected)


def test_sixteen_bits_are_scaled_by_65535(tmp_path):
    deep = ramp(top=65535, dtype=np.uint16)
    for name in ("a", "b"):
        write(tmp_path / "deep" / name / "x.png", deep)
    inputs = read(tmp_path / "deep").inputs
    assert torch.allclose(
        inputs[0, 0], torch.from_numpy(deep.astype(np.float32) / 65535), atol=1e-7
    )
    half = read(tmp_path / "deep", size=3, channels=3).inputs
    assert half.shape == (2, 3, 3, 3) and torch.equal(half[0, 0], half[0, 2])
    assert float(half.max()) <= 1 and half[0, 0].mean() == pytest.approx(0.5, abs=1e-3)


def test_every_mode_means_the_same_grey(tmp_path):
    grey = np.full((4, 4), 102, np.uint8)  # 0.4 exactly
    root = tmp_path / "modes"
    for mode in ("L", "RGB", "RGBA", "LA", "P", "CMYK"):
        suffix = "tif" if mode == "CMYK" else "png"
        write(root / "a" / f"{mode}.{suffix}", grey, mode)
    write(root / "a" / "deep.png", np.full((4, 4), 102 * 257, np.uint16))
    write(root / "b" / "bits.png", np.eye(4, dtype=np.uint8) * 255, "1")
    inputs = read(root, channels=1).inputs
    assert inputs.shape == (8, 1, 4, 4)
    assert torch.allclose(inputs[:7], torch.full((7, 1, 4, 4), 0.4), atol=1.5 / 255)
    assert torch.equal(inputs[7, 0], torch.eye(4))
    assert read(root).shape == (3, 4, 4)  # some file is in colour


def test_colour_keeps_its_channels_and_transparency_is_black(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., 0], pixels[..., 3] = 255, 255
    pixels[0, 0] = (0, 255, 0, 0)  # green, but invisible
    write(tmp_path / "c" / "a" / "x.png", pixels)
    image = read(tmp_path / "c").inputs[0]
    assert torch.equal(image[:, 0, 0], torch.zeros(3))
    assert torch.equal(image[:, 1, 1], torch.tensor([1.0, 0, 0]))
    grey = read(tmp_path / "c", channels=1).inputs[0]
    assert grey[0, 1, 1] == pytest.approx(0.299, abs=1 / 255)  # luma of pure red


def test_a_grey_palette_is_grey(tmp_path):
    write(tmp_path / "p" / "a" / "x.png", np.full((4, 4), 51, np.uint8), "P")
    assert read(tmp_path / "p").shape == (1, 4, 4)


def test_mixed_sizes_need_a_size(tmp_path, animals, refused):
    write(animals / "dog" / "large.png", ramp(9, 7))
    with refused("large.png is 7x9 pixels, .*cat/0.png is 6x6; say the size"):
        load(animals)
    assert load(animals, size=8)[0].shape == (1, 8, 8)


def test_train_and_test_folders_are_kept(animals, tmp_path):
    root = tmp_path / "split"
    root.mkdir()
    animals.rename(root / "train")
    write(root / "test" / "dog" / "new.png", ramp())
    private, test = load(root)
    assert len(private) == 10 and test.labels.tolist() == [1] and test.classes == ("cat", "dog")
    assert len(read(root)) == 1


def test_classes_called_train_and_test_are_classes(tmp_path):
    for name in ("train", "test"):
        for i in range(2):
            write(tmp_path / "vehicles" / name / f"{i}.png", ramp())
    assert read(tmp_path / "vehicles").classes == ("test", "train")


def test_a_test_image_of_another_size_is_refused(animals, tmp_path, refused):
    root = tmp_path / "split"
    root.mkdir()
    animals.rename(root / "train")
    write(root / "test" / "dog" / "new.png", ramp(8, 8))
    with refused(r"shape \(1, 6, 6\), test records \(1, 8, 8\)"):
        load(root)


def test_an_unknown_test_class_is_refused(animals, tmp_path, refused):
    root = tmp_path / "split"
    root.mkdir()
    animals.rename(root / "train")
    write(root / "test" / "bird" / "new.png", ramp())
    with refused("has a class 'bird' that the training folder lacks"):
        load(root)


def test_a_limit_reads_only_what_it_keeps(animals):
    private, _ = load(animals, limit=4, test_share=0.4)
    assert len(private) == 4
    assert torch.equal(private.inputs, load(animals, limit=4, test_share=0.4)[0].inputs)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: (r / "cat" / "notes.txt").write_text("no image"), "notes.txt is not an image"),
        (lambda r: (r / "README").write_text("x"), "README lies beside the class folders"),
        (lambda r: (r / "empty").mkdir(), "empty is an empty class"),
        (
            lambda r: (r / "dog" / "4.png").write_bytes((r / "dog" / "4.png").read_bytes()[:60]),
            "4.png is damaged or cut short",
        ),
        (
            lambda r: Image.new("F", (6, 6)).save(r / "dog" / "float.tif"),
            "float.tif holds floating-point pixels",
        ),
    ],
)
def test_bad_folders_are_refused_and_the_file_named(animals, refused, damage, message):
    damage(animals)
    with refused(message):
        load(animals, size=6)


def test_an_empty_folder_is_refused(tmp_path, refused):
    (tmp_path / "none").mkdir()
    with refused("none has no class folders"):
        load(tmp_path / "none")
