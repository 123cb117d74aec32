"""One record removed: the linear closed form written out, and the exponents fitted to it."""

import numpy as np
import pytest
import torch

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.experiments import removal
from limbeck.experiments.dong2022_claims import of_removal
from limbeck.experiments.removal import Grid, effects, linear_dm, slope

pytestmark = pytest.mark.usefixtures("whole_audits")

GRID = Grid(sizes=(20, 40, 80), ipcs=(1, 2, 4), ipc=2, steps=5)


def cloud(n: int = 100) -> LabeledDataset:
    inputs = torch.rand(n, 6, generator=torch.Generator().manual_seed(0))
    return LabeledDataset(inputs, torch.arange(n) % 2, ("a", "b"), name="cloud")


def test_linear_matching_keeps_the_start_and_meets_the_class_means() -> None:
    data = cloud()
    start = torch.rand(6, 6, generator=torch.Generator().manual_seed(1))
    made = linear_dm(data, start, 3)
    for label in range(2):
        own, begun = (part[3 * label : 3 * label + 3] for part in (made.inputs, start))
        mean = data.inputs[data.labels == label].mean(0)
        torch.testing.assert_close(own.mean(0), mean)
        torch.testing.assert_close(own - own.mean(0), begun - begun.mean(0))
    assert made.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_images_move_by_the_distance_from_the_others_mean_over_the_class_size() -> None:
    data = cloud()
    order = removal._balanced(data, 7, 0)
    found = effects(data, GRID, 0, 7)
    for size, distance in zip(GRID.sizes, found["images by n"], strict=True):
        several = data.select(order[:size])
        own = several.inputs[several.labels == several.labels[0]].double()
        expected = float((own[0] - own[1:].mean(0)).norm()) / len(own)
        assert distance == pytest.approx(expected, rel=1e-4)
    # Only the means move an image, whatever their number.
    assert np.ptp(found["images by m"]) < 1e-5 * found["images by m"].max()


def test_exponents_are_the_theory_s_and_a_record_in_the_start_escapes_it() -> None:
    data = cloud(400)
    grid = Grid(sizes=(40, 100, 200, 400), ipcs=(1, 2, 4, 8), ipc=2, steps=10)
    rows = [effects(data, grid, row, 3) for row in range(6)]

    def exponent(name: str) -> float:
        points = grid.sizes if name.endswith("n") else grid.ipcs
        return slope(points, np.stack([row[name] for row in rows])).value

    assert exponent("images by n") == pytest.approx(-1, abs=0.1)
    assert exponent("weights by n") == pytest.approx(-1, abs=0.2)
    assert exponent("losses by n") == pytest.approx(-1, abs=0.2)
    assert exponent("losses by m") == pytest.approx(1, abs=0.2)
    assert exponent("start by n") == pytest.approx(0, abs=0.1)


def test_slope_of_a_power_law_is_its_exponent_with_students_interval() -> None:
    at = (1, 10, 100)
    effect = np.array([[3.0 * x**-1.5 for x in at], [0.1 * x**-0.5 for x in at]])
    found = slope(at, effect)
    assert found.value == pytest.approx(-1.0)
    assert found.low < -1.5 and found.high > -0.5 and found.trials == 2


def test_the_first_records_are_balanced_whatever_their_number() -> None:
    data = cloud()
    order = removal._balanced(data, 0, 1)
    for n in (2, 10, 60):
        assert np.bincount(data.labels[order[:n]].numpy()).tolist() == [n // 2] * 2
    assert sorted(order.tolist()) == list(range(100))


def test_a_grid_that_the_data_cannot_fill_is_refused() -> None:
    with pytest.raises(OptionError, match="needs 100"):
        Grid(sizes=(20, 200), ipc=2).fits(cloud())
    with pytest.raises(OptionError, match="more records than images"):
        Grid(sizes=(20, 40), ipc=10).fits(cloud())
    GRID.fits(cloud())


def powers(of_n: float, of_m: float, start: float = 0.0) -> dict[str, np.ndarray]:
    """Effects that follow these powers of n and of m, each row a little off; those of a start."""
    off = np.array([[0.99], [1.0], [1.01]])
    n, m = (np.array(points, dtype=float) for points in (Grid().sizes, Grid().ipcs))
    found = {}
    for what in ("images", "weights", "losses"):
        found[f"{what} by n"], found[f"{what} by m"] = n ** (of_n * off), m ** (of_m * off)
    return {**found, "start by n": n ** (start + off - 1)}


@pytest.mark.parametrize(
    ("effects", "verdicts"),
    [
        (powers(-1.0, 1.0), ["agrees", "agrees", "agrees", "agrees"]),
        (powers(-0.3, 1.0), ["disagrees", "disagrees", "agrees", "agrees"]),
        (powers(-1.0, 2.0), ["agrees", "agrees", "disagrees", "agrees"]),
        (powers(-1.0, 1.0, -1.0), ["agrees", "agrees", "agrees", "disagrees"]),
    ],
)
def test_claims_of_removal_are_judged_by_what_bears_them_out(effects, verdicts):
    assert [claim.verdict for claim in of_removal(effects, Grid())] == verdicts
