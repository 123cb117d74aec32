"""Two processes at once, and one that is killed."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from limbeck.owner import Book, SetTotal

ROUNDS = 20

ASKING = """
import sys
from dataclasses import replace
import torch
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import BudgetError
from limbeck.owner import Book
from limbeck.privacy.composition import Part
from limbeck.privacy.gaussian import mu_of
from limbeck.types import Guarantee

part = Part("release", Guarantee(1.0, 1e-5, mu=mu_of(1.0, 1e-5)))
tiny = LabeledDataset(torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64), ("a",))
print("ready", flush=True)
for line in sys.stdin:
    try:
        held = Book.usual().reserve(line.strip(), [part], command="train", method="ridge",
                                    unit="record")
        held.confirm([part], [tiny], whole=False)
        print("spent", flush=True)
    except BudgetError:
        print("refused", flush=True)
"""


@pytest.fixture
def two():
    """Two processes that enter a release of epsilon 1 for each source they are told."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", ASKING],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for _ in range(2)
    ]
    for one in started:
        assert one.stdout.readline() == "ready\n"
    yield started
    for one in started:
        one.stdin.close()
        one.wait(timeout=60)
        one.stdout.close()


def file(path, number):
    np.savez(path, inputs=np.full((4, 1), number / 100, np.float32), labels=np.arange(4) % 2)
    return path


@pytest.mark.parametrize("copies", [False, True])
def test_of_two_processes_exactly_one_gets_the_last_share(two, budgets, tmp_path, copies):
    """Also of copies in two places, of which one alone has a total, known to be copies by bytes."""
    book = Book(budgets)
    for number in range(ROUNDS):
        first = second = file(tmp_path / f"{number}.npz", number)
        if copies:
            second = tmp_path / f"{number}-copy.npz"
            second.write_bytes(first.read_bytes())
        book.set_total(first, SetTotal(1.5, 1e-4))
        for process, source in zip(two, (first, second), strict=True):
            process.stdin.write(f"{source}\n")
        answers = sorted(process.stdout.readline() for process in two)
        assert answers == ["refused\n", "spent\n"]
        assert len(book.find(first).entries) == 1


def limbeck(*words):
    return subprocess.Popen(
        [sys.executable, "-m", "limbeck", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_two_commands_exactly_one_gets_the_last_share(budgets, tmp_path):
    Book(budgets).set_total("digits", SetTotal(1.5, 1e-4))
    ridge = ["--trainer", "private-ridge", "--set", "features=20", "--epsilon", "1"]
    both = [limbeck("train", "digits", *ridge, "-o", tmp_path / name) for name in "ab"]
    errors = [one.communicate(timeout=300)[1] for one in both]
    assert sorted(one.returncode for one in both) == [0, 2], errors
    assert sum("this release is refused" in error for error in errors) == 1
    (entry,) = Book(budgets).find("digits").entries
    assert entry.state == "done"
    assert [(tmp_path / name).exists() for name in "ab"].count(True) == 1


def test_a_killed_run_is_spent(budgets, tmp_path):
    """Killed once it is entered: noise may have been drawn, and looked at."""
    book = Book(budgets)
    book.set_total("digits", SetTotal(1.5, 1e-4))
    words = ["--set", "epochs=2000", "--epsilon", "1", "-o", tmp_path / "a"]
    running = limbeck("train", "digits", *words)
    while not book.find("digits").contents:  # hashed when confirmed, in the same write as below
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.05)
    while not book.find("digits").entries:
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    running.wait(timeout=60)
    running.stderr.close()
    (entry,) = book.find("digits").entries
    assert entry.state == "entered" and not (tmp_path / "a").exists()
    ridge = ["--trainer", "private-ridge", "--set", "features=20", "--epsilon", "1"]
    again = limbeck("train", "digits", *ridge, "-o", tmp_path / "a")
    _, error = again.communicate(timeout=300)
    assert again.returncode == 2 and "an epsilon of at most 0.5" in error, error
