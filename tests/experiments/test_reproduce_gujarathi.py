"""gujarathi2022 at a third, tiny scale: the whole command, its page, and going on after a stop."""

import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from limbeck.cli import main
from limbeck.cli.exits import Exit
from limbeck.experiments import gujarathi2022, reproduce
from limbeck.experiments.both_attacks import Answers, called_members
from limbeck.experiments.claims import Claim
from limbeck.experiments.claims_page import page

pytestmark = pytest.mark.usefixtures("whole_audits")

Run = Callable[..., tuple[int, str, str]]
TINY = gujarathi2022.Size(
    records=200,
    pixels=None,
    shadows=3,
    runs=5,
    epochs=2,
    small_epochs=2,
    width=4,
    dc={"networks": 1, "outer": 2, "inner": 1, "width": 4},
    rows_per_class=15,
    ipcs=(1,),
    chunk=3,
)
WORDS = ["reproduce", "gujarathi2022", "--data", "digits", "--workers", "1"]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A finished run: its folder, and what it printed on both streams."""
    folder = tmp_path_factory.mktemp("reproduce") / "out"
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(gujarathi2022, "LAPTOP", TINY)
        assert main([*WORDS, "-o", str(folder)]) == Exit.OK
    return folder, out.getvalue(), err.getvalue()


@pytest.fixture
def done(printed: tuple[Path, str, str]) -> Path:
    return printed[0]


def test_claims_are_kept_with_verdicts_that_their_intervals_bear(done: Path) -> None:
    found = json.loads((done / "claims.json").read_text())
    assert found["paper"]["key"] == "gujarathi2022" and len(found["claims"]) >= 7
    assert "in place of the paper's MNIST" in found["remarks"][0]
    for claim in found["claims"]:
        alone = []
        for one in claim["measured"]:
            low, high = one["estimate"]["low"], one["estimate"]["high"]
            lowest = -np.inf if one["lowest"] is None else one["lowest"]
            highest = np.inf if one["highest"] is None else one["highest"]
            assert low is None or low <= one["estimate"]["value"] <= high
            inside = low is not None and lowest <= low and high <= highest
            outside = low is not None and (high < lowest or low > highest)
            alone.append("agrees" if inside else "disagrees" if outside else "can't tell")
        verdict = "agrees" if set(alone) == {"agrees"} else "can't tell"
        assert claim["verdict"] == ("disagrees" if "disagrees" in alone else verdict)
    [table] = found["tables"]
    assert [row[0] for row in table["rows"]] == [
        "all of the data",
        "a random subset, 1 per class",
        "DC, 1 per class",
    ]


def test_the_cost_comes_first_and_each_claim_is_printed_with_what_was_published(
    printed: tuple[Path, str, str],
) -> None:
    folder, out, err = printed
    assert err.index("in place of the paper's MNIST") < err.index("cost: about") < err.index("100%")
    assert "recall on the original network 79.58%" in out
    for claim in json.loads((folder / "claims.json").read_text())["claims"]:
        assert claim["claim"] in out and f"verdict    {claim['verdict']}" in out


def test_other_options_in_the_same_folder_are_refused(
    run: Run, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gujarathi2022, "LAPTOP", replace(TINY, epochs=3))
    code, _, err = run(*WORDS, "-o", done)
    assert code == Exit.USAGE and "choose another folder" in err.splitlines()[-1]


def test_both_scales_are_known_and_other_papers_refused(run: Run, tmp_path: Path) -> None:
    assert gujarathi2022.GPU.records is None and gujarathi2022.GPU.shadows == 10
    for words in (["nobody1999"], ["gujarathi2022", "--data", "nowhere"]):
        code, out, err = run("reproduce", *words, "-o", tmp_path / "x")
        assert (code, out) == (Exit.USAGE, "") and err.startswith("error: ")
    assert not (tmp_path / "x").exists()


def test_the_page_escapes_and_asks_nothing_of_the_network(done: Path) -> None:
    html = (done / "claims.html").read_text()
    assert len(html) < 3_000_000
    assert not re.search(r"""(?:src|href)\s*=|url\(|@import|<script""", html)
    kept = json.loads((done / "claims.json").read_text())
    hostile = "<script>alert(1)</script>"
    made = reproduce.Reproduction(
        replace(reproduce.published.paper("gujarathi2022"), title=hostile),
        "laptop",
        (hostile,),
        (Claim(hostile, hostile, (), hostile, hostile),),
        (reproduce.Table(hostile, (hostile,), ((hostile,),)),),
        {hostile: 1.0},
        kept["machine"],
    )
    assert "<script>" not in page(made) and "&lt;script&gt;" in page(made)


def test_one_attack_judges_each_target_by_its_own_answers() -> None:
    """Networks that are certain of members alone are seen through; those that are not are not."""
    draws = np.random.default_rng(0)
    labels = np.arange(40) % 2

    def answers(runs: int, leak: float) -> Answers:
        inside = draws.random((runs, 40)) < 0.5
        margin = 1 + leak * inside + 0.1 * draws.standard_normal((runs, 40))
        logits = np.stack([margin * (labels == c) for c in range(2)], 2)
        return Answers(logits.astype(np.float32), labels, inside)

    targets = {"leaks": answers(4, 3.0), "does not": answers(6, 0.0)}
    called = called_members(answers(5, 3.0), targets, rows_per_class=None, seed=0)
    assert {name: c.shape for name, c in called.items()} == {"leaks": (4, 40), "does not": (6, 40)}
    assert (called["leaks"] == targets["leaks"].inside).mean() > 0.95
    assert not called["does not"].any()
