"""`limbeck audit` and `limbeck report`: one small audit, its limits, and what is refused."""

import json
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from limbeck.audit.presets import PRESETS
from limbeck.cli import main
from limbeck.cli.exits import Exit
from limbeck.data.synthetic import SyntheticDataset

pytestmark = pytest.mark.usefixtures("whole_audits", "quick_attackers")

Run = Callable[..., tuple[int, str, str]]
DATA = ["--private", "digits", "--limit", "200"]
SMALL = [*DATA, "--trainer", "kernel-ridge", "--preset", "quick", "--runs", "8", "--workers", "1"]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit") / "release"
    words = ["digits", "--limit", "200", "--method", "random-subset", "--ipc", "5"]
    assert main(["condense", *words, "-o", str(folder)]) == Exit.OK
    return folder


@pytest.fixture(scope="module")
def audited(release: Path) -> Path:
    folder = release.parent / "audit"
    with redirect_stderr(StringIO()) as told:
        code = main(["audit", str(release), *SMALL, "--no-company", "-o", str(folder)])
    assert code == Exit.OK and "cost: about" in told.getvalue(), told.getvalue()
    return folder


def refused(answer: tuple[int, str, str], said: str) -> None:
    code, out, err = answer
    assert (code, out) == (Exit.USAGE, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert said in err


def test_an_audit_leaves_its_files_and_the_released_set(audited: Path, release: Path) -> None:
    there = {p.name for p in audited.iterdir()}
    expected = {"plan.json", "evidence.json", "cost.json", "report.html", "private", "release"}
    assert expected <= there and not any(name.startswith(".tmp") for name in there)
    ours, theirs = (SyntheticDataset.load(f) for f in (audited / "release", release))
    assert ours.inputs.equal(theirs.inputs)
    evidence = json.loads((audited / "evidence.json").read_text())
    assert evidence["plan"]["preset"]["runs"] == 8
    assert [s["role"] for s in evidence["subjects"]] == ["subject"]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        # A random subset gives no guarantee, and no audit can stand in for one.
        (["--max-epsilon", "8"], Exit.EXCEEDED),
        # Eight runs of ten canaries cannot resolve an FPR of 0.1%.
        (["--max-tpr", "0.999@0.001"], Exit.UNCLEAR),
    ],
)
def test_exit_code_answers_the_limits_and_finished_runs_are_not_repeated(
    run: Run, audited: Path, release: Path, limits: list[str], code: Exit
) -> None:
    stored = {p: p.stat().st_mtime_ns for p in (audited / "private").glob("*.safetensors")}
    before = (audited / "evidence.json").read_bytes()
    words = [release, *SMALL, "--no-company", "-o", audited, "--json"]
    got, out, err = run("audit", *words, *limits)
    assert got == code, err
    said = json.loads(out)
    assert said["exit_code"] == code
    assert len(said["limits"]) == len(limits) // 2
    assert "cost: about" not in err, "all of it is there: nothing is timed, nothing costs"
    assert stored == {p: p.stat().st_mtime_ns for p in (audited / "private").glob("*.safetensors")}
    assert (audited / "evidence.json").read_bytes() == before


def test_another_plan_in_the_same_folder_is_refused(run: Run, audited: Path, release: Path) -> None:
    before = (audited / "plan.json").read_bytes()
    code, out, err = run("audit", release, *SMALL, "--seed", "1", "--no-company", "-o", audited)
    assert (code, out) == (Exit.USAGE, "")
    assert "another plan" in err.splitlines()[-1] and "cost: about" not in err
    assert (audited / "plan.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["RELEASE", "--method", "dm"], "not both a RELEASE folder and --method"),
        ([], "give one of a RELEASE folder, --method"),
        (["RELEASE", "--timeout", "5"], "are for --command"),
        (["RELEASE", "--control", "digits"], "--control is for --synthetic"),
        (["--command", "true {input}"], "lacks {output}"),
        (["--command", "no-such-program {input} {output}"], "no program is called"),
        (["--command", "true {input} {output}", "--init", "noise"], "--init and --set"),
        (["RELEASE", "--ipc", "3"], "holds the recipe already"),
        (["RELEASE", "--attack", "mira"], "no attack is called 'mira'; there are: all, loss-"),
        (["RELEASE", "--stop-early", "--runs", "12"], "12 runs leave no look before the end"),
        (["RELEASE", "--memory", "lots"], "8GB"),
        (["RELEASE", "--memory", "1.2.3GB"], "8GB"),
        (["RELEASE", "--max-tpr", "0.01"], "TPR@FPR"),
        (["RELEASE", "--max-tpr", "1@2"], "TPR@FPR"),
        (["RELEASE", "--max-tpr", "0.01@0.05"], "0.001"),
        (["RELEASE", "--trainer", "no-such-network"], "no-such-network"),
        (["RELEASE", "--trainer-set", "steps"], "--trainer-set"),
        (["RELEASE", "--size", "16"], "records of shape"),
        (["no-such-release"], "no-such-release"),
        (["--method", "none", "--ipc", "3"], "--method none"),
        (["--method", "no-such-method"], "no-such-method"),
        (["RELEASE", "--preset", "slow"], "--preset"),
    ],
)
def test_bad_usage_is_refused_before_anything_is_written(
    run: Run, release: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    given = [str(release) if w == "RELEASE" else w for w in words]
    refused(run("audit", *DATA, *given, "-o", tmp_path / "audit"), said)
    assert list(tmp_path.iterdir()) == []


def test_a_release_without_a_recipe_is_refused(run: Run, release: Path, tmp_path: Path) -> None:
    bare = replace(SyntheticDataset.load(release), card={})
    bare.save(tmp_path / "bare")
    refused(run("audit", tmp_path / "bare", *DATA, "-o", tmp_path / "audit"), "no recipe")


@pytest.mark.parametrize("nested", [False, True])
def test_no_card_runs_a_program(run: Run, release: Path, tmp_path: Path, nested: bool) -> None:
    """A release may come from anywhere: to audit it must not mean to trust it."""
    witness = tmp_path / "ran"
    trainer = {"method": "kernel-ridge", "options": {}}
    command = f"touch {witness} {{input}} {{output}}"
    recipe = {"method": "command", "options": {"command": command, "trainer": trainer}}
    if nested:
        recipe = {"method": "dm", "options": {"init": recipe}}
    hostile = replace(SyntheticDataset.load(release), card={"recipe": recipe})
    hostile.save(tmp_path / "hostile")
    answer = run("audit", tmp_path / "hostile", *SMALL, "-o", tmp_path / "audit")
    refused(answer, "asks for a program to be run, which no card may")
    assert not witness.exists() and not (tmp_path / "audit").exists()


def test_mechanism_from_options_is_the_one_of_the_card(
    run: Run, audited: Path, tmp_path: Path
) -> None:
    options = ["--method", "random-subset", "--ipc", "5", "--no-company"]
    code, _, err = run("audit", *options, *SMALL, "-o", tmp_path / "audit")
    assert code == Exit.OK, err
    ours, theirs = (
        json.loads((folder / "evidence.json").read_text())["subjects"][0]
        for folder in (tmp_path / "audit", audited)
    )
    # Only an audit of a release attacks that release, and can find it unlike its shadow runs.
    for one in (ours, theirs):
        del one["flags"], one["released"]
    assert ours == theirs


def test_report_of_an_audit_internal_and_shared(run: Run, audited: Path, tmp_path: Path) -> None:
    code, out, _ = run("report", audited, "-o", tmp_path / "page.html", "--json")
    assert code == Exit.OK
    page = (tmp_path / "page.html").read_text()
    assert json.loads(out)["bytes"] == len(page.encode())
    assert page == (audited / "report.html").read_text()
    code, _, _ = run("report", audited, "-o", tmp_path / "shared.html", "--share")
    assert code == Exit.OK
    assert (tmp_path / "shared.html").read_text() != page
    refused(run("report", audited, "-o", tmp_path), "a folder")
    refused(run("report", tmp_path), "evidence.json")


def test_the_strong_adversary_is_asked_for_and_kept_private(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.cli.audit_mechanism.STRONG_TRIALS", 16)
    # One record that is never in is too few to attack the images with: it is not about them.
    monkeypatch.setitem(PRESETS, "quick", replace(PRESETS["quick"], control=1))
    words = ["audit", "--method", "random-subset", "--ipc", "1", *SMALL, "--no-company"]
    code, out, err = run(*words, "--strong", "1", "-o", tmp_path / "audit", "--json")
    assert code == Exit.OK, err
    assert "the strong adversary" in err
    found = json.loads(out)["strong"]
    assert found == json.loads((tmp_path / "audit" / "private" / "strong.json").read_text())
    assert len(found["targets"]) == len(found["auc"]) == 1
    # Half of 16 runs are judged, half of them with the canary.
    assert found["tpr"]["trials"] == found["fpr"]["trials"] == 4
    assert found["epsilon"]["value"] >= 0
