"""Condensing Fashion-MNIST: the published loop of distribution matching against the sums form.

Each set's two forms run in one process on one thread, one after the other, and are measured in
CPU-seconds; then both, and as many random real images, are evaluated alike. Run it with

    python benchmarks/condense.py --recipe confirm --output benchmarks/results/condense-NAME.txt

``python benchmarks/condense.py table --store DIR`` compares every condenser instead.

``--steps 50`` is a start of the published 20,000 steps: what they would take is 400 times as much.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import condense_table
from limbeck import DistributionMatching, RandomSubset, SyntheticDataset, evaluate, load
from limbeck.data import LabeledDataset
from limbeck.workers import pool


@dataclass(frozen=True)
class Condensed:
    """One set by each way, and the CPU-seconds that it took."""

    seed: int
    sets: dict[str, SyntheticDataset]
    seconds: dict[str, float]


def condense(limit: int | None, ipc: int, init: str, steps: int, seed: int) -> Condensed:
    """All ways with one seed, in this process."""
    private, _ = load("fashion-mnist", limit=limit)
    ways = {
        "reference loop": DistributionMatching.reference(ipc=ipc, init=init, steps=steps),
        "sums form": DistributionMatching(ipc=ipc, init=init),
        "random real images": RandomSubset(ipc),
    }
    sets, seconds = {}, {}
    for name, method in ways.items():
        started = time.process_time()
        sets[name] = method.resolve(private).synthesize(private, seed=seed)
        seconds[name] = time.process_time() - started
    return Condensed(seed, sets, seconds)


def table(
    results: list[Condensed], test: LabeledDataset, options: argparse.Namespace
) -> Iterator[str]:
    """The figures as lines of text, each as soon as it is known."""
    names = list(results[0].sets)
    yield (
        f"Fashion-MNIST, {options.limit or 60_000} records, {options.ipc} images per class, "
        f"init {options.init}, reference loop of {options.steps} steps, {len(results)} sets x "
        f"{options.networks} networks\nmachine: {options.machine}\n"
    )
    mean = {n: sum(r.seconds[n] for r in results) / len(results) for n in names}
    for name in names:
        each = ", ".join(f"{r.seconds[name]:.1f}" for r in results)
        yield f"{name:20} {mean[name]:8.1f} CPU-seconds a set ({each})"
    ratio = mean["reference loop"] / mean["sums form"]
    yield f"the reference loop takes {ratio:.1f} times the CPU-seconds of the sums form"
    for recipe in options.recipe:
        yield f"\naccuracy under the evaluation '{recipe}' [95% over sets, each by its mean]"
        values = {}
        for name in names:
            found = evaluate(
                [r.sets[name] for r in results],
                test,
                recipe=recipe,
                networks=options.networks,
                workers=options.workers,
            )
            values[name] = found.value
            interval = f"[{100 * found.low:.2f}, {100 * found.high:.2f}]"
            yield f"{name:20} {100 * found.value:.2f} {interval}"
        gap = 100 * (values["sums form"] - values["reference loop"])
        yield f"sums form minus reference loop: {gap:+.2f} points"


def main() -> None:
    """Parse the options, run, print, and keep what was printed."""
    if sys.argv[1:2] == ["table"]:
        condense_table.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50, help="of the reference loop")
    parser.add_argument("--ipc", type=int, default=10)
    parser.add_argument("--init", default="real", choices=["real", "noise"])
    parser.add_argument("--limit", type=int, help="a slice of the records")
    parser.add_argument("--sets", type=int, default=3)
    parser.add_argument("--networks", type=int, default=3)
    parser.add_argument("--recipe", nargs="+", default=["confirm"], help="of the evaluation")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--machine", default="unnamed", help="the machine in words")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    work = partial(condense, options.limit, options.ipc, options.init, options.steps)
    with pool(options.workers) as run:
        results = sorted(run(work, range(options.sets)), key=lambda result: result.seed)
    _, test = load("fashion-mnist")
    lines = []
    for line in table(results, test, options):
        print(line, flush=True)
        lines.append(line)
        if options.output:
            options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
