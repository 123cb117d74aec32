"""``limbeck evaluate``: networks, trainers, comparison and label kinds, as JSON and as tables."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from limbeck.cli.exits import Exit
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset

Run = Callable[..., tuple[int, str, str]]
FAST = ("--set", "steps=3", "--networks", "2")


@pytest.fixture(scope="module")
def releases(
    digits: tuple[LabeledDataset, LabeledDataset], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    private, _ = digits
    at = torch.cat([(private.labels == c).nonzero()[:3, 0] for c in range(10)])
    labels = private.labels[at]
    soft = torch.eye(10)[labels] * 0.9 + 0.01
    folder = tmp_path_factory.mktemp("releases")
    made = {}
    for kind, soft_labels in (("hard", None), ("soft", soft)):
        release = SyntheticDataset(
            private.inputs[at], labels, private.classes, soft_labels=soft_labels, name=kind
        )
        made[kind] = release.save(folder / kind)
    return made


def test_one_network_keeps_its_document(run: Run, releases: dict[str, Path]) -> None:
    code, out, _ = run(
        "evaluate", releases["hard"], "--test", "digits", "--network", "mlp", *FAST, "--json"
    )
    assert code == Exit.OK
    document = json.loads(out)
    assert document["release"] == str(releases["hard"])
    assert (document["network"], document["recipe"], document["labels"]) == (
        "mlp",
        "search",
        "hard",
    )
    assert document["accuracy"]["trials"] == 2
    assert document["test_records"] > 100 and document["seconds"] > 0
    [row] = document["architectures"]
    assert row["accuracy"] == document["accuracy"]
    assert row["trainer"]["options"]["steps"] == 3


def test_several_networks_are_rows_of_a_table(run: Run, releases: dict[str, Path]) -> None:
    words = ("--network", "linear", "--network", "mlp", "--recipe", "confirm", *FAST)
    code, out, _ = run("evaluate", releases["hard"], "--private", "digits", *words)
    assert code == Exit.OK
    lines = out.splitlines()
    assert lines[0].split() == ["network", "labels", "accuracy"]
    assert [line.split()[0] for line in lines[1:3]] == ["linear", "mlp"]
    assert "recipe confirm" in out


def test_comparison_with_another_trainer(run: Run, releases: dict[str, Path]) -> None:
    words = ("--private", "digits", "--compare", "--trainer", "kernel-ridge", "--set", "depth=1")
    code, out, _ = run("evaluate", releases["hard"], *words, "--json")
    assert code == Exit.OK
    document = json.loads(out)
    [row] = document["architectures"]
    assert row["trainer"] == {"method": "kernel-ridge", "options": {"depth": 1, "ridge": 1e-4}}
    assert document["recipe"] is None
    gain = row["accuracy"]["value"] - row["random_subset"]["value"]
    assert row["improvement"]["value"] == pytest.approx(gain)
    share = row["accuracy"]["value"] / row["full_data"]["value"]
    assert row["recovered"]["value"] == pytest.approx(share)
    assert row["full_data"]["value"] > 0.95

    code, out, _ = run("evaluate", releases["hard"], *words)
    assert code == Exit.OK
    for column in ("random", "improvement", "full data", "recovered"):
        assert column in out


def test_soft_labels_are_a_row_of_their_own(run: Run, releases: dict[str, Path]) -> None:
    words = ("--test", "digits", "--trainer", "mlp", *FAST, "--json")
    document = json.loads(run("evaluate", releases["soft"], *words)[1])
    assert [row["labels"] for row in document["architectures"]] == ["hard", "soft"]
    assert document["labels"] == "soft"
    assert document["accuracy"] == document["architectures"][1]["accuracy"]
    document = json.loads(run("evaluate", releases["soft"], *words, "--hard-labels")[1])
    assert [row["labels"] for row in document["architectures"]] == ["hard"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--test", "digits", "--private", "digits"], "not both"),
        (["--test", "digits", "--compare"], "--compare needs --private"),
        (["--test", "digits", "--network", "resnet50"], "no network is called 'resnet50'"),
        (
            ["--test", "digits", "--trainer", "mlp", "--network", "mlp"],
            "there are: dp-sgd, kernel-ridge",
        ),
        (["--test", "digits", "--trainer", "kernel-ridge", "--network", "mlp"], "no such option"),
        (["--test", "digits", "--trainer", "kernel-ridge", "--recipe", "search"], "no such option"),
        (["--test", "digits", "--recipe", "search", "--set", "recipe=full"], "one of them"),
        (["--test", "digits", "--set", "depth=3"], "depth"),
    ],
)
def test_bad_usage_is_one_line(
    run: Run, releases: dict[str, Path], words: list[str], said: str
) -> None:
    code, out, err = run("evaluate", releases["hard"], *words)
    assert (code, out) == (Exit.USAGE, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert said in err
