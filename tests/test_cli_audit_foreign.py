"""`limbeck audit` of what limbeck did not make: a program, a finished set, given signals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.audit.images.one_release import calibrated_scores, names
from limbeck.audit.inference import one_set
from limbeck.cli.exits import Exit
from limbeck.data import load
from limbeck.data.dataset import LabeledDataset
from limbeck.data.export import export
from limbeck.data.synthetic import SyntheticDataset

pytestmark = pytest.mark.usefixtures("whole_audits")

Run = Callable[..., tuple[int, str, str]]

READ = """
import sys
import numpy as np
given = np.load(sys.argv[1])
x, y = given["inputs"].reshape(len(given["inputs"]), -1), given["labels"]
seed, made = int(sys.argv[3]), []
"""
WRITE = """
x = np.clip(np.concatenate(made), 0, 1)
np.savez(sys.argv[2], inputs=x, labels=np.repeat(np.arange(10), len(x) // 10))
"""
PROGRAMS = {
    "gmm.py": READ
    + """
from sklearn.mixture import GaussianMixture
for c in range(10):
    mixture = GaussianMixture(2, covariance_type="diag", reg_covar=1e-3, random_state=seed)
    made.append(mixture.fit(x[y == c]).sample(5)[0])
"""
    + WRITE,
    # So narrow a kernel that every sample is nearly a private record.
    "kde.py": READ
    + """
from sklearn.neighbors import KernelDensity
for c in range(10):
    made.append(KernelDensity(bandwidth=0.01).fit(x[y == c]).sample(5, random_state=seed))
"""
    + WRITE,
}


def words(script: Path, folder: Path, *more: str) -> list[str]:
    command = f"{sys.executable} {script} {{input}} {{output}} {{seed}}"
    data = ["--private", "digits", "--limit", "300", "--no-company", "--ipc", "5"]
    sizes = ["--preset", "quick", "--runs", "6", "--workers", "1", "--trainer", "kernel-ridge"]
    return ["audit", "--command", command, *data, *sizes, "-o", str(folder), *more]


def finished_chunks(folder: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in folder.glob("private/*.safetensors")}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_scikit_learn_is_audited_killed_and_resumed(
    run: Run, tmp_path: Path, name: str
) -> None:
    script, folder = tmp_path / name, tmp_path / "audit"
    script.write_text(PROGRAMS[name])
    process = subprocess.Popen(
        [sys.executable, "-m", "limbeck", *words(script, folder)],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while len(finished_chunks(folder)) < 2 and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = finished_chunks(folder)
    assert before and not (folder / "evidence.json").exists(), "it was killed in mid-audit"

    code, out, err = run(*words(script, folder, "--max-epsilon", "8", "--json"))
    assert code == Exit.EXCEEDED, err
    assert before.items() <= finished_chunks(folder).items(), "a finished run was run again"
    evidence = json.loads(out)["evidence"]
    [subject] = evidence["subjects"]
    assert subject["title"].startswith(f"command {name} 5 per class, then kernel-ridge")
    assert subject["holds_real_records"] is None and subject["guarantee"] is None
    assert {a["signal"] for a in subject["attacks"]} >= {"margin", "nearest-l2", "tracing"}
    assert (folder / "report.html").is_file()
    assert str(tmp_path) not in (folder / "evidence.json").read_text()

    script.write_text(PROGRAMS[name] + "# changed\n")
    code, _, err = run(*words(script, folder))
    assert code == Exit.USAGE and "another plan" in err


@pytest.mark.slow
def test_any_program_will_do(run: Run, tmp_path: Path) -> None:
    """Here one that releases the private records as they are."""
    data = ["--private", "digits", "--limit", "200", "--trainer", "kernel-ridge", "--no-company"]
    sizes = ["--preset", "quick", "--runs", "6", "--workers", "1"]
    command = ["--command", "cp {input} {output}", "--timeout", "60", "--layout", "npz"]
    code, out, err = run("audit", *command, *data, *sizes, "-o", tmp_path / "audit", "--json")
    assert code == Exit.OK, err
    [subject] = json.loads(out)["evidence"]["subjects"]
    assert subject["title"] == "command cp, then kernel-ridge"
    assert subject["recipe"]["options"]["timeout"] == 60
    # Every member is among the released images, and no other record is.
    nearest = [a for a in subject["attacks"] if a["signal"] == "nearest-l2"]
    assert nearest and min(a["auc"]["value"] for a in nearest) > 0.9


def test_a_program_that_fails_ends_the_audit_with_its_last_line(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "bad.py"
    script.write_text("import sys; print('no licence', file=sys.stderr); sys.exit(7)")
    code, out, err = run(*words(script, tmp_path / "audit"))
    assert (code, out) == (Exit.USAGE, "")
    assert "failed with exit code 7; it last said: no licence" in err.splitlines()[-1]
    assert not (tmp_path / "audit").exists(), "the trial for the cost comes before the first file"


@pytest.fixture(scope="module")
def sides() -> tuple[LabeledDataset, LabeledDataset]:
    return load("digits", test_share=0.5)


FINISHED = ["--private", "digits", "--control", "digits", "--test-share", "0.5"]


@pytest.mark.parametrize("form", ["npz", "folder", "release"])
def test_ten_copied_records_are_seen_in_a_finished_set_of_any_form(
    run: Run, tmp_path: Path, sides: tuple[LabeledDataset, LabeledDataset], form: str
) -> None:
    members, control = sides
    rows = torch.tensor([int((members.labels == c).nonzero()[0, 0]) for c in range(10)])
    ten = SyntheticDataset(members.inputs[rows], members.labels[rows], members.classes)
    if form == "release":
        path = ten.save(tmp_path / "release")
    elif form == "folder":
        path = export(ten, tmp_path / "set", "folder")
    else:
        path = export(ten, tmp_path / "set.npz", "npz")
    out_folder = tmp_path / "audit"
    limit = ["--max-tpr", "0.001@0.01"]
    code, out, err = run(
        "audit", "--synthetic", path, *FINISHED, *limit, "-o", out_folder, "--json"
    )
    assert code == Exit.UNCLEAR, err
    found = json.loads(out)["evidence"]
    assert found["verdict"]["outcome"] == "signs"
    assert (found["copies"]["of_members"], found["copies"]["of_control"]) == (10, 0)
    code, _, _ = run("report", out_folder, "-o", tmp_path / "page.html", "--share")
    assert code == Exit.OK and (tmp_path / "page.html").is_file()
    if form != "npz":
        return
    # Every attack ranks the ten above nearly all records that were not used.
    records = LabeledDataset(
        torch.cat([ten.inputs, control.inputs[449:]]),
        torch.cat([ten.labels, control.labels[449:]]),
        members.classes,
    )
    scores = calibrated_scores(records, [ten], control.select(range(449)))[0]
    for name, own in zip(names(members.shape), scores.astype(np.float64), strict=True):
        assert one_set.area(own[:10], own[10:])[0].value > 0.99, name


def test_given_signals_are_judged_and_held_to_limits(run: Run, tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    membership = g.random((16, 200)) < 0.5
    signals = g.standard_normal((16, 1, 200)) + 3 * membership[:, None]
    np.savez(tmp_path / "scores.npz", signals=signals, membership=membership)
    given = ["audit", "--signals", tmp_path / "scores.npz", "-o", tmp_path / "audit"]
    code, out, err = run(*given, "--max-tpr", "0.1@0.01", "--json")
    assert code == Exit.EXCEEDED, err
    assert json.loads(out)["evidence"]["subjects"][0]["utility"]["value"] is None
    code, out, _ = run(*given)
    assert code == Exit.OK and "the mechanism behind scores.npz leaks" in out
    assert "not measured" in out and "nan" not in out.replace("finance", "")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--synthetic", "SET", "--private", "digits"], "--synthetic needs --control"),
        (["--synthetic", "SET", "--control", "digits"], "--private DATA"),
        (["--synthetic", "none.npz", *FINISHED], "no such file or folder"),
        (["--synthetic", "SET", *FINISHED, "--preset", "quick"], "--synthetic runs nothing"),
        (["--synthetic", "SET", *FINISHED, "--attack", "all"], "audits with shadow runs"),
        (["--synthetic", "SET", *FINISHED], "lacks 'labels'"),
        (["--signals", "SET", "--private", "digits"], "--signals holds all there is"),
        (["--signals", "SET", "--ipc", "3"], "--signals runs nothing"),
        (["--signals", "SET"], "lacks 'signals'"),
        (["--signals", "SET", "--synthetic", "SET"], "not both --synthetic and --signals"),
        (["--signals", "SET", "--max-tpr", "2@2"], "TPR@FPR"),
    ],
)
def test_bad_usage_of_the_other_routes_is_told_in_one_line(
    run: Run, tmp_path: Path, given: list[str], said: str
) -> None:
    np.savez(tmp_path / "set.npz", inputs=np.zeros((3, 8, 8)))
    filled = [str(tmp_path / "set.npz") if word == "SET" else word for word in given]
    code, out, err = run("audit", *filled, "-o", tmp_path / "audit")
    assert (code, out) == (Exit.USAGE, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and said in err
    assert not (tmp_path / "audit").exists()
