"""`limbeck copying`: figures, and a gallery that shows copies first and stays private."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from limbeck.cli.exits import Exit
from limbeck.data.dataset import LabeledDataset
from limbeck.data.export import export
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
    assert page.parent.stat().st_mode & 0o077 == page.stat().st_mode & 0o077 == 0
    assert "LPIPS was not computed" in page.read_text(encoding="utf-8")
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


def test_a_set_from_elsewhere_is_read_too_and_what_is_none_is_told_in_one_line(
    run: Run, release: Path, tmp_path: Path
) -> None:
    made = export(SyntheticDataset.load(release), tmp_path / "set.npz", "npz")
    code, out, err = run("copying", made, "--private", "digits", "--json")
    assert code == Exit.OK, err
    assert json.loads(out)["measures"]["l2"]["quantiles"]["private"][0] < 1e-3
    assert "hides its copies; give others as --control" in err
    (tmp_path / "no.npz").write_text("nothing")
    for path, said in ((tmp_path / "no.npz", "no .npz archive"), (tmp_path / "gone", "no such")):
        code, out, err = run("copying", path, "--private", "digits")
        assert (code, out) == (Exit.USAGE, "")
        assert said in err and err.count("\n") == 1


def test_of_a_set_from_elsewhere_every_private_record_is_compared(run: Run, tmp_path: Path) -> None:
    """limbeck puts a part of a file aside before it makes a release; others may not have."""
    g = torch.Generator().manual_seed(4)
    for name in ("private", "control"):
        inputs, labels = torch.rand(30, 1, 8, 8, generator=g), torch.arange(30) % 2
        np.savez(tmp_path / f"{name}.npz", inputs=inputs.numpy(), labels=labels.numpy())
    given = ["--private", tmp_path / "private.npz", "--control", tmp_path / "control.npz"]
    code, out, err = run("copying", tmp_path / "private.npz", *given, "--json")
    assert code == Exit.OK, err
    assert "--control" not in err
    said = json.loads(out)["measures"]["l2"]
    assert said["explicit_privacy"] == pytest.approx(0, abs=1e-3) and said["expected"] == 0.5


def test_other_data_is_refused(run: Run, release: Path, tmp_path: Path) -> None:
    code, out, err = run("copying", release, "--private", "digits", "--size", "16")
    assert (code, out) == (Exit.USAGE, "")
    assert "data options" in err and err.count("\n") == 1
    file = tmp_path / "file"
    file.write_text("")
    code, _, err = run("copying", release, "--private", "digits", "-o", file)
    assert code == Exit.USAGE and "this is a file" in err


def test_lpips_is_measured_with_weights_and_only_then(
    run: Run, release: Path, tmp_path: Path
) -> None:
    g = torch.Generator().manual_seed(1)
    shapes = {
        0: (64, 3, 11),
        3: (192, 64, 5),
        6: (384, 192, 3),
        8: (256, 384, 3),
        10: (256, 256, 3),
    }
    weights = {}
    for layer, (number, (out, into, side)) in enumerate(shapes.items()):
        weights[f"features.{number}.weight"] = torch.randn(out, into, side, side, generator=g) / 50
        weights[f"features.{number}.bias"] = torch.zeros(out)
        weights[f"lin{layer}.model.1.weight"] = torch.rand(1, out, 1, 1, generator=g)
    save_file(weights, tmp_path / "lpips.safetensors")
    few = ["--private", "digits", "--limit", "60"]
    given = ["copying", release, *few, "--lpips-weights"]
    code, out, err = run(*given, tmp_path / "lpips.safetensors", "--json")
    assert code == Exit.OK, err
    said = json.loads(out)
    assert said["lpips"] is None and "lpips" in said["measures"]
    assert said["measures"]["lpips"]["explicit_privacy"] > 0
    del weights["lin3.model.1.weight"]
    save_file(weights, tmp_path / "lpips.safetensors")
    code, _, err = run(*given, tmp_path / "lpips.safetensors")
    assert code == Exit.USAGE and "lacks 'lin3.model.1.weight'" in err
    code, _, err = run(*given, tmp_path / "gone")
    assert code == Exit.USAGE and err.count("\n") == 1
