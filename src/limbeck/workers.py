"""Worker processes with one computing thread each, here or on a Dask cluster.

On a CPU many single-threaded processes beat one process with many threads for the small
networks of this library, and one thread makes results independent of the number of workers.
"""

import ctypes
import importlib
import itertools
import os
import re
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import joblib
import torch

from limbeck.errors import OptionError

Item = TypeVar("Item")
Result = TypeVar("Result")


@runtime_checkable
class Run(Protocol):
    """``run(function, items)`` yields ``function(item)`` of every item, in order of completion."""

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]: ...


# glibc's malloc.h: parameter numbers of mallopt.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3


def keep_memory() -> None:
    """Make this process keep and reuse the memory it frees; for processes of limbeck's own.

    By default glibc returns every large block to the system, and each training step then pays
    for its page faults again: convolution steps are 1.4 times faster without (measured). Does
    nothing where the C library is another one.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, 1 << 30)
    mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
    mallopt(_TOP_PAD, 64 << 20)


_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory() -> int:
    """Bytes of memory that this process has held at most, since ``forget_peak_memory`` if it can.

    Where Linux does not tell, of the whole life of the process.
    """
    with suppress(OSError):
        told = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
        if told is not None:
            return int(told[1]) * 1024
    # Elsewhere Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak_memory() -> None:
    """Start ``peak_memory`` anew, with all that was freed given back; nothing where Linux cannot.

    One process serves many tasks: each would otherwise show the peak of the largest before it.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
        _RESET.write_text("5")  # proc(5): resets the peak


def cpu_seconds() -> float:
    """Processor time that this process and the programs it has run to their end have used."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one CPU thread within the block, as in every worker: the same sums everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _in_worker(function: Callable[[Item], Result], item: Item) -> Result:
    keep_memory()
    torch.set_num_threads(1)
    return function(item)


def _end_with(parent: int) -> None:
    """End this worker process once its parent is gone.

    A process that is killed cannot stop its workers: they would finish what they were given, for
    nobody, beside those of the run that goes on from the store, or wait for ever.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def pool(workers: int = 1, *, cluster: str | None = None) -> Iterator[Run]:
    """Yield ``run(function, items)``, which calls ``function`` on every item, unordered.

    workers: processes on this machine; 1 runs in this very process, one item after another.
    cluster: address of a Dask scheduler ("tcp://host:port"), whose workers are used instead.

    ``function`` and ``items`` are pickled: large NumPy arrays in them are shared through
    memory-mapped files on this machine, PyTorch tensors are copied. Items are taken from the
    iterable as workers become free. Raises what ``function`` raised, Dask's KilledWorker when an
    item ended several workers, OptionError when the cluster cannot be reached or has lost all of
    its workers. Processes on this machine end when this one does, however it ends.
    """
    if workers < 1:
        raise OptionError(f"workers must be at least 1, not {workers}")
    if cluster is not None:
        with _dask(cluster) as run:
            yield run
    elif workers == 1:
        yield _here
    else:
        yield _loky(workers)


def _here(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    for item in items:
        with one_thread():
            result = function(item)
        yield result


def _loky(workers: int) -> Run:
    def run(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        with joblib.parallel_config(
            backend="loky",
            inner_max_num_threads=1,
            initializer=_end_with,
            initargs=(os.getpid(),),
        ):
            parallel = joblib.Parallel(
                n_jobs=workers, return_as="generator_unordered", batch_size=1
            )
            results: Iterator[Result] = parallel(
                joblib.delayed(_in_worker)(function, item) for item in items
            )
        return results

    return run


_LOOK = 1.0
"""Seconds between two looks of a worker for its parent."""
_WITHOUT_WORKERS = 300.0
"""Seconds that a cluster may be without any worker: it may be growing, or starting them again."""
_POLL = 0.05


@contextmanager
def _dask(address: str) -> Iterator[Run]:
    # Futures of our own rather than joblib's Dask backend, which (joblib 1.6) waits for ever for
    # a task that Dask gave up on and loses the arguments it scattered to a worker that dies.
    try:
        dask: Any = importlib.import_module("dask")  # the package's types are incomplete
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise OptionError(
            f"cluster {address} needs the package distributed: pip install 'limbeck[cluster]'"
        ) from None
    try:
        client = distributed.Client(address, timeout=20, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OptionError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}): start one with "
            "'dask scheduler', or leave the cluster out"
        ) from None

    def run(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        # The function (and the data bound to it) is itself a task: the scheduler can send it
        # again when the worker that held it is gone.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            shared = client.submit(_same, function, pure=False)
        waiting = iter(items)
        running = distributed.as_completed(loop=client.loop, with_results=True)

        def threads() -> int:
            try:
                return sum(client.nthreads().values())
            except OSError as error:
                raise OptionError(
                    f"the Dask scheduler at {address} no longer answers ({type(error).__name__}): "
                    "start it and run the same again, what is finished is kept"
                ) from None

        def top_up(count: int) -> None:
            ahead = 2 * max(1, count)
            for item in itertools.islice(waiting, max(0, ahead - running.count())):
                running.add(client.submit(_in_worker, shared, item, pure=False))

        top_up(threads())
        seen = time.monotonic()
        while running.count():
            if running.has_ready():
                _, result = next(running)  # raises what the item raised
                top_up(threads())
                yield result
                seen = time.monotonic()
            elif count := threads():
                top_up(count)  # workers may have joined
                seen = time.monotonic()
                time.sleep(_POLL)
            elif time.monotonic() - seen > _WITHOUT_WORKERS:
                raise OptionError(
                    f"the cluster at {address} has had no worker for {_WITHOUT_WORKERS:.0f} "
                    "seconds: start workers and run the same again, what is finished is kept"
                )
            else:
                time.sleep(_POLL)

    with client:
        yield run


def _same(value: Result) -> Result:
    return value
