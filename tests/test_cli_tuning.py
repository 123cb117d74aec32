"""`--tune` and `--private-accuracy` of condense and train, from end to end."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.cli.exits import Exit
from limbeck.data import SyntheticDataset
from limbeck.privacy.selection import Selection
from limbeck.train.private_ridge import PrivateRidge

pytestmark = pytest.mark.usefixtures("whole_audits")

Run = Callable[..., tuple[int, str, str]]
RIDGE = ["train", "digits", "--trainer", "private-ridge", "--epsilon", "3"]
MERF = ["condense", "digits", "--method", "dp-merf", "--epsilon", "3", "--ipc", "2"]


def test_training_chooses_and_measures_within_one_guarantee(run: Run, tmp_path: Path) -> None:
    words = [*RIDGE, "--tune", "features=20,60", "--tune-runs", "4", "--private-accuracy", "0.5"]
    code, out, err = run(*words, "-o", tmp_path / "m")
    assert code == Exit.OK, err
    assert "4 runs are expected, more than 11 in 1 of 20 cases" in err
    assert "a run takes about" in err
    assert "chosen     features=" in out and "of 2 settings; each run has epsilon 2." in out
    assert "(3, 1e-05)-differential privacy" in out
    assert "(3.5, 2e-05) together with the release" in out
    assert "took" not in out, "it tells the number of runs"
    card = json.loads((tmp_path / "m" / "model.json").read_text())
    assert card["guarantee"]["epsilon"] == 3
    assert card["selection"]["tried"] == [{"features": 20}, {"features": 60}]
    assert card["recipe"] == card["selection"]["recipe"]
    assert 1.9 < card["recipe"]["options"]["epsilon"] < 2.9
    said = card["private_accuracy"]
    found = said["accuracy"]
    assert 0.3 < found["low"] < found["value"] < found["high"] <= 1
    assert said["of"] == "the released classifier" and said["guarantee"]["epsilon"] <= 0.5
    assert len(said["ledger"]) == 1 and said["ledger"][0]["name"] == "right and wrong predictions"
    code, out, _ = run("predict", tmp_path / "m", "digits")
    assert code == Exit.OK and "the best of a secret number of runs" in out


def test_condensing_chooses_and_measures_a_network_trained_on_the_set(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Selection, "draw", lambda self: 2)
    words = [*MERF, "--tune", "features=40,80", "--set", "steps=20", "--private-accuracy", "0.5"]
    code, out, err = run(*words, "--limit", "300", "--json", "-o", tmp_path / "r")
    assert code == Exit.OK, err
    made, card = json.loads(out), SyntheticDataset.load(tmp_path / "r").card
    assert made["seconds"] is None and made["selection"] == card["selection"]
    assert card["selection"]["score"]["classifier"].startswith("convnet3, recipe search")
    assert card["private_accuracy"] == made["private_accuracy"]
    # One record more in the data exchanges one of the slice: twice the epsilon of the choice.
    assert card["guarantee"]["epsilon"] == 6 and card["interrupted"] is None
    assert any("of the 300 records (at most)" in line for line in card["in_words"])
    assert made["private_accuracy"]["with_the_release"]["epsilon"] == pytest.approx(6.5, abs=1e-3)


def test_an_audit_holds_the_whole_against_its_limit_and_not_the_run_alone(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limbeck.audit.claimed import claimed
    from limbeck.cli.sets import synthesizer_of
    from limbeck.data import load
    from limbeck.mechanism.pipeline import Pipeline

    monkeypatch.setattr(Selection, "draw", lambda self: 1)
    words = [*MERF, "--tune", "features=40,80", "--set", "steps=20"]
    assert run(*words, "-o", tmp_path / "r")[0] == Exit.OK
    released, (private, _) = SyntheticDataset.load(tmp_path / "r"), load("digits")
    mechanism = Pipeline(synthesizer_of(released)).resolve(private)
    assert mechanism.guarantee is not None and mechanism.guarantee.epsilon < 2.5
    claim = claimed(mechanism, private, released)
    assert claim is not None and claim["epsilon"] == 3


def test_a_gaussian_release_and_its_accuracy_add_up_in_mu(run: Run, tmp_path: Path) -> None:
    words = [*RIDGE, "--set", "features=20", "--private-accuracy", "0.5", "--json"]
    code, out, _ = run(*words, "-o", tmp_path / "m")
    both = json.loads(out)["private_accuracy"]["with_the_release"]
    assert code == Exit.OK and both["delta"] == 1e-5 and 3.0 < both["epsilon"] < 3.1


def test_an_accuracy_without_a_guarantee_of_the_release(run: Run, tmp_path: Path) -> None:
    words = ["train", "digits", "--trainer", "standard", "--set", "network=linear"]
    words += ["--set", "steps=5", "--private-accuracy", "0.1"]
    code, out, _ = run(*words, "-o", tmp_path / "m")
    assert code == Exit.OK and "guarantee  none" in out
    assert "together with" not in out and "(0.1, 1e-05)-differentially private" in out


def test_the_guarantee_may_be_said_by_set_as_well(run: Run, tmp_path: Path) -> None:
    words = ["train", "digits", "--trainer", "private-ridge", "--tune", "features=20,30", "--json"]
    words += ["--set", "epsilon=4", "--set", "delta=1e-6", "--set", "adjacency=replace-one"]
    code, out, err = run(*words, "-o", tmp_path / "m")
    assert code == Exit.OK, err
    made = json.loads(out)
    stated = made["guarantee"]
    assert (stated["epsilon"], stated["delta"]) == (4, 1e-6)
    assert stated["adjacency"] == "replace-one"
    assert made["recipe"]["options"]["epsilon"] < 2 and "(4, 1e-06)" in err


def test_settings_come_from_a_file_too(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[[settings]]\nfeatures = 20\n\n[[settings]]\nfeatures = 60\n")
    code, out, err = run(*RIDGE, "--tune", path, "--json", "-o", tmp_path / "m")
    assert code == Exit.OK, err
    assert json.loads(out)["selection"]["tried"] == [{"features": 20}, {"features": 60}]


def test_all_combinations_are_tried(run: Run, tmp_path: Path) -> None:
    words = [*MERF, "--tune", "features=20,40", "--tune", "steps=2,3", "--tune-runs", "1"]
    code, out, err = run(*words, "--json", "-o", tmp_path / "r")
    assert code == Exit.OK, err
    tried = json.loads(out)["selection"]["tried"]
    assert [(t["features"], t["steps"]) for t in tried] == [(20, 2), (20, 3), (40, 2), (40, 3)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tune", "colour=1,2"], "private-ridge has no option 'colour'; it has: epsilon"),
        (["--tune", "features="], "--tune features=: a value is empty"),
        (["--tune", "features=20,,30"], "a value is empty"),
        (["--tune", "features"], "--tune features: write NAME=V1,V2"),
        (["--tune", "features=20"], "one setting leaves nothing to choose"),
        (["--tune", "features=20,20"], "--tune: features=20 is listed twice"),
        (["--tune", "features=20,30", "--tune", "features=1,2"], "--tune features: given twice"),
        (["--tune", "features=20,30", "--set", "features=5"], "given as a fixed option too"),
        (["--tune", "features=20,lots"], "private-ridge: option 'features'"),
        (["--tune", "epsilon=1,2"], "--tune epsilon: the guarantee is the same for all settings"),
        (["--tune", "nowhere.toml"], "nowhere.toml: No such file"),
        (["--tune-runs", "3"], "--tune-runs: there is nothing to choose among"),
        (["--private-accuracy", "0"], "--private-accuracy 0: give a number above 0, such as 0.1"),
    ],
)
def test_bad_lists_are_refused_in_one_line(
    run: Run, tmp_path: Path, words: list[str], said: str
) -> None:
    code, out, err = run(*RIDGE, *words, "-o", tmp_path / "m")
    assert (code, out) == (Exit.USAGE, "") and said in err and len(err.splitlines()) == 1
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    "text", ["", "settings = 3", "[[settings]]\n", "[[settings]]\na=1\n[other]\nb=2", "= nothing"]
)
def test_bad_files_are_refused_in_one_line(run: Run, tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    code, out, err = run(*RIDGE, "--tune", path, "-o", tmp_path / "m")
    assert (code, out) == (Exit.USAGE, "") and str(path) in err and len(err.splitlines()) == 1


def test_a_choice_without_a_guarantee_belongs_to_compare(run: Run, tmp_path: Path) -> None:
    for words in (
        ["train", "digits", "--trainer", "private-ridge", "--tune", "features=20,30"],
        ["condense", "digits", "--method", "dm", "--tune", "steps=20,30"],
    ):
        code, _, err = run(*words, "-o", tmp_path / "m")
        assert code == Exit.USAGE and "say --epsilon" in err and "`limbeck compare`" in err
    code, _, err = run(*MERF, "--tune", "steps=2,3", "--watch", "-o", tmp_path / "m")
    assert code == Exit.USAGE and "--watch" in err


def test_ctrl_c_keeps_nothing_of_a_choice(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    fit = PrivateRidge.fit

    def third_stops(self: PrivateRidge, *given: object, **words: object) -> object:
        runs.append(self)
        if len(runs) == 3:
            raise KeyboardInterrupt
        return fit(self, *given, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(PrivateRidge, "fit", third_stops)
    monkeypatch.setattr(Selection, "draw", lambda self: 5)
    code, out, err = run(*RIDGE, "--tune", "features=20,30", "-o", tmp_path / "m")
    assert (code, out) == (Exit.INTERRUPTED, "") and "nothing was written" in err
    assert not (tmp_path / "m").exists()


def test_a_test_part_without_people_is_refused_before_training() -> None:
    from limbeck.cli.private_accuracy import AccuracyOptions
    from limbeck.data.dataset import LabeledDataset
    from limbeck.errors import OptionError

    labels = torch.arange(4) % 2
    people = LabeledDataset(torch.rand(4, 3), labels, ("a", "b"), groups=torch.arange(4))
    nobody = LabeledDataset(torch.rand(4, 3), labels, ("a", "b"), name="test")
    with pytest.raises(OptionError, match="test: no record of shape"):
        AccuracyOptions(0.1).require(PrivateRidge(), people, nobody)
    AccuracyOptions(0.1).require(PrivateRidge(unit="record"), people, nobody)
    AccuracyOptions(None).require(PrivateRidge(), people, nobody)


def test_a_person_counts_once_in_a_file_with_groups(run: Run, tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    rows = ["who,label," + ",".join(f"x{i}" for i in range(5))]
    for person in range(150):
        for _ in range(1 + person % 3):
            values = draws.random(5) * 0.5 + (person % 2) * 0.5
            rows.append(f"p{person},{'ab'[person % 2]}," + ",".join(f"{v:.4f}" for v in values))
    path = tmp_path / "people.csv"
    path.write_text("\n".join(rows))
    words = ["train", path, "--trainer", "private-ridge", "--epsilon", "8", "--group", "who"]
    words += ["--label", "label", "--range", "0:1", "--tune", "features=3,5"]
    code, out, err = run(*words, "--private-accuracy", "2", "--json", "-o", tmp_path / "m")
    assert code == Exit.OK, err
    made = json.loads(out)
    assert made["guarantee"]["unit"] == made["private_accuracy"]["guarantee"]["unit"] == "group"
    # About thirty of 150 people are held out; records would be twice as many.
    assert made["private_accuracy"]["accuracy"]["trials"] < 45
