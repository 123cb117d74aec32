"""`limbeck condense` watched and interrupted, and `limbeck export`."""

import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from PIL import Image

from limbeck.cli.exits import Exit
from limbeck.data import SyntheticDataset, read
from limbeck.data.export import Format
from limbeck.synthesize.select.random_subset import RandomSubset

Run = Callable[..., tuple[int, str, str]]
TABLE = "a,label\n" + "".join(f"{i / 20},{'xy'[i % 2]}\n" for i in range(20))
SUBSET = ["condense", "digits", "--limit", "100", "--method", "random-subset", "--ipc", "2"]
GUARANTEE = {"epsilon": 1.0, "delta": 1e-5}


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make random-subset report states of these shares, then be interrupted."""
    subset = RandomSubset.synthesize

    def install(*shares: float) -> None:
        def synthesize(self: RandomSubset, private: Any, **words: Any) -> SyntheticDataset:
            progress = words.pop("progress")
            made = subset(self, private, **words)
            said = {"guarantee": GUARANTEE, "in_words": ["(1, 1e-05)-differential privacy"]}
            state = replace(made, card={**made.card, **said})
            for share in shares:
                state.inputs.fill_(share)
                progress(share, state)
            progress(max(shares, default=0.1), None)
            state.inputs.fill_(torch.nan)  # an optimiser that was about to take a step
            raise KeyboardInterrupt

        monkeypatch.setattr(RandomSubset, "synthesize", synthesize)

    return install


def test_ctrl_c_keeps_the_last_state(
    run: Run, stopped: Callable[..., None], tmp_path: Path
) -> None:
    stopped(0.25, 0.375)
    folder = tmp_path / "release"
    code, out, err = run(*SUBSET, "-o", folder)
    assert (code, out) == (Exit.INTERRUPTED, "")
    [line] = [line for line in err.splitlines() if "interrupted" in line]
    assert "38%" in line and str(folder) in line
    state = SyntheticDataset.load(folder)
    assert state.card["interrupted"] == 0.375 and state.inputs.eq(0.375).all()
    assert state.card["guarantee"] == GUARANTEE, "the state's own: it was noised already"

    code, out, _ = run(*SUBSET, "-o", folder, "--force", "--json")
    assert code == Exit.INTERRUPTED and json.loads(out)["interrupted"] == 0.375


def test_a_second_ctrl_c_does_not_lose_what_the_first_kept(
    run: Run, stopped: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = SyntheticDataset.save

    def impatient(self: SyntheticDataset, folder: Path) -> Path:
        signal.raise_signal(signal.SIGINT)
        return save(self, folder)

    monkeypatch.setattr(SyntheticDataset, "save", impatient)
    before = signal.getsignal(signal.SIGINT)
    stopped(0.5)
    assert run(*SUBSET, "-o", tmp_path / "release")[0] == Exit.INTERRUPTED
    assert SyntheticDataset.load(tmp_path / "release").card["interrupted"] == 0.5
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_there_is_a_state_writes_nothing(
    run: Run, stopped: Callable[..., None], tmp_path: Path
) -> None:
    stopped()
    code, out, err = run(*SUBSET, "--watch", "-o", tmp_path / "release")
    assert (code, out) == (Exit.INTERRUPTED, "")
    assert err.splitlines()[-1] == "error: interrupted; nothing was written"
    assert list(tmp_path.iterdir()) == []


def test_a_finished_release_is_not_called_interrupted(run: Run, tmp_path: Path) -> None:
    code, _, _ = run(*SUBSET, "--range", "0:255", "-o", tmp_path / "release")
    assert code == Exit.OK
    card = SyntheticDataset.load(tmp_path / "release").card
    assert card["interrupted"] is None and card["value_range"] == [0, 255]


def test_ctrl_c_in_a_real_process_while_watching(tmp_path: Path) -> None:
    folder = tmp_path / "release"
    slow = ["--ipc", "1", "--init", "noise", "--set", "steps=10000000"]
    small = ["--limit", "100", "--set", "network=linear", "--set", "pairs=2"]
    words = ["condense", "digits", "--method", "dm", *slow, *small, "--watch", "-o", str(folder)]
    # Whoever runs the tests in the background may have had Ctrl-C ignored for all its children.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    code += "from limbeck.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not (folder / "preview.png").exists() and process.poll() is None:
            assert time.monotonic() < deadline, "no picture was drawn"
            time.sleep(0.05)
        with Image.open(folder / "preview.png") as picture:
            assert picture.size[1] > 10 * 64  # whole: ten digits below each other
        assert [p.name for p in folder.iterdir() if not p.name.startswith(".tmp-")] == [
            "preview.png"
        ]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == Exit.INTERRUPTED and out == ""
    assert f"watch {folder / 'preview.png'}" in err and "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: interrupted when ")
    state = SyntheticDataset.load(folder)
    assert len(state) == 10 and 0 < state.card["interrupted"] < 1
    assert state.card["guarantee"] is None and not list(folder.glob(".tmp-*"))


def test_watching_draws_now_and_then_and_never_stops_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from limbeck.cli import state as module

    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    drawn: list[float] = []
    monkeypatch.setattr(module, "png", lambda _: drawn.append(clock[0]) or b"png")
    set_ = SyntheticDataset(torch.zeros(1, 1, 2, 2), torch.tensor([0]), ("a",))
    shown: list[float] = []
    kept = module.LastState(shown.append, tmp_path / "new" / "preview.png")
    for second in (0.0, 0.5, 1.9, 2.0, 3.9, 4.5):
        clock[0] = second
        kept.report(second / 10, set_)
    assert drawn == [0.0, 2.0, 4.5] and shown == [0.0, 0.05, 0.19, 0.2, 0.39, 0.45]
    assert kept.last is not None and kept.last[0] == 0.45

    (tmp_path / "file").write_text("in the way")
    kept = module.LastState(shown.append, tmp_path / "file" / "preview.png")
    kept.report(0.5, set_)
    clock[0] = 100.0
    kept.report(0.6, set_)
    assert kept.last is not None and kept.last[0] == 0.6
    assert capsys.readouterr().err.count("goes on without pictures") == 1


def test_tables_cannot_be_watched(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(TABLE)
    words = ["condense", table, "--label", "label", "--range", "0:1", "--method", "random-subset"]
    code, out, err = run(*words, "--ipc", "1", "--watch", "-o", tmp_path / "release")
    assert (code, out) == (Exit.USAGE, "") and "--watch: records of shape (1,)" in err
    assert not (tmp_path / "release").exists()


def test_the_commands_to_go_on_with_suit_the_records(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(TABLE)
    words = ["condense", table, "--label", "label", "--range", "0:1", "--method", "random-subset"]
    code, out, _ = run(*words, "--ipc", "1", "-o", tmp_path / "release")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == Exit.OK and "--trainer mlp" in lines["and"]
    code, _, _ = run(*shlex.split(lines["next"])[1:], "--set", "steps=2", "--networks", "1")
    assert code == Exit.OK and "--network mlp" in lines["next"]
    _, out, _ = run(*SUBSET, "-o", tmp_path / "digits")
    assert "--network" not in out and "--trainer" not in out


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = torch.arange(4) // 2
    inputs = torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    soft = torch.full((4, 2), 0.5)
    made = SyntheticDataset(inputs, labels, ("a", "b"), soft, card={"holds_real_records": True})
    return made.save(tmp_path_factory.mktemp("export") / "release")


@pytest.mark.parametrize(
    ("to", "name"), [("npz", "x.npz"), ("folder", "deep/x"), ("huggingface", "x")]
)
def test_an_export_reads_back(run: Run, release: Path, tmp_path: Path, to: str, name: str) -> None:
    if to == "huggingface":
        pytest.importorskip("datasets")
    code, out, err = run("export", release, "--to", to, "-o", tmp_path / name, "--json")
    assert code == Exit.OK and err == ""
    said = json.loads(out)
    assert (said["records"], said["holds_real_records"]) == (4, True)
    assert ("soft labels" in said["lost"]) == (to == "folder")
    back = read(str(tmp_path / name))
    assert torch.allclose(back.inputs, SyntheticDataset.load(release).inputs, atol=0.5001 / 255)
    assert back.labels.tolist() == [0, 0, 1, 1]
    code, out, _ = run("export", release, "--to", to, "-o", tmp_path / f"again-{Path(name).name}")
    assert code == Exit.OK and "real records" in out and "again" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["RELEASE", "--to", "tfrecord", "-o", "OUT/x"], "'npz', 'folder', 'huggingface'"),
        (["RELEASE", "-o", "OUT/x"], "--to"),
        (["RELEASE", "--to", "npz"], "--output"),
        (["RELEASE", "--to", "npz", "-o", "OUT/x"], "x.npz"),
        (["RELEASE", "--to", "folder", "-o", "OUT"], "exists already"),
        (["RELEASE", "--to", "folder", "-o", "RELEASE/card.json/x"], "card.json is a file"),
        (["OUT", "--to", "npz", "-o", "OUT/x.npz"], "not a release"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(
    run: Run, release: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    there = {"RELEASE": str(release), "OUT": str(tmp_path)}
    for name, path in there.items():
        words = [w.replace(name, path) for w in words]
    code, out, err = run("export", *words)
    assert (code, out) == (Exit.USAGE, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and said in err
    assert list(tmp_path.iterdir()) == []


def test_the_formats_of_the_command_line_are_those_of_the_package() -> None:
    import inspect

    from limbeck.cli.export import export

    [to, *_] = get_args(inspect.signature(export, eval_str=True).parameters["to"].annotation)
    assert get_args(to) == get_args(Format)
