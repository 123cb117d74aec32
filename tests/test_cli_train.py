"""`limbeck train` and `limbeck predict`."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from limbeck.cli.exits import Exit
from limbeck.privacy.words import doubt_of_delta, in_words
from limbeck.types import Event, Guarantee

pytest.importorskip("opacus", reason="private trainers need the extra 'private'")

QUICK = ["--set", "epochs=1", "--set", "width=4"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from limbeck.cli import main

    folder = tmp_path_factory.mktemp("train") / "model"
    words = ["train", "digits", "--epsilon", "8", "--public-records", "2000", *QUICK]
    assert main([*words, "-o", str(folder)]) == Exit.OK
    return folder


def test_training_states_its_guarantee_in_words_and_on_the_card(run, tmp_path):
    words = ["train", "digits", "--epsilon", "2", "--delta", "0.001", *QUICK]
    code, out, err = run(*words, "--public-records", "1500", "-o", tmp_path / "m")
    assert code == Exit.OK
    assert "0.001)-differential privacy in the central model" in out
    assert "unit of privacy: record" in out and out.count("event: ") == 2
    assert "the claim is about" not in out, "there was no --limit"
    assert "Poisson sample at rate 0.25" in out
    assert "warning: delta 0.001 is not below 1500^-1.1 = 0.00032" in err
    card = json.loads((tmp_path / "m" / "model.json").read_text())
    assert 1.9 < card["guarantee"]["epsilon"] <= 2 and len(card["ledger"]) == 2
    assert set(card["privacy_libraries"]) == {"dp-accounting"}
    assert "exactly, from the operating system's entropy" in card["noise"]
    assert '"seed"' not in json.dumps(card)


def test_replace_one_needs_more_noise(run, model, tmp_path):
    words = ["train", "digits", "--epsilon", "8", "--adjacency", "replace-one", *QUICK, "--json"]
    code, out, _ = run(*words, "-o", tmp_path / "m")
    made = json.loads(out)
    assert code == Exit.OK and made["guarantee"]["adjacency"] == "replace-one"
    before = json.loads((model / "model.json").read_text())
    assert made["ledger"][1]["noise_scale"] > 1.5 * before["ledger"][1]["noise_scale"]


def test_a_trainer_without_private_form_is_refused_and_those_with_one_are_named(run, tmp_path):
    for words in (["--epsilon", "1"], ["--delta", "1e-6"], ["--adjacency", "add-remove"]):
        code, out, err = run(
            "train", "digits", "--trainer", "standard", *words, "-o", tmp_path / "m"
        )
        assert (code, out) == (Exit.USAGE, "")
        assert "standard has no form with a formal guarantee" in err and "dp-sgd" in err
    assert not (tmp_path / "m").exists()


def test_an_ordinary_classifier_promises_nothing(run, tmp_path):
    words = ["train", "digits", "--trainer", "standard", "--set", "network=linear"]
    code, out, _ = run(*words, "--set", "steps=5", "-o", tmp_path / "m")
    assert code == Exit.OK and "guarantee  none" in out
    assert json.loads((tmp_path / "m" / "model.json").read_text())["guarantee"] is None


def test_predictions_print_their_accuracy_and_are_written(run, model, tmp_path):
    found = {}
    for name in ("p.npz", "p.csv", "p.json"):
        code, out, _ = run("predict", model, "digits", "-o", tmp_path / name)
        assert code == Exit.OK and "accuracy" in out and "differential privacy" in out
    with np.load(tmp_path / "p.npz", allow_pickle=False) as arrays:
        found["npz"] = [str(arrays["classes"][k]) for k in arrays["predictions"]]
        assert (arrays["logits"].argmax(1) == arrays["predictions"]).all()
    with (tmp_path / "p.csv").open() as file:
        found["csv"] = [row["prediction"] for row in csv.DictReader(file)]
    found["json"] = json.loads((tmp_path / "p.json").read_text())["predictions"]
    assert found["npz"] == found["csv"] == found["json"] and len(found["npz"]) > 300
    code, out, _ = run("predict", model, "digits", "--json")
    said = json.loads(out)
    from limbeck.data import read

    truth = read("digits")
    hits = np.mean([p == truth.classes[k] for p, k in zip(found["csv"], truth.labels, strict=True)])
    assert said["accuracy"] == pytest.approx(hits) and sum(said["predicted"].values()) == len(truth)


def test_data_without_labels_are_classified_and_labels_of_other_order_understood(
    run, model, tmp_path
):
    from limbeck.data import read

    some = read("digits").select(range(6))
    np.savez(tmp_path / "bare.npz", inputs=some.inputs.numpy())
    (tmp_path / "flat").mkdir()
    for i, image in enumerate(some.inputs[:, 0]):
        pixels = (image * 255).round().byte().numpy()
        Image.fromarray(pixels).save(tmp_path / "flat" / f"{i}.png")
    answers = []
    for source in ("bare.npz", "flat"):
        code, out, _ = run("predict", model, tmp_path / source, "-o", tmp_path / f"{source}.json")
        assert code == Exit.OK and "accuracy" not in out
        answers.append(json.loads((tmp_path / f"{source}.json").read_text())["predictions"])
    assert answers[0] == answers[1]
    # The same classes, numbered the other way round.
    turned = tuple(reversed(some.classes))
    np.savez(
        tmp_path / "turned.npz",
        inputs=some.inputs.numpy(),
        labels=9 - some.labels.numpy(),
        classes=np.array(turned),
    )
    said = [
        json.loads(run("predict", model, path, "--json")[1])["accuracy"]
        for path in (tmp_path / "turned.npz",)
    ]
    hits = np.mean([a == some.classes[k] for a, k in zip(answers[0], some.labels, strict=True)])
    assert said == [pytest.approx(hits)]


def test_of_a_file_the_part_that_was_kept_out_can_be_asked_for(run, tmp_path):
    from limbeck.data import load

    path = tmp_path / "patients.npz"
    draws = np.random.default_rng(0)
    np.savez(path, inputs=draws.random((300, 6), np.float32), labels=np.arange(300) % 2)
    options = ["--test-share", "0.3", "--split-seed", "4"]
    words = ["train", path, "--trainer", "standard", "--set", "network=mlp", "--set", "steps=3"]
    code, out, err = run(*words, *options, "-o", tmp_path / "m", "--json")
    assert code == Exit.OK, err
    private, test = load(path, test_share=0.3, seed=4)
    assert json.loads(out)["private_records"] == len(private)
    _, shown, _ = run(*words, *options, "-o", tmp_path / "n")
    assert "--held-out --test-share 0.3 --split-seed 4" in " ".join(shown.split())
    counts = [
        json.loads(run("predict", tmp_path / "m", path, *extra, *options, "--json")[1])["records"]
        for extra in ([], ["--held-out"])
    ]
    assert counts == [300, len(test)] and len(private) + len(test) == 300
    # Another split would pass records off as kept out that the classifier was trained on.
    for extra, said in (
        ([], "trained with --test-share 0.3 and with --split-seed 4; give the same"),
        (options[:2], "was trained with --split-seed 4;"),
        ([*options, "--group", "person"], "was trained without --group;"),
        ([*options, "--range", "0:2"], "was trained without --range;"),
        ([*options, "--label", "sick"], "was trained without --label;"),
    ):
        code, out, err = run("predict", tmp_path / "m", path, "--held-out", *extra)
        assert (code, out) == (Exit.USAGE, "") and said in err and err.count("\n") == 1
    card = tmp_path / "m" / "model.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "split": None}))
    code, out, err = run("predict", tmp_path / "m", path, "--held-out", *options)
    assert (code, out) == (Exit.USAGE, "") and "does not say how the data were split" in err


def test_a_likely_exception_is_said_to_be_one():
    said = [" ".join(in_words(Guarantee(1.0, d, "add-remove"))) for d in (1e-2, 1e-3, 9e-4)]
    assert ["published outright" in words for words in said] == [True, True, False]
    assert "a delta of 0.01 would let any one record" in said[0]


def test_what_cannot_be_predicted_is_refused_in_one_line(run, model, tmp_path):
    inputs = np.zeros((2, 1, 5, 5), dtype=np.float32)
    np.savez(tmp_path / "small.npz", inputs=inputs)
    shaped = np.zeros((2, 1, 8, 8), dtype=np.float32)
    np.savez(tmp_path / "strange.npz", inputs=shaped, labels=np.array(["x", "y"]))
    (tmp_path / "there.csv").write_text("")
    for words, said in (
        ([model, tmp_path / "small.npz"], r"shape (1, 5, 5)"),
        ([model, tmp_path / "strange.npz"], "class 'x' is not among the 10"),
        ([tmp_path, "digits"], "holds no model.json"),
        ([model, "digits", "-o", "p.txt"], "ends in .npz, .csv, .json"),
        ([model, "digits", "-o", tmp_path / "there.csv"], "exists already"),
    ):
        code, out, err = run("predict", *words)
        assert (code, out) == (Exit.USAGE, "")
        assert err.startswith("error: ") and err.count("\n") == 1 and said in err


def test_condensing_with_a_guarantee_says_it_in_words_and_on_the_card(run, tmp_path):
    quick = ["--ipc", "1", "--set", "steps=2", "--set", "features=20", "--public-records", "2000"]
    words = ["condense", "digits", "--method", "dp-merf", "--epsilon", "2", "--delta", "1e-6"]
    code, out, err = run(*words, *quick, "-o", tmp_path / "r")
    assert code == Exit.OK and "warning" not in err, "1e-6 is below 2000^-1.1"
    assert "(2, 1e-06)-differential privacy in the central model" in out
    assert "event: mean embeddings: discrete Gaussian" in out
    card = json.loads((tmp_path / "r" / "card.json").read_text())["limbeck"]
    assert card["guarantee"]["delta"] == 1e-6 and len(card["ledger"]) == 1
    assert "dp-accounting" in card["privacy_libraries"] and card["holds_real_records"] is False

    code, out, err = run(
        "condense", "digits", "--method", "dc", "--epsilon", "1", "-o", tmp_path / "x"
    )
    assert (code, out) == (Exit.USAGE, "")
    assert all(name in err for name in ("dm,", "dp-kip", "dp-merf", "psg"))


def test_a_bound_on_the_records_alone_asks_for_no_guarantee(run, tmp_path):
    words = ["condense", "digits", "--method", "dm", "--public-records", "10"]
    code, out, err = run(*words, "-o", tmp_path / "x")
    assert (code, out) == (Exit.USAGE, "") and not (tmp_path / "x").exists()
    assert "unless --epsilon asks for one" in err and err.count("\n") == 1


def test_words_of_guarantees():
    events = (Event("sums", "discrete Gaussian", 2.0, 8.0), Event("g", "x", 1.0, 3.0, 60, 0.25))
    lines = in_words(Guarantee(3.0, 1e-5, "replace-one", "group", events, mu=0.7))
    assert lines[0].startswith("(3, 1e-05)-differential privacy")
    assert "unit of privacy: group" in lines[1] and "any one group" in lines[1]
    assert "0.7-GDP" in lines[2]
    assert lines[3] == "event: sums: discrete Gaussian of noise 4 times the sensitivity"
    assert "60 times" in lines[4] and "rate 0.25" in lines[4] and len(lines) == 5
    assert "next to nothing" in in_words(Guarantee(1e6, 1e-5))[-1]


@pytest.mark.parametrize(("records", "doubted"), [(30_000, False), (40_000, True)])
def test_delta_is_held_against_a_public_bound(records, doubted):
    # 1e-5 = n^-1.1 at n = 10^(5 / 1.1), about 35,112.
    assert (doubt_of_delta(1e-5, records) is not None) == doubted
