"""The page of a comparison, on numbers made by hand: every mechanism is where it belongs."""

import re
from typing import Any

import pytest

from limbeck.audit.evidence import Estimate, Operating
from limbeck.experiments import figures
from limbeck.experiments.comparison import (
    Comparison,
    Copies,
    Cost,
    Leak,
    Match,
    Row,
    Tried,
    summed_up,
)
from limbeck.experiments.page import page, sortable

HOSTILE = '<script>alert("1")</script>'


def estimate(value: float, half: float) -> Estimate:
    return Estimate(value=value, low=max(0, value - half), high=min(1, value + half), trials=4)


def leak(value: float, attack: str, signal: str) -> Leak:
    point = Operating(
        nominal_fpr=0.1,
        tpr=estimate(value, 0.03),
        realised_fpr=estimate(0.1, 0.01),
        false_positives=57,
        negatives=568,
        resolvable=True,
    )
    auc = estimate((1 + value) / 2, 0.02)
    return Leak(attack=attack, signal=signal, auc=auc, p_value=0.01, operating=point)


def row(name: str, role: str, accuracy: float, named: float, seconds: float, **more: Any) -> Row:
    images = None if role in ("full-data", "dp-sgd") else leak(named / 2, "lira", "nearest-l2")
    values = {
        "name": name,
        "role": role,
        "recipe": {"method": "pipeline", "options": {}},
        "folder": f"mechanisms/{len(name)}-{role}",
        "holds_real_records": role == "random-subset",
        "runs": 16,
        "utility": estimate(accuracy, 0.02),
        "model": leak(named, "lira", "margin"),
        "images": images,
        "strongest": leak(named, "lira", "margin"),
        "copies": () if images is None else (COPIES,),
        "guarantee": None,
        "refuted": None,
        "epsilon_lower": Estimate(value=0.0, trials=500),
        "delta": 1e-5,
        "outcome": "unclear",
        "cautions": ("A false-positive rate of 1% rests on too few.",),
        "cost": Cost(release_seconds=seconds, audit_seconds=40 * seconds, peak_mib=512.0),
    }
    return Row(**{**values, **more})


COPIES = Copies(measure="l2", closer=estimate(0.8, 0.08), expected=0.79)
PROVEN = {"epsilon": 10.0, "delta": 1e-5, "adjacency": "add-remove", "unit": "record", "events": []}
ROWS = [
    row(HOSTILE, "given", 0.62, 0.11, 4.0),
    row("dm, noise", "given", 0.88, 0.14, 1.7),
    row("kip", "given", 0.86, 0.33, 6.0),
    row("random subset, 10 per class", "random-subset", 0.84, 0.35, 0.4),
    row("full data", "full-data", 0.97, 0.92, 2.4),
    row("dp-merf", "dp-synthesizer", 0.55, 0.1, 8.0, guarantee=PROVEN, refuted=False),
]


@pytest.fixture(scope="module")
def found() -> Comparison:
    rows, dominance = summed_up(ROWS, 0.1, 10)
    return Comparison(
        plan_hash="ab" * 32,
        plan={"seed": 0, "preset": {"runs": 16}},
        dataset={"name": "digits", "records": 1437},
        fpr=0.1,
        dominance=dominance,
        rows=rows,
        match=Match(
            reference="dm, noise",
            wanted=estimate(0.88, 0.02),
            tried=(Tried(epsilon=1.0, utility=estimate(0.6, 0.05)),),
            chosen=None,
        ),
        notes=("Company that could not be added: something.",),
        machine="2 CPU cores",
        versions={"limbeck": "0.1.0"},
    )


@pytest.fixture(scope="module")
def text(found: Comparison) -> str:
    return page(found)


def test_the_front_and_the_sentence(found: Comparison) -> None:
    assert [r.name for r in found.rows if r.on_front] == [
        HOSTILE,
        "dm, noise",
        "full data",
        "dp-merf",
    ]
    assert found.dominance.startswith("At 10% false alarms dm, noise dominates at an accuracy of")


def test_each_mechanism_has_a_row_that_can_be_sorted(found: Comparison, text: str) -> None:
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    lines = body.split("<tr")[1:]
    assert len(lines) == len(found.rows) + 1, "and one for DP-SGD, which is unmatched"
    columns = text[: text.index("<tbody>")].count('<th scope="col"')
    for line in lines:
        assert len(re.findall(r"<t[dh][ >]", line)) == columns
    keys = [re.findall(r'data-key="([^"]*)"', line)[:2] for line in lines]
    assert keys[1] == ["0.88", "0.14"] and keys[4] == ["0.97", "0.92"] and keys[-1] == ["", ""]
    assert "unmatched" in lines[-1] and "the runs do not refute it" in lines[5]


def test_names_are_text_and_nothing_else(text: str) -> None:
    assert text.count("<script>") == 1 and text.count("</script>") == 1
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;" in text
    assert text.count("<img") == 2


def test_a_caution_is_said_once_with_all_it_is_about(found: Comparison, text: str) -> None:
    [caution] = {c for r in found.rows for c in r.cautions}
    assert text.count(caution) == 1
    said = text[text.index(caution) :].split("</p>")[0]
    assert all(r.name in said for r in found.rows[1:])


def test_the_same_comparison_gives_the_same_bytes(found: Comparison, text: str) -> None:
    assert page(found) == text
    assert page(Comparison.model_validate_json(found.model_dump_json())) == text


@pytest.mark.parametrize(
    ("value", "key"), [(None, ""), (float("nan"), ""), (2.5, "2.5"), (estimate(0.25, 0.1), "0.25")]
)
def test_what_is_unknown_has_no_key(value: Any, key: str) -> None:
    assert sortable(value) == key


def test_what_cannot_be_drawn_is_not() -> None:
    unknown = Estimate(value=float("nan"))
    mark = figures.Mark(1, False, estimate(0.9, 0.1), unknown)
    assert figures.utility([mark], [], 0.1) is None and figures.cost([mark], [], 0.1) is None
    drawn = figures.utility(
        [figures.Mark(7, False, estimate(0.9, 0.1), estimate(0.2, 0.1))], [], 0.1
    )
    assert drawn is not None and ">7</text>" in drawn and ">1</text>" not in drawn
