"""--classes, and two datasets that differ in the only record of a class, from end to end."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from limbeck.cli.exits import Exit

pytest.importorskip("opacus", reason="private trainers need the extra 'private'")

NAMES = ("a", "b", "hiv")
PAIR = {"with": 41, "without": 40}
VALUES = np.random.default_rng(0).integers(0, 256, (41, 1, 8, 8), dtype=np.uint8)
LABELS = np.array([i % 2 for i in range(40)] + [2])


def npz(folder, records):
    """Images with their classes in the file."""
    path = folder / "clinic.npz"
    np.savez(path, inputs=VALUES[:records], labels=LABELS[:records], classes=np.array(NAMES))
    return [path]


def table(folder, records, listed=NAMES):
    """A CSV of three columns, whose classes are listed on the command line."""
    path = folder / "clinic.csv"
    rows = [f"{NAMES[LABELS[i]]},{','.join(map(str, VALUES[i, 0, 0, :3]))}" for i in range(records)]
    path.write_text("\n".join(["label,p,q,r", *rows]), encoding="utf-8")
    return [path, "--range", "0:255", *([] if listed is None else ["--classes", ",".join(listed)])]


def photos(folder, records):
    """A folder of images by class; that of "hiv" is missing where nobody is in it."""
    for i in range(records):
        where = folder / "clinic" / NAMES[LABELS[i]]
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray(VALUES[i, 0]).save(where / f"{i}.png")
    words = ["--size", "8", "--channels", "1", "--classes", ",".join(NAMES)]
    return [folder / "clinic", *words]


def options(**values):
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


CONDENSE = {
    "private-matching": options(
        ipc=1, network="mlp", width=2, pairs=1, features=6, steps=2, augmented="false"
    ),
    "dp-merf": options(ipc=2, features=10, steps=2, batch=2, width=2),
}
TRAIN = {"dp-sgd": options(epochs=1, network="mlp", width=2), "private-ridge": options(features=5)}


def masked(text):
    """What was printed, without the place and what no reader is promised: times and progress."""
    text = re.sub(r"\S*/(with|without)/", "", text)
    return re.sub(r"(in|took) +(under a second|[\d.]+ s)|, [^,]* left|.*ing clinic: .*\n", "", text)


def both(run, tmp_path, make, words):
    """Exit codes, what was printed and what JSON says, of both runs; the folders they wrote."""
    printed, documents = [], []
    for name, records in PAIR.items():
        folder = tmp_path / name
        folder.mkdir()
        source = make(folder, records)
        for as_json in (False, True):
            where = ["-o", folder / f"out-{as_json}", *(["--json"] if as_json else [])]
            code, out, err = run(words[0], *source, *words[1:], "--epsilon", "1", *where)
            assert code == Exit.OK, err
            if as_json:
                documents.append(json.loads(out))
            else:
                printed.append((masked(out), masked(err)))
    assert printed[0] == printed[1]
    assert documents[0].keys() == documents[1].keys()
    for key in set(documents[0]) - {"release", "seconds"}:
        assert documents[0][key] == documents[1][key], key
    return [tmp_path / name / "out-False" for name in PAIR], printed[0]


@pytest.mark.parametrize("make", [npz, table, photos])
@pytest.mark.parametrize("method", CONDENSE)
def test_releases_of_the_pair_differ_in_noise_alone(run, tmp_path, make, method):
    words = ["condense", "--method", method, *CONDENSE[method]]
    folders, (out, err) = both(run, tmp_path, make, words)
    cards = [json.loads((folder / "card.json").read_text()) for folder in folders]
    for card in cards:
        del card["distribution"][0]["sha256"]
    assert cards[0] == cards[1]
    said = cards[0]["limbeck"]
    assert said["classes"] == list(NAMES)
    assert said["records_per_class"] == [2 if method == "dp-merf" else 1] * 3
    assert said["classes_from"] == ("source" if make is npz else "list")
    assert "read off" not in out + err


@pytest.mark.parametrize("make", [npz, table, photos])
@pytest.mark.parametrize("trainer", TRAIN)
def test_classifiers_of_the_pair_differ_in_noise_alone(run, tmp_path, make, trainer):
    words = ["train", "--trainer", trainer, *TRAIN[trainer]]
    folders, (out, err) = both(run, tmp_path, make, words)
    cards = [json.loads((folder / "model.json").read_text()) for folder in folders]
    for card in cards:
        del card["sha256"]
    assert cards[0] == cards[1]
    assert cards[0]["classes"] == list(NAMES)
    assert cards[0]["classes_from"] == ("source" if make is npz else "list")
    assert "read off" not in out + err
    code, out, err = run("predict", folders[1], *make(tmp_path / "without", 40), "--held-out")
    assert code == Exit.OK, err
    assert "hiv" in out


@pytest.mark.parametrize(
    "words",
    [
        ["condense", "--method", "dp-merf", *CONDENSE["dp-merf"]],
        ["train", "--trainer", "private-ridge", *TRAIN["private-ridge"]],
    ],
    ids=["condense", "train"],
)
def test_a_guarantee_on_classes_read_off_the_data_says_so(run, tmp_path, words):
    source = table(tmp_path, 41, listed=None)
    code, out, err = run(words[0], *source, *words[1:], "--epsilon", "1", "-o", tmp_path / "out")
    assert code == Exit.OK
    assert "a record that is alone in its class is not protected" in out
    assert "list them all beforehand with --classes" in err
    file = tmp_path / "out" / ("card.json" if words[0] == "condense" else "model.json")
    card = json.loads(file.read_text())
    said = card.get("limbeck", card)
    assert said["classes_from"] == "data"
    assert said["in_words"][-1].startswith("the names of the classes were read off the data")
    known = said["deployment"]["unprotected_quantities"]
    assert "names of the classes, which were read off the data" in known
    assert "names of the classes" not in known
    code, out, _ = run(
        words[0], *source, *words[1:], "--epsilon", "1", "-o", tmp_path / "b", "--json"
    )
    assert json.loads(out)["classes_from"] == "data"


def test_a_label_that_is_not_listed_is_left_out_or_an_error(run, tmp_path):
    """With a guarantee an error would say that the record is there: its owner alone is told."""
    printed = {}
    for name, records in PAIR.items():
        (tmp_path / name).mkdir()
        source = table(tmp_path / name, records, listed=("a", "b"))
        where = tmp_path / name / "out"
        words = ["condense", *source, "--method", "dp-merf", *CONDENSE["dp-merf"], "-o", where]
        code, out, err = run(*words, "--epsilon", "1")
        assert code == Exit.OK
        printed[name] = masked(out)
        assert ("1 of 41 records cannot be used" in err) == (name == "with")
        assert json.loads((where / "card.json").read_text())["limbeck"]["classes"] == ["a", "b"]
    assert printed["with"] == printed["without"]
    source = table(tmp_path, 41, listed=("a", "b"))
    evaluated = ["evaluate", tmp_path / "with" / "out", "--private", *source, "--network", "mlp"]
    code, _, err = run(*evaluated, "--networks", "1")
    assert code == Exit.OK, "the data are loaded as for condensing"
    code, _, err = run("copying", tmp_path / "with" / "out", "--private", *source)
    assert code == Exit.OK, err
    for words in (
        ["condense", *source, "--method", "dm", "--ipc", "1", "-o", tmp_path / "dm"],
        ["data", *source],
    ):
        code, out, err = run(*words)
        assert (code, out) == (Exit.USAGE, "")
        assert "label 'hiv' of record 40 is none of the 2 classes ('a', 'b')" in err
        assert err.count("\n") == 1


CHOICES = {
    "condense": ["--method", "dp-merf", "--set", "steps=2", "--tune", "ipc=1,2"],
    "train": ["--trainer", "private-ridge", "--tune", "features=5,6"],
}


@pytest.mark.parametrize("records", [41, 40, 1, 0])
@pytest.mark.parametrize("command", CHOICES)
def test_a_choice_and_a_published_accuracy_are_made_whoever_there_is(
    run, tmp_path, command, records
):
    paid = ["--epsilon", "3", "--tune-runs", "2", "--private-accuracy", "0.5", "--json"]
    words = [command, *npz(tmp_path, records), *CHOICES[command], *paid]
    code, out, err = run(*words, "-o", tmp_path / "out")
    assert code == Exit.OK, err
    found = json.loads(out)
    assert found["private_records"] is None and found["classes_from"] == "source"
    assert 0 <= found["private_accuracy"]["accuracy"]["value"] <= 1


@pytest.mark.parametrize("command", CHOICES)
def test_a_choice_on_classes_read_off_the_data_says_so_once(run, tmp_path, command):
    words = [command, *table(tmp_path, 41, listed=None), *CHOICES[command], "--epsilon", "3"]
    code, _, err = run(*words, "--tune-runs", "2", "-o", tmp_path / "out")
    assert code == Exit.OK, err
    file = tmp_path / "out" / ("card.json" if command == "condense" else "model.json")
    card = json.loads(file.read_text())
    said = card.get("limbeck", card)
    assert said["classes_from"] == "data" and "--classes NAME,NAME" in err
    assert sum("were read off the data" in line for line in said["in_words"]) == 1
    known = said["deployment"]["unprotected_quantities"]
    assert "names of the classes, which were read off the data" in known


def test_without_a_guarantee_an_empty_class_is_an_error_that_names_it(run, tmp_path):
    source = table(tmp_path, 40)
    words = ["condense", *source, "--method", "dm", "--init", "noise", "--ipc", "1"]
    code, out, err = run(*words, "-o", tmp_path / "out")
    assert (code, out) == (Exit.USAGE, "")
    assert "no record of class 'hiv' among" in err and err.count("\n") == 1


def test_names_with_commas_stand_in_quotes_or_in_a_file(run, tmp_path):
    path = tmp_path / "towns.csv"
    rows = [f'"{("New York, NY", "Boston")[i % 2]}",{i}' for i in range(40)]
    path.write_text("\n".join(["label,p", *rows]), encoding="utf-8")
    names = ["Boston", "New York, NY", "Reno"]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    for given in ('Boston,"New York, NY",Reno', f"@{tmp_path / 'names.txt'}"):
        code, out, err = run("data", path, "--range", "0:40", "--classes", given, "--json")
        assert code == Exit.OK, err
        found = json.loads(out)
        assert [row["name"] for row in found["classes"]] == names
        assert found["classes"][2]["private"] == 0 and found["classes_from"] == "list"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a,a", "'a' is listed twice"),
        ("a,,b", "one has no name"),
        ("", "one has no name"),
        ("@missing.txt", "missing.txt cannot be read"),
    ],
)
def test_a_list_that_is_none_is_refused_in_one_line(run, tmp_path, given, message):
    code, out, err = run("data", *table(tmp_path, 40, listed=None), "--classes", given)
    assert (code, out) == (Exit.USAGE, "")
    assert message in err and err.count("\n") == 1


@pytest.mark.parametrize("records", [0, 1])
def test_no_record_or_one_is_served_for_a_guarantee_and_nothing_is_measured_on_none(
    run, tmp_path, records
):
    path = npz(tmp_path, records)
    words = ["condense", *path, "--method", "dp-merf", *CONDENSE["dp-merf"], "--epsilon", "1"]
    code, _, err = run(*words, "-o", tmp_path / "release")
    assert code == Exit.OK, err
    words = ["train", *path, "--trainer", "private-ridge", *TRAIN["private-ridge"]]
    code, _, err = run(*words, "--epsilon", "1", "-o", tmp_path / "model")
    assert code == Exit.OK, err
    release = tmp_path / "release"
    for words in (
        ["evaluate", release, "--private", *path, "--network", "mlp", "--networks", "1"],
        ["predict", tmp_path / "model", *path, "--held-out"],
        ["audit", release, "--private", *path, "--preset", "quick", "-o", tmp_path / "audit"],
        ["copying", release, "--private", *path],
        ["condense", *path, "--method", "dm", "--ipc", "1", "-o", tmp_path / "dm"],
    ):
        code, _, err = run(*words)
        assert code == Exit.USAGE, words
        assert err.startswith("error: ") and err.count("\n") == 1
        assert "defect" not in err and "record" in err
