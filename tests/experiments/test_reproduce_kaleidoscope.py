"""kaleidoscope2024 at a tiny scale, and what it rests on: forced canaries, traced images."""

from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.audit.attacks.lira import LiRA
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.experiments import kaleidoscope2024
from limbeck.experiments.forced import numbered, traced
from limbeck.experiments.kaleidoscope2024 import Kaleidoscope2024
from limbeck.experiments.study import Found, Task, execute

pytestmark = pytest.mark.usefixtures("whole_audits")

TINY = kaleidoscope2024.Size(
    records=160,
    pixels=None,
    runs=4,
    method="dm",
    options={"width": 4, "steps": 2, "pairs": 2, "network": "convnet1", "learning_rate": 0.01},
    trainer={"network": "linear", "steps": 5},
    strengths=(1, 2),
    ipcs=(1, 2, 3),
)


@pytest.fixture(scope="module")
def study() -> Kaleidoscope2024:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kaleidoscope2024, "LAPTOP", TINY)
        return kaleidoscope2024.study("laptop", data="digits")


@pytest.fixture(scope="module")
def found(study: Kaleidoscope2024, tmp_path_factory: pytest.TempPathFactory) -> Found:
    return execute(study, tmp_path_factory.mktemp("kaleidoscope"))


def test_every_claim_has_figures_and_every_start_a_row(
    study: Kaleidoscope2024, found: Found
) -> None:
    conclusion = study.conclude(found)
    assert len(conclusion.claims) >= 9
    assert all(any(m.decides for m in claim.measured) for claim in conclusion.claims)
    [table] = conclusion.tables
    names = [row[0] for row in table.rows]
    assert names[:5] == ["real", "kaleidoscope:1", "kaleidoscope:2", "noised-real:0.5", "noise"]
    assert {"real, 1 per class", "kaleidoscope:2, 3 per class"} <= set(names)
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_forced_canaries_are_members_in_the_start_and_others_are_kept_out(
    study: Kaleidoscope2024,
) -> None:
    bench = study.bench
    starts = bench.starts("real")
    made, rows = bench.made, len(bench.made.membership)
    inside = made.membership[:, made.canary]
    assert starts.forced.shape == inside.shape
    assert not (starts.forced & ~inside).any()
    np.testing.assert_array_equal(starts.allowed[:, made.canary], starts.forced)
    assert not (starts.allowed & ~made.membership).any()
    labels = made.data.labels.numpy()
    for row in range(rows):
        assert np.bincount(labels[starts.allowed[row]], minlength=10).tolist() == [2] * 10


def test_a_forced_run_starts_from_the_records_it_may_and_real_images_are_traced(
    study: Kaleidoscope2024, found: Found
) -> None:
    # Two short steps hardly move an image: it lies nearest to the record that it began as.
    assert found["real"]["traced"].min() > 0.9
    assert found["kaleidoscope:2"]["traced"].max() < 0.5
    assert "traced" not in found["noise"]
    real, noise = (found[name]["explicit"] for name in ("real", "noise"))
    assert (real < noise).all()


def test_tracing_finds_copies_and_not_others() -> None:
    inputs = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    data = numbered(LabeledDataset(inputs, torch.arange(12) % 2, ("a", "b")))
    allowed = np.ones(12, dtype=bool)
    from limbeck.synthesize.initialise.real import pick

    begun = pick(data, torch.from_numpy(allowed), 3, 7)
    assert traced(data, allowed, data.inputs[begun], 3, 7) == 1
    assert traced(data, allowed, data.inputs[begun.roll(1)], 3, 7) == 0
    with pytest.raises(OptionError, match="without groups"):
        numbered(data)


def test_observed_canaries_are_those_of_the_plan(study: Kaleidoscope2024, found: Found) -> None:
    bench = study.bench
    seen = bench.observed(found["real"], "canary")
    assert seen.signals.shape == (4, 1, len(bench.made.canary))
    np.testing.assert_array_equal(seen.membership, bench.inside)
    hidden = bench.observed(found["real"], "canary-true")
    assert not np.array_equal(seen.signals, hidden.signals), "the true label is another one"
    assert bench.trials(found["real"], LiRA()).members == bench.inside.sum()
    assert bench.utility(found["real"]).shape == (3,)


def test_a_task_alone_yields_what_it_yields_among_others(
    study: Kaleidoscope2024, found: Found
) -> None:
    again = study.perform(Task("noise", (2,)))
    np.testing.assert_allclose(again["signals"][0], found["noise"]["signals"][2], atol=1e-4)
    np.testing.assert_allclose(again["explicit"][0], found["noise"]["explicit"][2], atol=1e-4)


def test_the_paper_size_is_the_whole_data(tmp_path: Path) -> None:
    assert kaleidoscope2024.GPU.records is None and kaleidoscope2024.GPU.pixels is None
