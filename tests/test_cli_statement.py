"""What condense, train, audit, evaluate, export and predict say of a guarantee."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from limbeck.audit.claimed import claimed
from limbeck.cli.exits import Exit
from limbeck.data.sources import load
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.mechanism.pipeline import Pipeline
from limbeck.privacy.gaussian import epsilon_of, mu_of
from limbeck.recipe import from_recipe
from limbeck.testing import assert_private
from limbeck.train.private_ridge import PrivateRidge
from limbeck.train.released import ReleasedClassifier, classified

SETTINGS = ("ipc=1", "network=convnet1", "width=2", "pairs=2", "features=6", "steps=2")
MATCHING = ["--method", "private-matching", *(f"--set={words}" for words in SETTINGS)]
RIDGE = ["--trainer", "private-ridge", "--set", "features=20"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A (epsilon 8), B (1, from A), C (1, from B)."""
    from limbeck.cli import main

    root = tmp_path_factory.mktemp("chain")
    for name, epsilon, init in (("A", 8, "noise"), ("B", 1, "A"), ("C", 1, "B")):
        start = init if init == "noise" else f"private:{root / init}"
        words = ["condense", "digits", *MATCHING, "--epsilon", str(epsilon), "--init", start]
        assert main([*words, "-o", str(root / name)]) == Exit.OK
    return root


@pytest.fixture
def grouped(tmp_path):
    path = tmp_path / "people.npz"
    draws = np.random.default_rng(0)
    np.savez(
        path,
        inputs=draws.random((200, 1, 8, 8), np.float32),
        labels=np.arange(200) % 2,
        groups=np.arange(200) // 4,
    )
    return path


def card(folder):
    return json.loads((folder / "card.json").read_text(encoding="utf-8"))["limbeck"]


def test_a_chain_is_one_sum_on_every_card_and_in_every_output(chain, run, tmp_path):
    first, small = mu_of(8.0, 1e-5), mu_of(1.0, 1e-5)
    both, all_three = (epsilon_of(math.sqrt(first**2 + k * small**2), 1e-5) for k in (1, 2))
    for name, wanted, releases in (("A", 8, 1), ("B", both, 2), ("C", all_three, 3)):
        said = card(chain / name)
        assert said["guarantee"]["epsilon"] == pytest.approx(wanted, rel=1e-4)
        assert said["deployment"]["privacy_parameters"]["epsilon"] == said["guarantee"]["epsilon"]
        assert len(said["guarantee"]["releases"]) == releases
        assert said["guarantee"]["own"]["epsilon"] == pytest.approx(1 if releases > 1 else 8)
    owed = said["guarantee"]["releases"]
    debts = [(r["epsilon"], r["adjacency"], r["unit"], r["limit"]) for r in owed]
    assert debts == [(pytest.approx(e), "add-remove", "record", None) for e in (1, 1, 8)]
    assert said["in_words"][0].startswith("(8.249, 1e-05)-differential privacy")

    words = ["condense", "digits", *MATCHING, "--epsilon", "1", "--init", f"private:{chain / 'B'}"]
    code, out, _ = run(*words, "-o", tmp_path / "C", "--json")
    assert code == Exit.OK
    assert json.loads(out)["guarantee"]["epsilon"] == pytest.approx(all_three, rel=1e-4)
    code, out, _ = run(*words, "-o", tmp_path / "C", "--force")
    assert "(8.249, 1e-05)-differential privacy" in out and "the sum of 3 releases" in out

    evaluate = ["evaluate", chain / "C", "--test", "digits", "--network", "mlp", "--set", "steps=2"]
    export = ["export", chain / "C", "--to", "npz", "-o"]
    for number, command in enumerate((evaluate, export)):
        where = [] if command is evaluate else [tmp_path / f"{number}.npz"]
        code, out, _ = run(*command, *where)
        assert code == Exit.OK and "(8.249, 1e-05)-differential privacy, the sum of 3" in out
        where = [] if command is evaluate else [tmp_path / f"{number}-json.npz"]
        code, out, _ = run(*command, *where, "--json")
        assert json.loads(out)["guarantee"]["epsilon"] == pytest.approx(all_three, rel=1e-4)


def test_the_limit_on_epsilon_is_one_on_the_sum(chain, run, tmp_path):
    few = ["--preset", "quick", "--runs", "4", "--canaries", "10", "--no-company", "--workers", "1"]
    words = ["audit", chain / "C", "--private", "digits", *few, "--trainer", "mlp"]
    code, out, err = run(*words, "--trainer-set", "steps=2", "--max-epsilon", "1", "-o", tmp_path)
    assert code == Exit.EXCEEDED, err
    said = "Epsilon at most 1 does not hold: the accountant says 8.249 for the sum of 3 releases."
    assert said in out and "the accountant's epsilon is 8.249" in out
    with pytest.raises(AssertionError, match=r"the accountant says 8\.249"):
        assert_private(tmp_path, max_epsilon=1.0)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "ε = 8.249, δ = 0.00001" in page and "the sum of 3 releases" in page
    assert "ε at δ: 6.175 at 0.001" in page


@pytest.mark.parametrize("name", ["B", "C"])
def test_what_is_claimed_of_an_audited_chain_is_the_sum(chain, digits, name):
    private, _ = digits
    release = SyntheticDataset.load(chain / name)
    mechanism = Pipeline(from_recipe(release.card["recipe"]), None).resolve(private)
    stated = card(chain / name)["guarantee"]
    for released in (None, release):
        found = claimed(mechanism, private, released)
        assert found["epsilon"] == pytest.approx(stated["epsilon"], rel=1e-4)
        assert len(found["releases"]) == len(stated["releases"])


def test_a_card_that_lost_its_debt_does_not_lower_what_an_audit_holds(chain, digits):
    private, _ = digits
    release = SyntheticDataset.load(chain / "C")
    mechanism = Pipeline(from_recipe(release.card["recipe"]), None).resolve(private)
    forged = {**release.card, "guarantee": card(chain / "A")["guarantee"]}
    forged["guarantee"]["releases"][0]["epsilon"] = 8.0
    found = claimed(mechanism, private, replace(release, card=forged))
    assert found["epsilon"] > 8.2


@pytest.mark.parametrize("words", [["--adjacency", "replace-one"], ["--set", "unit=group"]])
def test_what_does_not_add_up_is_refused_before_anything_is_condensed(
    chain, grouped, run, tmp_path, words
):
    source = "digits" if words[0] == "--adjacency" else grouped
    start = ["--epsilon", "1", "--init", f"private:{chain / 'A'}"]
    code, out, err = run("condense", source, *MATCHING, *start, *words, "-o", tmp_path / "x")
    assert (code, out) == (Exit.USAGE, "") and not (tmp_path / "x").exists()
    assert "do not add up" in err and err.count("\n") == 1


def test_of_a_slice_the_claim_is_about_all_the_data(run, tmp_path):
    words = ["condense", "digits", *MATCHING, "--epsilon", "1", "--limit", "300"]
    code, out, _ = run(*words, "-o", tmp_path / "r", "--json")
    assert code == Exit.OK
    twice = epsilon_of(2 * mu_of(1.0, 1e-5), 1e-5)
    ridge = ["train", "digits", *RIDGE, "--epsilon", "1", "--limit", "300", "--json"]
    code, trained, _ = run(*ridge, "-o", tmp_path / "m")
    assert code == Exit.OK
    model = json.loads((tmp_path / "m" / "model.json").read_text())
    for said in (json.loads(out), json.loads(trained), card(tmp_path / "r"), model):
        found = said["guarantee"]
        assert found["epsilon"] == pytest.approx(twice, rel=1e-4)
        assert found["about"]["limit"] == 300 and found["about"]["whole"] is True
        assert found["about"]["kept"]["epsilon"] == pytest.approx(1, rel=1e-4)
    for said in (card(tmp_path / "r"), model):
        assert said["deployment"]["privacy_parameters"]["epsilon"] == said["guarantee"]["epsilon"]
        assert "at most 300 records were kept" in said["deployment"]["privacy_unit_details"]


def test_an_audit_of_a_slice_holds_all_the_data_to_the_limit():
    private, _ = load("digits", limit=300)
    mechanism = Pipeline(None, PrivateRidge(epsilon=1.0)).resolve(private)
    found = claimed(mechanism, private)
    assert found["epsilon"] == pytest.approx(epsilon_of(2 * mu_of(1.0, 1e-5), 1e-5), rel=1e-4)
    assert private.select([0, 1, 2]).limit == 300


@pytest.mark.parametrize("adjacency", ["add-remove", "replace-one"])
def test_the_number_of_records_is_printed_only_where_it_is_public(run, tmp_path, adjacency):
    hidden = adjacency == "add-remove"
    asked = ["--epsilon", "1", "--adjacency", adjacency]
    commands = {"condense": [*MATCHING, *asked], "train": [*RIDGE, *asked]}
    for command, words in commands.items():
        code, out, err = run(command, "digits", *words, "-o", tmp_path / f"{command}1")
        assert code == Exit.OK and ("1438" in out + err) is not hidden
        _, out, _ = run(command, "digits", *words, "-o", tmp_path / command, "--json")
        assert json.loads(out)["private_records"] == (None if hidden else 1438)
        for file in (tmp_path / command).glob("*.json"):
            assert "1438" not in file.read_text(encoding="utf-8")


def test_a_delta_that_is_too_large_is_said_to_the_owner_alone(run, tmp_path):
    """1,438 records: 1e-3 is fit for 533, and 1e-4 for 4,328."""
    for delta, warned in (("1e-3", True), ("1e-4", False)):
        words = ["train", "digits", *RIDGE, "--epsilon", "1", "--delta", delta]
        code, out, err = run(*words, "-o", tmp_path / delta, "--json")
        assert code == Exit.OK and ("these data have more" in err) is warned
        assert "these data have more" not in out and "1438" not in out + err
        written = (tmp_path / delta / "model.json").read_text(encoding="utf-8")
        assert "these data have more" not in written
        assert json.loads(written)["guarantee"]["fit_for_records"] == (533 if warned else 4328)


def test_delta_follows_from_a_public_number_of_records(run, tmp_path):
    words = ["train", "digits", *RIDGE, "--epsilon", "1", "--public-records"]
    for records, delta in (("60000", 5e-6), ("2000", 1e-5)):
        _, out, err = run(*words, records, "-o", tmp_path / records, "--json")
        assert json.loads(out)["guarantee"]["delta"] == delta and "warning" not in err
    _, out, err = run(*words, "1000", "-o", tmp_path / "few", "--json")
    assert "the data have more records than the --public-records given" in err
    _, out, _ = run(*words, "60000", "--set", "delta=1e-7", "-o", tmp_path / "own", "--json")
    assert json.loads(out)["guarantee"]["delta"] == 1e-7


def test_records_protected_one_by_one_though_they_have_groups_are_said_to_be(
    run, grouped, tmp_path
):
    for command, words in {"condense": MATCHING, "train": RIDGE}.items():
        for unit, doubted in (("record", True), ("group", False)):
            folder = tmp_path / f"{command}-{unit}"
            asked = ["--epsilon", "1", "--set", f"unit={unit}"]
            code, _, err = run(command, grouped, *words, *asked, "-o", folder)
            assert code == Exit.OK and ("each is protected alone" in err) is doubted
            said = [file.read_text(encoding="utf-8") for file in folder.glob("*.json")]
            assert any("records are protected one by one" in text for text in said) is doubted


def test_a_guarantee_cannot_be_attached_to_a_classifier_of_shadow_runs(digits, tmp_path):
    private, _ = digits
    trainer = PrivateRidge(epsilon=1.0, features=20).resolve_for(private)
    everyone = torch.ones(1, len(private), dtype=torch.bool)
    insecure = [
        *trainer.fit_many([private], [0]),
        *trainer.fit_subsets(private, everyone, [0]),
    ]
    fitted = trainer.fit(private, seed=0)
    said = classified(fitted, private, "x")
    for classifier in insecure:
        assert classified(classifier, private, "x")["guarantee"] is None
        with pytest.raises(OptionError, match="claims a guarantee that this classifier does not"):
            ReleasedClassifier(classifier, private.shape, private.classes, said)
    released = ReleasedClassifier(fitted, private.shape, private.classes, said)
    again = ReleasedClassifier.load(released.save(tmp_path / "m"))
    again.save(tmp_path / "n")
    cheaper = {**said, "guarantee": {**said["guarantee"], "own": {"epsilon": 0.1, "delta": 1e-5}}}
    with pytest.raises(OptionError, match="the run that made this classifier"):
        ReleasedClassifier(fitted, private.shape, private.classes, cheaper)
