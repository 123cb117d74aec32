"""Worker pools: all items come back, on one thread each, and a broken worker is no deadlock."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.errors import OptionError
from limbeck.workers import keep_memory, pool


# Nested functions throughout: they travel by value, test modules cannot be imported by workers.
@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_is_worked_on_with_one_thread(workers: int) -> None:
    shared = np.arange(300_000.0)  # large enough to travel as a memory map

    def work(item: int) -> tuple[int, float, int, int]:
        return item, float(shared[item]), torch.get_num_threads(), os.getpid()

    with pool(workers) as run:
        results = sorted(run(work, range(6)))
    assert [(i, value, threads) for i, value, threads, _ in results] == [
        (i, float(i), 1) for i in range(6)
    ]
    assert ({pid for *_, pid in results} == {os.getpid()}) is (workers == 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_an_item_reaches_the_caller(workers: int) -> None:
    def work(item: int) -> float:
        return 1 / item

    with pool(workers) as run, pytest.raises(ZeroDivisionError):
        list(run(work, [1, 0]))


def test_no_workers_are_refused() -> None:
    with pytest.raises(OptionError, match="at least 1"), pool(0):
        pass


def test_keep_memory_may_be_called_again() -> None:
    keep_memory()
    keep_memory()
    assert torch.ones(1000).sum() == 1000


def test_a_dask_cluster_survives_the_death_of_a_worker(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    marker = tmp_path / "died"

    def work(item: int) -> int:
        if item == 2 and not marker.exists():
            marker.touch()
            os._exit(1)
        return item * item

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        pool(cluster=cluster.scheduler_address) as run,
    ):
        assert sorted(run(work, range(5))) == [0, 1, 4, 9, 16]
    assert marker.exists()
