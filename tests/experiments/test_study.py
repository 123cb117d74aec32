"""A study's tasks: kept as they finish, resumed after a kill, never mixed with another's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.errors import OptionError, StoreError
from limbeck.experiments.study import (
    SPENT,
    Conclusion,
    Found,
    Study,
    Task,
    execute,
    forecast,
)

pytestmark = pytest.mark.usefixtures("whole_audits")

LOG: list[Task] = []
TASKS = (Task("a", (0, 1)), Task("a", (2,)), Task("b", (0, 1, 2, 3)))


@dataclass(frozen=True, eq=False)
class Squares(Study):
    factor: int = 1
    dies_at: int = 99
    twice: bool = False
    paper: str = "toy"
    remarks: tuple[str, ...] = ()
    device: str = "cpu"

    def described(self) -> dict[str, Any]:
        return {"factor": self.factor}

    def tasks(self) -> tuple[Task, ...]:
        return TASKS + TASKS[:1] * self.twice

    def perform(self, task: Task) -> dict[str, np.ndarray]:
        if len(LOG) == self.dies_at:
            raise KeyboardInterrupt
        LOG.append(task)
        return {"squares": self.factor * np.square(np.array(task.rows, dtype=float))}

    def seconds(self, group: str) -> float:
        return {"a": 2.0, "b": 0.5}[group]

    def conclude(self, found: Found) -> Conclusion:
        return Conclusion((), ())


def test_rows_come_back_in_order_and_the_share_follows_the_cost(tmp_path: Path) -> None:
    LOG.clear()
    study, shares = Squares(), []
    weights = forecast(study, tmp_path)
    assert weights == {"a": 6.0, "b": 2.0}
    found = execute(study, tmp_path, weights=weights, progress=lambda s, _: shares.append(s))
    assert found["a"]["squares"].tolist() == [0, 1, 4]
    assert found["b"]["squares"].tolist() == [0, 1, 4, 9]
    assert found["b"][SPENT].shape == (4,) and (found["b"][SPENT] >= 0).all()
    np.testing.assert_allclose(shares, [0, 0.5, 0.75, 1.0])


def test_a_killed_run_goes_on_and_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    LOG.clear()
    with pytest.raises(KeyboardInterrupt):
        execute(Squares(dies_at=2), tmp_path / "killed")
    assert list(TASKS[:2]) == LOG
    LOG.clear()
    weights, shares = forecast(Squares(), tmp_path / "killed"), list[float]()
    assert weights == {"b": 2.0}, "what is kept costs nothing more"
    resumed = execute(
        Squares(),
        tmp_path / "killed",
        weights=weights,
        progress=lambda share, _: shares.append(share),
    )
    np.testing.assert_allclose(shares, [0, 1.0])
    assert forecast(Squares(), tmp_path / "killed") == {}
    assert list(TASKS[2:]) == LOG
    LOG.clear()
    assert execute(Squares(), tmp_path / "killed").keys() == resumed.keys()
    assert not LOG, "a finished study runs nothing"
    whole = execute(Squares(), tmp_path / "whole")
    for group, values in whole.items():
        np.testing.assert_array_equal(values["squares"], resumed[group]["squares"])


def test_another_study_in_the_folder_is_refused_unless_it_may_be_replaced(tmp_path: Path) -> None:
    LOG.clear()
    execute(Squares(), tmp_path)
    with pytest.raises(StoreError, match="choose another folder"):
        execute(Squares(factor=3), tmp_path)
    found = execute(Squares(factor=3), tmp_path, overwrite=True)
    assert found["a"]["squares"].tolist() == [0, 3, 12]


def test_two_tasks_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="name groups apart"):
        execute(Squares(twice=True), tmp_path)
