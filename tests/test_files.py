import json
import stat

import pytest
import torch
from safetensors.torch import load_file

from limbeck import files


def test_json_has_sorted_keys_and_a_final_newline(tmp_path):
    path = files.write_json(tmp_path / "new" / "a.json", {"b": 1, "a": [1.5, None, "é"]})
    text = path.read_text(encoding="utf-8")
    assert text.endswith("}\n") and text.index('"a"') < text.index('"b"')
    assert json.loads(text) == {"b": 1, "a": [1.5, None, "é"]}


def test_json_refuses_nan_and_leaves_the_old_file(tmp_path):
    path = files.write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}


def test_failed_write_leaves_old_content_and_no_temporary(tmp_path, monkeypatch):
    path = files.write_text(tmp_path / "a.txt", "old")

    def fail(_handle):
        raise OSError("disk full")

    monkeypatch.setattr("limbeck.files.os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_written_files_are_readable_like_any_other(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("x")
    mode = stat.S_IMODE(files.write_text(tmp_path / "ours", "x").stat().st_mode)
    assert mode == stat.S_IMODE(plain.stat().st_mode)


def test_safetensors_round_trip_of_a_strided_tensor(tmp_path):
    tensor = torch.arange(12.0).reshape(3, 4).T
    path = files.write_safetensors(tmp_path / "a.safetensors", {"x": tensor}, {"schema": "1"})
    assert torch.equal(load_file(path)["x"], tensor)
