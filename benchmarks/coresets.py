"""What coresets of the digits teach, cost, and keep of mislabelled canaries.

5% of the 1,438 digits are mislabelled canaries, each with a fair coin in every run; the other
records are always there. Every method makes a coreset in each run, of 10 records per class and of
57 (40% of the records). Accuracy is that of exact kernel ridge regression on the test part, so that
no luck of training is in it; the share of canaries kept is of those that were in the run.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limbeck import Estimate, coins, load
from limbeck.audit.images.kept import kept, share_kept
from limbeck.data import canaries
from limbeck.recipe import build
from limbeck.synthesize.base import Synthesizer
from limbeck.train.kernel_ridge import KernelRidge

METHODS: list[tuple[str, dict[str, Any]]] = [
    ("random-subset", {}),
    ("herding", {}),
    ("prototypes", {}),
    ("k-centre", {}),
    ("forgetting", {}),
    ("el2n", {}),
    ("grand", {}),
    ("forgetting", {"keep": "lowest"}),
    ("el2n", {"keep": "lowest"}),
]
SIZES = (10, 57)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--machine", required=True, help="in words, for the first line")
    parser.add_argument("--output", type=Path, help="also write the table here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    private, test = load("digits")
    order = torch.randperm(len(private), generator=coins.generator(0, "canaries"))
    index = order[: len(private) // 20].sort().values
    planted = canaries.plant(private, index, "mislabelled", 0).data
    flips = torch.rand(given.runs, len(index), generator=coins.generator(0, "coins")) < 0.5
    membership = torch.ones(given.runs, len(private), dtype=torch.bool)
    membership[:, index] = flips
    lines = [
        f"machine: {given.machine}; {given.runs} runs, {len(index)} mislabelled canaries",
        f"{'':24}{'records':>8}  {'accuracy, percent':>22}  {'canaries kept, percent':>24}"
        f"  {'CPU-s a set':>11}",
    ]
    print("\n".join(lines), flush=True)
    for size in SIZES:
        for name, options in METHODS:
            method = build(name, {"ipc": size, **options}, "synthesizer")
            lines.append(line(method, private=planted, test=test, index=index, member=membership))
            print(lines[-1], flush=True)
    if given.output is not None:
        given.output.write_text("\n".join(lines) + "\n")


def line(
    method: Synthesizer, *, private: Any, test: Any, index: torch.Tensor, member: torch.Tensor
) -> str:
    """One row of the table."""
    warm = torch.ones(1, len(private), dtype=torch.bool)
    list(method.synthesize_many(private, warm, [0]))  # what is made once a process is not counted
    started = time.process_time()
    made = list(method.synthesize_many(private, member, list(range(len(member)))))
    spent = (time.process_time() - started) / len(member)
    found = np.stack([kept(release, private.inputs[index]) for release in made])
    scores = [KernelRidge().fit(release, seed=0).accuracy(test) for release in made]
    title = f"{method.method_name}{', lowest' if getattr(method, 'keep', '') == 'lowest' else ''}"
    accuracy, share = Estimate.of_mean(scores), share_kept(found, member[:, index].numpy())
    return (
        f"{title:24}{len(made[0]):8}  {percent(accuracy):>22}  {percent(share):>24}  {spent:11.2f}"
    )


def percent(value: Estimate) -> str:
    """A rate with its interval."""
    return f"{100 * value.value:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


if __name__ == "__main__":
    main()
