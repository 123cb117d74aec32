"""`limbeck reconstruct` and `limbeck difference`: what they tell, and that it stays private."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from limbeck.cli.exits import Exit
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset

pytestmark = pytest.mark.usefixtures("whole_audits")

Run = Callable[..., tuple[int, str, str]]
DATA = ["--private", "digits"]


def test_records_solved_for_are_compared_and_stay_private(
    run: Run, digits: tuple[LabeledDataset, LabeledDataset], tmp_path: Path
) -> None:
    private, _ = digits
    soft = torch.full((6, 10), 0.05)
    soft[torch.arange(6), private.labels[:6]] = 0.55
    made = SyntheticDataset(
        private.inputs[:6], private.labels[:6], private.classes, soft_labels=soft, name="learned"
    )
    made.save(tmp_path / "set")
    words = ["reconstruct", tmp_path / "set", *DATA, "--count", "2", "--steps", "3"]
    code, out, err = run(*words, "-o", tmp_path / "audit", "--json")
    assert code == Exit.OK, err
    said = json.loads(out)
    assert said["records"] == 2 and 0 <= said["unexplained"] <= 1
    # The set is six private records: nobody needs to solve for those.
    assert said["measures"]["l2"]["released"] == pytest.approx(0, abs=1e-3)
    assert said["measures"]["l2"]["solved"] > 0.1
    folder = tmp_path / "audit" / "private"
    assert folder.stat().st_mode & 0o077 == 0
    names = {p.name for p in folder.iterdir()}
    assert names == {"reconstructed.safetensors", "reconstruction.json", "reconstructed.html"}
    assert all(p.stat().st_mode & 0o077 == 0 for p in folder.iterdir())
    replace(made, soft_labels=None).save(tmp_path / "plain")
    code, out, err = run("reconstruct", tmp_path / "plain", *DATA, "-o", tmp_path / "b")
    assert (code, out) == (Exit.USAGE, "") and "learned labels" in err
    assert not (tmp_path / "b").exists()


def test_two_releases_point_at_the_record_that_differs(
    run: Run, digits: tuple[LabeledDataset, LabeledDataset], tmp_path: Path
) -> None:
    private, _ = digits
    rows = torch.cat([(private.labels == c).nonzero()[:4, 0] for c in range(10)])
    gone = int(rows[13])
    for name, kept in (("before", rows), ("after", rows[rows != gone])):
        one = SyntheticDataset(private.inputs[kept], private.labels[kept], private.classes)
        one.save(tmp_path / name)
    words = ["difference", tmp_path / "before", tmp_path / "after", *DATA]
    code, out, err = run(*words, "--record", gone, "-o", tmp_path / "audit", "--json")
    assert code == Exit.OK, err
    said = json.loads(out)
    assert said["ranks"] == [0.0] and said["p_value"] == pytest.approx(1 / said["candidates"])
    path = tmp_path / "audit" / "private" / "difference.json"
    assert said["ranking"] == str(path) and path.stat().st_mode & 0o077 == 0
    assert json.loads(path.read_text())["order"][0] == gone
    code, out, _ = run(*words, "-o", tmp_path / "audit")
    assert code == Exit.OK and "names private records" in out and "by chance" not in out
    code, _, err = run(*words, "--record", 10_000, "-o", tmp_path / "audit")
    assert code == Exit.USAGE and "has records 0 to" in err
    code, _, err = run("difference", tmp_path / "before", tmp_path / "no", *DATA, "-o", tmp_path)
    assert code == Exit.USAGE and "AFTER" in err and err.count("\n") == 1
