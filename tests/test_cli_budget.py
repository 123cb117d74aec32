"""limbeck budget, and what condense and train enter."""

import json

import numpy as np
import pytest

import limbeck.data
from limbeck.cli.exits import Exit
from limbeck.owner import Book
from limbeck.privacy.composition import total
from limbeck.privacy.gaussian import epsilon_of, mu_of

RIDGE = ["--trainer", "private-ridge", "--set", "features=20"]
SETTINGS = ("ipc=1", "network=convnet1", "width=2", "pairs=2", "features=6", "steps=2")
MATCHING = ["--method", "private-matching", *(f"--set={words}" for words in SETTINGS)]
PSG = [f"--set={one}" for one in ("networks=1", "outer=2", "inner=1", "network=convnet1")]
TUNE = ["--trainer", "private-ridge", "--tune", "features=10,20", "--tune-runs", "2"]


@pytest.fixture
def book(budgets):
    return Book(budgets)


@pytest.fixture
def loads(monkeypatch):
    """Every source that was loaded."""
    seen, load = [], limbeck.data.load

    def spy(source, **options):
        seen.append(source)
        return load(source, **options)

    monkeypatch.setattr(limbeck.data, "load", spy)
    return seen


def costs(book, source="digits"):
    """(epsilon, delta) of all the data, of every part that was entered."""
    entries = book.find(source).entries
    pairs = [total([part]).guarantee for entry in entries for part in entry.parts or ()]
    return [(round(one.epsilon, 6), one.delta) for one in pairs]


def test_a_total_of_two_refuses_the_third_release_of_one_before_a_record_is_read(
    run, loads, book, tmp_path
):
    code, out, _ = run("budget", "set", "digits", "--epsilon", "2")
    assert code == Exit.OK and "epsilon 2 at delta 1e-05" in out
    for name in "ab":
        code, out, err = run("train", "digits", *RIDGE, "--epsilon", "1", "-o", tmp_path / name)
        assert code == Exit.OK
    assert "budget: 2 releases, (2, 2e-05) added up; of (2, 0.0001) that was set" in err
    assert "added up" not in out
    assert loads == ["digits"] * 2
    for command, words in {"train": RIDGE, "condense": MATCHING}.items():
        for force in ([], ["--force"]):
            where = tmp_path / ("a" if force else "c")
            code, out, err = run(command, "digits", *words, "--epsilon", "1", "-o", where, *force)
            assert (code, out) == (Exit.USAGE, "") and err.count("\n") == 1
            assert "3 releases come to (3, 3e-05); nothing is left" in err
    assert loads == ["digits"] * 2 and len(book.find("digits").entries) == 2
    assert not (tmp_path / "c").exists()


def test_force_forgets_nothing(run, book, tmp_path):
    for _ in range(2):
        words = ["--epsilon", "1", "-o", tmp_path / "a", "--force"]
        assert run("train", "digits", *RIDGE, *words)[0] == Exit.OK
    assert costs(book) == [(1, 1e-5)] * 2


def test_slices_seeds_and_spellings_are_the_same_data(run, book, tmp_path):
    path = tmp_path / "d.npz"
    draws = np.random.default_rng(0)
    np.savez(path, inputs=draws.random((200, 1, 8, 8), np.float32), labels=np.arange(200) % 2)
    given = [[], ["--limit", "100"], ["--split-seed", "3"], ["--test-share", "0.5"]]
    given += [["--size", "10"], ["--seed", "9"]]
    for number, options in enumerate(given):
        words = ["--epsilon", "0.1", *options, "-o", tmp_path / str(number)]
        assert run("train", path, *RIDGE, *words)[0] == Exit.OK
    sliced = round(epsilon_of(2 * mu_of(0.1, 1e-5), 1e-5), 6)
    assert costs(book, path) == [(0.1, 1e-5), (sliced, 1e-5), *[(0.1, 1e-5)] * 4]


def test_a_named_source_is_one_dataset_wherever_its_files_are(run, loads, book, tmp_path):
    run("budget", "set", "digits", "--epsilon", "1")
    words = ["--epsilon", "1.5", "--data-root", tmp_path, "--limit", "100", "-o", tmp_path / "a"]
    code, _, err = run("train", "digits", *RIDGE, *words)
    assert code == Exit.USAGE and "this release is refused" in err and loads == []


@pytest.mark.parametrize(
    ("command", "words", "cost"),
    [
        ("train", ["--epsilon", "1"], 0.999932),
        ("train", [*RIDGE, "--epsilon", "1"], 1.0),
        ("train", [*TUNE, "--epsilon", "2"], 2.0),
        ("condense", [*MATCHING, "--epsilon", "1"], 1.0),
        ("condense", ["--method", "dp-merf", "--set", "steps=2", "--set", "features=20"], 1.0),
        ("condense", ["--method", "psg", "--ipc", "1", *PSG], 1.0),
    ],
)
def test_what_is_entered_is_what_the_card_claims(run, book, tmp_path, command, words, cost):
    """And never less than that."""
    code, out, err = run(command, "digits", *words, "-o", tmp_path / "r", "--json")
    assert code == Exit.OK, err
    said = json.loads(out)
    ((epsilon, delta),) = costs(book)
    assert epsilon == pytest.approx(cost, abs=1e-4) and delta == 1e-5
    assert said["guarantee"]["epsilon"] <= epsilon + 1e-6
    assert "budget: 1 release, " in err and "budget" not in out
    (entry,) = book.find("digits").entries
    assert entry.state == "done" and entry.output == str(tmp_path / "r")
    for file in (tmp_path / "r").glob("*.json"):
        text = file.read_text(encoding="utf-8")
        sheet = book.find("digits")
        assert not any(mark in text for mark in (sheet.id, entry.id, *sheet.contents))


def test_an_accuracy_is_entered_besides(run, book, tmp_path):
    words = ["--epsilon", "1", "--private-accuracy", "0.1", "-o", tmp_path / "r"]
    assert run("train", "digits", *RIDGE, *words)[0] == Exit.OK
    assert costs(book) == [(1, 1e-5), (0.1, 1e-5)]
    run("budget", "set", "digits", "--epsilon", "2.15")
    code, _, err = run("train", "digits", *RIDGE, *words, "--force")
    assert code == Exit.USAGE and "come to (2.2, 4e-05)" in err


def test_of_a_chain_each_release_is_charged_its_own_share(run, book, tmp_path):
    start = []
    for name in "ab":
        words = [*MATCHING, "--epsilon", "1", *start, "-o", tmp_path / name]
        code, _, err = run("condense", "digits", *words)
        assert code == Exit.OK and "not in the history" not in err
        start = ["--init", f"private:{tmp_path / name}"]
    assert costs(book) == [(1, 1e-5)] * 2


def test_what_a_release_starts_from_and_nobody_entered_is_told(
    run, book, tmp_path, monkeypatch, tmp_path_factory
):
    monkeypatch.setenv("LIMBECK_BUDGETS", str(tmp_path_factory.mktemp("elsewhere")))
    words = [*MATCHING, "--epsilon", "3", "-o", tmp_path / "a"]
    assert run("condense", "digits", *words)[0] == Exit.OK
    monkeypatch.setenv("LIMBECK_BUDGETS", str(book.folder))
    start = ["--epsilon", "1", "--init", f"private:{tmp_path / 'a'}", "-o", tmp_path / "b"]
    code, _, err = run("condense", "digits", *MATCHING, *start)
    assert code == Exit.OK and "not in the history of digits" in err
    assert costs(book) == [(1, 1e-5)]


def test_without_a_guarantee_a_release_is_entered_and_refused_under_a_total(
    run, loads, book, tmp_path
):
    words = ["--method", "random-subset", "--ipc", "1"]
    code, out, err = run("condense", "digits", *words, "-o", tmp_path / "a")
    assert code == Exit.OK, err
    assert "1 release without a guarantee, which nothing bounds" in err
    code, out, _ = run("budget", "set", "digits", "--epsilon", "2")
    assert "the total says nothing of what they tell" in out
    loads.clear()
    code, _, err = run("condense", "digits", *words, "-o", tmp_path / "b")
    assert code == Exit.USAGE and "it has no guarantee" in err and loads == []
    code, out, _ = run("budget", "history", "digits")
    assert "no guarantee" in out


def test_what_reads_no_private_data_is_not_entered(run, book, tmp_path):
    run("budget", "set", "digits", "--epsilon", "2")
    words = ["--method", "noise-images", "--ipc", "1"]
    code, out, err = run("condense", "digits", *words, "-o", tmp_path / "a")
    assert code == Exit.OK, err
    assert book.find("digits").entries == () and "budget" not in out + err


@pytest.mark.parametrize(
    "words", [["nowhere.csv"], ["digits", "--set", "unit=group"], ["digits", "--label", "x"]]
)
def test_what_fails_before_anything_is_answered_costs_nothing(run, book, tmp_path, words):
    asked = [*RIDGE, "--epsilon", "1", "-o", tmp_path / "a"]
    code, _, _ = run("train", *words[:1], *asked, *words[1:])
    if code == Exit.USAGE:
        assert book.sheets() == []
    else:
        assert costs(book) == [(1, 1e-5)]  # digits have no columns, and take no notice


def test_everything_fits_80_columns_and_json_says_the_same(run, book, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    run("budget", "set", "digits", "--epsilon", "3", "--name", "scans")
    for name in "ab":
        words = ["--epsilon", "1", "-o", tmp_path / name]
        run("train", "digits", *RIDGE, *words)
    for words in (["show"], ["show", "digits"], ["show", "scans"], ["history", "digits"]):
        code, out, _ = run("budget", *words)
        assert code == Exit.OK and max(map(len, out.splitlines())) <= 80, out
    _, out, _ = run("budget", "show", "scans")
    exact = epsilon_of(2**0.5 * mu_of(1.0, 1e-5), 1e-4)
    assert f"epsilon {exact:.4g}"[:11] in out and "one release of epsilon 1 at delta 1e-05" in out
    code, out, _ = run("budget", "show", "--json")
    (listed,) = json.loads(out)["datasets"]
    _, out, _ = run("budget", "show", "digits", "--json")
    said = json.loads(out)
    assert said == listed and said["left"] == {"epsilon": 1, "delta": 1e-5}
    assert said["spent"][0]["exact"]["epsilon"] == pytest.approx(exact, rel=1e-9)
    assert said["sources"] == ["digits"] and said["dataset"] == "scans"
    _, out, _ = run("budget", "history", "scans", "--json")
    said = json.loads(out)
    assert [one["state"] for one in said["entries"]] == ["done", "done"]
    assert said["entries"][0]["parts"][0]["mu"] == pytest.approx(mu_of(1.0, 1e-5))
    assert said["totals"][0]["epsilon"] == 3


def test_an_exact_total_admits_what_mu_squared_allows(run, book, tmp_path):
    run("budget", "set", "digits", "--epsilon", "2", "--composition", "exact")
    codes = []
    for number in range(4):
        words = ["--epsilon", "1", "-o", tmp_path / str(number)]
        codes.append(run("train", "digits", *RIDGE, *words)[0])
    assert codes == [Exit.OK] * 3 + [Exit.USAGE]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "digits"], "no release of it was entered"),
        (["history", "nowhere.csv"], "no release of it was entered"),
        (["set", "digits"], "give --epsilon"),
        (["set", "digits", "--delta", "1e-5"], "--epsilon"),
        (["set", "digits", "--epsilon", "0"], "above 0"),
        (["set", "digits", "--epsilon", "2", "--delta", "1"], "between 0 and 1"),
        (["set", "digit", "--epsilon", "2"], "no source, file, folder or dataset"),
        (["set", "digits", "--epsilon", "2", "--name", "mnist"], "another name"),
    ],
)
def test_mistakes_are_one_line(run, book, words, said):
    code, out, err = run("budget", *words)
    assert (code, out) == (Exit.USAGE, "") and err.count("\n") == 1 and said in err
    assert book.sheets() == []


def test_a_damaged_file_stops_every_command(run, loads, book, tmp_path):
    run("budget", "set", "digits", "--epsilon", "2")
    (path,) = book.folder.glob("*.json")
    path.write_text("{")
    for words in (
        ["budget", "show"],
        ["budget", "set", "digits", "--epsilon", "3"],
        ["budget", "history", "digits"],
        ["train", "digits", *RIDGE, "--epsilon", "1", "-o", tmp_path / "a"],
    ):
        code, out, err = run(*words)
        assert (code, out) == (Exit.USAGE, "") and err.count("\n") == 1 and path.name in err
    assert loads == [] and path.read_text() == "{"


def test_people_under_a_total_of_records_are_refused_and_under_their_own_counted(
    run, loads, book, tmp_path
):
    path, draws = tmp_path / "people.npz", np.random.default_rng(0)
    inputs = draws.random((200, 1, 8, 8), np.float32)
    np.savez(path, inputs=inputs, labels=np.arange(200) % 2, groups=np.arange(200) // 4)
    words = ["train", path, *RIDGE, "--epsilon", "1", "-o", tmp_path / "a", "--force"]
    run("budget", "set", path, "--epsilon", "2")
    code, _, err = run(*words)  # whether there are people only the file tells
    assert code == Exit.USAGE and "each group under add-remove" in err
    code, _, err = run(*words, "--adjacency", "replace-one")
    assert code == Exit.USAGE and "do not add up" in err and len(loads) == 1
    run("budget", "set", path, "--epsilon", "2", "--unit", "group")
    codes = [run(*words)[0] for _ in range(3)]
    assert codes == [Exit.OK, Exit.OK, Exit.USAGE] and len(loads) == 3
    assert {part.guarantee.unit for e in book.find(path).entries for part in e.parts} == {"group"}
