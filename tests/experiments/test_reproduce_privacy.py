"""dong2022 and zhao2025 at a tiny scale: all tasks, all claims, and that these can fail."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from limbeck.errors import DatasetError
from limbeck.experiments import dong2022, zhao2025
from limbeck.experiments.removal import Grid
from limbeck.experiments.study import Conclusion, Found, execute
from limbeck.experiments.zhao2025_claims import (
    CORESETS,
    DM_NOISE,
    DM_REAL,
    OUTLYING,
    RANDOM,
    UNDEFENDED,
    canaries_kept,
)

pytestmark = pytest.mark.usefixtures("whole_audits")

DM = {"width": 4, "steps": 2, "pairs": 2, "network": "convnet1", "learning_rate": 0.01}
LINEAR = {"network": "linear", "steps": 5}
CRITICS = {"warmup": 1, "critic_steps": 1, "critic_batch": 2, "critic_width": 4}
PRIVATE = {"network": "linear", "epochs": 1.0, "rate": 0.5, "multiplier": 1.0}
DONG = dong2022.Size(
    records=300,
    runs=2,
    utility_runs=2,
    ipc=2,
    generated=2,
    options={
        "dm": DM,
        "dsa": {"network": "linear", "networks": 1, "outer": 1, "inner": 0},
        "kip": {"steps": 2, "batch": 20},
        "cgan": {"steps": 2, "batch": 4, "width": 4, "network_width": 8},
        "gs-wgan": {**CRITICS, "shards": 2, "steps": 2, "batch": 2, "width": 4},
        "dp-merf": {"features": 20, "steps": 2, "batch": 2, "width": 4},
        "dp-sinkhorn": {"rate": 0.5, "steps": 2, "batch": 2, "width": 4},
    },
    trainer=LINEAR,
    dp_sgd=PRIVATE,
    grid=Grid((40, 80, 160), (1, 2), 2, 5),
    repeats=3,
    ordinary=20,
    chunk=5,
)
ZHAO = zhao2025.Size(
    records=300,
    runs=3,
    utility_runs=2,
    canaries=15,
    ipc=2,
    share=0.4,
    options={
        "dm": DM,
        "mtt": {
            "network": "linear",
            "steps": 1,
            "expert_count": 1,
            "student_steps": 1,
            "batch": 4,
            "latest_start": 0,
            "learning_rate": 0.01,
        },
        "diffusion": {"steps": 2, "batch": 4, "width": 4, "jumps": 2},
        "forgetting": {"networks": 1, "epochs": 2, "width": 4},
        "el2n": {"networks": 1, "epochs": 1, "width": 4},
        "grand": {"networks": 1, "epochs": 1, "width": 4},
        "data-free-distillation": {"steps": 2, "batch": 4, "width": 4, "statistics": 0.0},
    },
    trainer=LINEAR,
    coreset_trainer={**LINEAR, "recipe": "full"},
    dp_sgd=PRIVATE,
    chunk=6,
)


@pytest.fixture(scope="module")
def dong(tmp_path_factory: pytest.TempPathFactory) -> tuple[dong2022.Dong2022, Found]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dong2022, "LAPTOP", DONG)
        study = dong2022.study("laptop", data="digits")
    found = execute(study, tmp_path_factory.mktemp("dong"))
    return study, found


@pytest.fixture(scope="module")
def zhao(tmp_path_factory: pytest.TempPathFactory) -> tuple[zhao2025.Zhao2025, Found]:
    cache = tmp_path_factory.mktemp("cache")
    other_images(cache / "mnist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMBECK_DATA", str(cache))
        patch.setattr(zhao2025, "LAPTOP", ZHAO)
        study = zhao2025.study("laptop", data="digits")
    return study, execute(study, tmp_path_factory.mktemp("zhao"))


def other_images(folder: Path) -> None:
    """Public images that are not the digits, in the files of MNIST."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part in ("train", "t10k"):
        arrays = {
            "images-idx3": rng.integers(0, 256, (40, 28, 28)),
            "labels-idx1": np.arange(40) % 10,
        }
        for name, array in arrays.items():
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (folder / f"{part}-{name}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())


def test_zhao_names_the_next_step_where_no_other_images_are_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zhao2025, "available", lambda: [])
    with pytest.raises(DatasetError, match="limbeck data fashion-mnist"):
        zhao2025.study("laptop", data="digits")


def complete(conclusion: Conclusion, names: set[str]) -> None:
    for claim in conclusion.claims:
        assert any(m.decides for m in claim.measured), claim.words
        assert all(np.isfinite(m.estimate.value) for m in claim.measured if m.decides), claim.words
    assert all(len(r) == len(t.columns) for t in conclusion.tables for r in t.rows)
    assert {row[0] for row in conclusion.tables[0].rows} == names


def test_dong_has_a_figure_for_every_claim_and_no_epsilon_for_the_effect_of_a_record(
    dong: tuple[dong2022.Dong2022, Found],
) -> None:
    study, found = dong
    conclusion = study.conclude(found)
    complete(conclusion, set(study.bench.entries))
    of_removal = [c for c in conclusion.claims if "exponent" in c.measured[0].what]
    assert len(of_removal) == 4
    said = " ".join(c.words + " ".join(map(str, c.measured)) for c in of_removal)
    assert "epsilon" not in said.lower()
    [effect] = [c for c in of_removal if c.words.startswith("Removing one of n records moves con")]
    assert effect.verdict != "disagrees"


def made_up(study: dong2022.Dong2022, *, leak: float) -> Found:
    """What runs would leave if every condenser gave all members away, or none of them."""
    draws, bench = np.random.default_rng(0), study.bench
    rows, asked = len(bench.made.membership), len(bench.made.groups)
    member = np.zeros((rows, asked))
    member[:, : len(bench.made.observed)] = bench.made.membership[:, bench.made.observed]
    found = {}
    for name in bench.entries:
        shift = leak * member if name in dong2022.CONDENSERS else 0 * member
        signals = shift[:, None, None, :] + draws.normal(size=(rows, 1, 3, asked))
        found[name] = {
            "signals": signals.astype(np.float32),
            "accuracy": 0.8 + 0.01 * draws.random(rows),
            "explicit": 1 + 0.01 * draws.random((rows, 2)),
            "closer": 0.01 * draws.random((rows, 2)),
            "cpu_seconds": 1 + draws.random(rows),
        }
    names = [f"{what} by {by}" for what in ("images", "start", "weights", "losses") for by in "nm"]
    points = {"n": study.grid.sizes, "m": study.grid.ipcs}
    effects = {n: np.outer(np.ones(3), 1 / np.array(points[n[-1]], dtype=float)) for n in names}
    return {**found, dong2022.REMOVAL: effects}


@pytest.mark.parametrize(("leak", "verdict"), [(0.0, "agrees"), (6.0, "disagrees")])
def test_dong_agrees_where_nothing_leaks_and_disagrees_where_all_does(
    leak: float, verdict: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dong2022, "LAPTOP", replace(DONG, records=1000, runs=48, ordinary=450))
        study = dong2022.study("laptop", data="digits")
    claims = study.conclude(made_up(study, leak=leak)).claims
    verdicts = {claim.words: claim.verdict for claim in claims}
    assert verdicts["The loss does not tell members of condensed data from others."] == verdict
    assert verdicts["LiRA does not tell members of condensed data from others."] == verdict


def test_zhao_has_a_figure_for_every_claim(zhao: tuple[zhao2025.Zhao2025, Found]) -> None:
    study, found = zhao
    complete(study.conclude(found), set(study.bench.entries))
    kept = canaries_kept(study.bench, found[RANDOM])
    assert kept.sum() > 0 and not (kept & ~study.bench.inside).any()
    # A coreset of so large a share of each class draws its canaries with about that chance.
    assert 0.15 < kept.sum() / study.bench.inside.sum() < 0.85
    assert not canaries_kept(study.bench, found[DM_NOISE]).any()
    assert not canaries_kept(study.bench, found[UNDEFENDED]).any()


def test_what_every_coreset_keeps_is_shown_and_judged(
    zhao: tuple[zhao2025.Zhao2025, Found],
) -> None:
    study, found = zhao
    conclusion = study.conclude(found)
    [table] = conclusion.tables
    at = table.columns.index("canaries kept as they are")
    printed = {row[0]: row[at] for row in table.rows}
    inside = study.bench.inside
    for name in CORESETS:
        kept = canaries_kept(study.bench, found[name])
        assert not (kept & ~inside).any()
        assert printed[name].startswith(f"{100 * kept.sum() / inside.sum():.1f}%"), name
    [claim] = [c for c in conclusion.claims if c.words.startswith("So does selection")]
    for name in OUTLYING:
        [measured] = [m for m in claim.measured if m.what.startswith(f"canaries kept, {name} ")]
        more = (
            canaries_kept(study.bench, found[name]).sum()
            - canaries_kept(study.bench, found[RANDOM]).sum()
        )
        assert measured.estimate.value == pytest.approx(more / inside.sum())


def test_canaries_in_the_start_are_told_from_those_only_trained_on(
    zhao: tuple[zhao2025.Zhao2025, Found],
) -> None:
    study, _ = zhao
    forced, trained = study.bench.arms(DM_REAL)
    assert forced.any() and trained.any() and not (forced & trained).any()
    np.testing.assert_array_equal(forced | trained, study.bench.inside)


def test_both_scales_of_both_papers_are_stated() -> None:
    assert dong2022.GPU.records is None and zhao2025.GPU.canaries == 500
    assert zhao2025.GPU.runs == 32 and dong2022.LAPTOP.grid.sizes[-1] <= 1_300
    assert replace(dong2022.LAPTOP, runs=4).options["dm"]["width"] == 16
