"""`limbeck copying`: figures, and a gallery that shows copies first and stays private."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from limbeck.cli.exits import Exit
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def release(digits: tuple[LabeledDataset, LabeledDataset], tmp_path: Path) -> Path:
    """Nine images of noise, and the tenth a private one under another label."""
    private, _ = digits
    inputs = torch.rand(10, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    inputs[6] = private.inputs[25]
    made = SyntheticDataset(inputs, torch.arange(10), private.classes, name="copier")
    made.save(tmp_path / "release")
    return tmp_path / "release"


def test_a_copy_is_measured_and_comes_first_in_the_gallery(
    run: Run, release: Path, tmp_path: Path
) -> None:
    words = ["copying", release, "--private", "digits", "-o", tmp_path / "audit"]
    code, out, err = run(*words, "--json")
    assert code == Exit.OK, err
    said = json.loads(out)
    assert list(said["measures"]) == ["l2", "ssim", "embedding"]
    assert said["measures"]["l2"]["quantiles"]["private"][0] == pytest.approx(0.0, abs=1e-3)
    assert 0.7 < said["measures"]["l2"]["expected"] < 0.9
    assert "weights" in said["lpips"]
    page = tmp_path / "audit" / "private" / "gallery.html"
    assert said["gallery"] == str(page)
    assert page.parent.stat().st_mode & 0o077 == 0
    rows = re.findall(r"<tr><td>.*?</tr>", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(rows) == 10
    first = re.findall(r"<img[^>]*>([^<]*)<", rows[0])
    assert first[0] == "6"
    assert first[1].startswith("0.000")
    # The copy itself is the released picture, and the first of the private ones.
    pictures = re.findall(r"base64,([^\"]*)", rows[0])
    assert len(pictures) == 3 and len(pictures[1]) > len(pictures[0])


def test_a_table_without_a_folder(run: Run, release: Path) -> None:
    code, out, err = run("copying", release, "--private", "digits")
    assert code == Exit.OK, err
    assert "explicit privacy" in out and "embedding" in out
    assert "not computed" in out
    assert "gallery" not in out


def test_other_data_is_refused(run: Run, release: Path, tmp_path: Path) -> None:
    code, out, err = run("copying", release, "--private", "digits", "--size", "16")
    assert (code, out) == (Exit.USAGE, "")
    assert "data options" in err and err.count("\n") == 1
    file = tmp_path / "file"
    file.write_text("")
    code, _, err = run("copying", release, "--private", "digits", "-o", file)
    assert code == Exit.USAGE and "this is a file" in err
