"""Worker pools: all items come back, on one thread each, and a broken worker is no deadlock."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck import workers as module
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
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        pool(cluster=cluster.scheduler_address) as run,
    ):
        assert sorted(run(work, range(5))) == [0, 1, 4, 9, 16]
    assert marker.exists()


def test_an_error_in_an_item_reaches_the_caller_from_a_cluster() -> None:
    distributed = pytest.importorskip("distributed")
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1, 50):
            taken.append(item)
            yield item

    def work(item: int) -> float:
        return 1 / item

    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        pool(cluster=cluster.scheduler_address) as run,
        pytest.raises(ZeroDivisionError),
    ):
        results = run(work, items())
        assert next(results) in (1, 1 / 2)
        assert len(taken) <= 4, "items are taken as workers get free"
        list(run(work, [1, 0]))


def test_a_cluster_without_workers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(module, "_WITHOUT_WORKERS", 1.0)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=50) as cluster,
        pool(cluster=cluster.scheduler_address) as run,
        pytest.raises(OptionError, match="no worker for 1 seconds"),
    ):
        list(run(abs, [1, 2]))


WORKING = """
import os, sys, time
from pathlib import Path
from limbeck.workers import pool

def work(item):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    with pool(2) as run:
        list(run(work, range(8)))
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        return stat(pid)[0] != "Z"
    except FileNotFoundError:
        return False


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; the parent comes next."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def workers_of(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            ours = int(stat(int(folder.name))[1]) == parent
            if ours and b"LokyProcess" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("at_work", [True, False])
def test_workers_end_with_a_killed_parent(tmp_path: Path, at_work: bool) -> None:
    script, started = tmp_path / "working.py", tmp_path / "started"
    script.write_text(WORKING)
    started.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(started)])
    try:
        waited = time.monotonic() + 60
        while len(children := workers_of(parent.pid)) < 2 or (
            at_work and len(list(started.iterdir())) < 2
        ):
            assert time.monotonic() < waited and parent.poll() is None
            time.sleep(0.01)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    ended = time.monotonic() + 30
    while any(alive(pid) for pid in children):
        assert time.monotonic() < ended, "workers outlive their parent"
        time.sleep(0.1)
