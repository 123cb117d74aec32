import io

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from limbeck.data.synthetic import SyntheticDataset
from limbeck.report import picture


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_strips_hold_each_class_enlarged_without_smoothing(synthetic):
    made = picture.strips(synthetic)
    assert [s.name for s in made] == list(synthetic.classes)
    assert all((s.shown, s.total) == (10, 10) for s in made)
    strip = pixels(made[1].png)
    assert strip.shape == (56, 10 * 56 + 9 * 4)
    wanted = (synthetic.inputs[13, 0] * 255).round().byte().numpy()
    np.testing.assert_array_equal(strip[:, 3 * 60 : 3 * 60 + 56], wanted.repeat(2, 0).repeat(2, 1))
    assert (strip[:, 56:60] == 255).all()


def test_large_colour_images_are_reduced_and_few_enough():
    inputs = torch.rand(300, 3, 128, 96, generator=torch.Generator().manual_seed(1))
    classes = tuple(f"class {i}" for i in range(30))
    made = picture.strips(SyntheticDataset(inputs, torch.arange(300) % 30, classes))
    assert len(made) == picture.MAX_CLASSES
    assert sum(len(s.png) for s in made) <= picture.MAX_BYTES
    assert all(s.shown < s.total for s in made)
    assert pixels(made[0].png).shape[0] == 64


def test_a_class_without_images_has_no_strip():
    inputs = torch.rand(2, 1, 8, 8)
    made = picture.strips(SyntheticDataset(inputs, torch.tensor([0, 2]), ("a", "b", "c")))
    assert [s.name for s in made] == ["a", "c"]


@pytest.mark.parametrize("shape", [(12,), (2, 8, 8), (3, 4)])
def test_records_that_are_no_images_have_no_picture(shape):
    data = SyntheticDataset(torch.rand(4, *shape), torch.zeros(4, dtype=torch.int64), ("a",))
    assert picture.strips(data) == ()


def test_a_preview_loses_its_metadata_and_excess_size():
    note = PngImagePlugin.PngInfo()
    note.add_text("Author", "someone at this hospital")
    file = io.BytesIO()
    Image.new("RGB", (1800, 900), "red").save(file, format="PNG", pnginfo=note)
    made = picture.reencoded(file.getvalue())
    with Image.open(io.BytesIO(made)) as image:
        assert image.size == (900, 450)
        assert image.info == {}
    assert b"hospital" in file.getvalue()
    assert b"hospital" not in made
