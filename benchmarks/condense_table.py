"""Every condenser on Fashion-MNIST at 1, 10 and 50 images per class, under one evaluation.

Run it with ``python benchmarks/condense.py table --store DIR``.

A cell is one method at one size with one seed. It is condensed in a process of its own, for its
CPU-seconds and peak memory, and kept in a store, so that a table can be continued after a stop
and extended by other cells. Cells that were not run are printed as such.

With ``--validation`` a fifth of the training records plays the test set: recipes are chosen on
it, and the table is then printed from all training records and the real test set.
"""

import argparse
import json
import math
import multiprocessing
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from limbeck import Estimate, SyntheticDataset, load
from limbeck.data import LabeledDataset
from limbeck.files import write_json
from limbeck.recipe import build
from limbeck.workers import keep_memory, peak_memory

SIZES = (1, 10, 50)
BASELINE = "random-subset"
VALIDATION_SHARE = 1 / 6


@dataclass(frozen=True)
class Cell:
    """One method with its options at one size and seed; ``row`` is its line of the table."""

    row: str
    method: str
    options: tuple[tuple[str, Any], ...]
    ipc: int
    seed: int

    def folder(self, store: Path) -> Path:
        return store / f"{self.row.replace(' ', '-')}-ipc{self.ipc}-seed{self.seed}"


@dataclass(frozen=True)
class Task:
    """A cell to condense, or a network to train on a condensed one."""

    cell: Cell
    store: Path
    validation: bool
    recipe: str | None = None
    network: int = 0
    soft: bool = False

    @property
    def result(self) -> Path:
        name = "made" if self.recipe is None else self.recipe + ("-soft" if self.soft else "")
        return self.cell.folder(self.store) / f"{name}-{self.network}.json"


def data(validation: bool) -> tuple[LabeledDataset, LabeledDataset]:
    """Training and judging records; under validation both come from the training set."""
    private, test = load("fashion-mnist")
    if not validation:
        return private, test
    from limbeck.data.splits import stratified_split

    kept, judged = stratified_split(private.labels, VALIDATION_SHARE, seed=0)
    return private.select(kept), private.select(judged)


def perform(task: Task) -> None:
    """Run one task and write its result; atomically, so that a kill leaves no half of it."""
    import torch

    torch.set_num_threads(1)
    keep_memory()
    private, test = data(task.validation)
    folder = task.cell.folder(task.store)
    started = time.process_time()
    if task.recipe is None:
        options = {"ipc": task.cell.ipc, **dict(task.cell.options)}
        method = build(task.cell.method, options, "synthesizer").resolve(private)
        made = method.synthesize(private, seed=task.cell.seed)
        spent = time.process_time() - started
        made.save(folder)
        found: dict[str, Any] = {"memory": peak_memory() / 2**20}
    else:
        made = SyntheticDataset.load(folder)
        if not task.soft:
            made = replace(made, soft_labels=None)
        kernel = task.recipe == "kernel-ridge"
        trainer = build(
            task.recipe if kernel else "standard", {} if kernel else {"recipe": task.recipe}
        )
        classifier = trainer.fit(made, seed=1000 * task.cell.seed + task.network)
        found = {"accuracy": classifier.accuracy(test)}
        spent = time.process_time() - started
    write_json(task.result, {**found, "seconds": spent})


def cells(spec: dict[str, Any], sizes: Sequence[int], sets: int) -> list[Cell]:
    """All cells of a table: ``spec`` maps rows to a method and its options, by size if it says."""
    found = []
    for row, described in spec.items():
        for ipc in sizes:
            options = {**described.get("options", {}), **described.get(f"ipc{ipc}", {})}
            if ipc in described.get("sizes", SIZES):
                found += [
                    Cell(row, described["method"], tuple(options.items()), ipc, seed)
                    for seed in range(sets)
                ]
    return found


def run(tasks: Sequence[Task], workers: int) -> None:
    """Each task that has no result yet, in a fresh process."""
    waiting = [task for task in tasks if not task.result.exists()]
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, maxtasksperchild=1) as pool:
        for _ in pool.imap_unordered(perform, waiting):
            pass


def _read(task: Task) -> dict[str, Any] | None:
    if not task.result.exists():
        return None
    found: dict[str, Any] = json.loads(task.result.read_text(encoding="utf-8"))
    return found


def _mean(tasks: Sequence[Task], key: str) -> Estimate | None:
    """The mean over sets, each with the mean of its networks; over the networks of a single set."""
    found: dict[int, list[float]] = {}
    for task in tasks:
        if (result := _read(task)) is not None:
            found.setdefault(task.cell.seed, []).append(result[key])
    if not found:
        return None
    # Networks that share a set err alike: they are no independent trials of the method.
    by_set = list(found.values())
    return Estimate.of_mean(by_set[0] if len(by_set) == 1 else [fmean(own) for own in by_set])


def _percent(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not run"
    value = f"{100 * estimate.value:.1f}"
    if math.isnan(estimate.low):
        return value
    return f"{value} ±{50 * (estimate.high - estimate.low):.1f}"


def lines(
    made: Sequence[Task], trained: Sequence[Task], recipes: Sequence[str], published: Path | None
) -> Iterator[str]:
    """The table as text: mean and half-width of its 95% interval, as ``_mean`` has it."""
    known = _published(published)
    rows = list(dict.fromkeys(task.cell.row for task in made))
    for ipc in sorted({task.cell.ipc for task in made}):
        yield f"\n{ipc} image{'s' if ipc > 1 else ''} per class"
        heads = [f"{recipe:>16}" for recipe in recipes]
        yield f"{'':28}{''.join(heads)}{'CPU-s':>9}{'MiB':>7}  published"
        for row in rows:
            own = [t for t in made if t.cell.row == row and t.cell.ipc == ipc]
            if not own:
                continue
            seconds, memory = (_mean(own, key) for key in ("seconds", "memory"))
            values = []
            for recipe in recipes:
                name, soft = recipe.removesuffix("+soft"), recipe.endswith("+soft")
                same = [
                    t
                    for t in trained
                    if (t.cell.row, t.cell.ipc, t.recipe) == (row, ipc, name)
                    and (t.soft == soft or name == "kernel-ridge")
                ]
                values.append(f"{_percent(_mean(same, 'accuracy')):>16}")
            cost = f"{seconds.value:9.1f}{memory.value:7.0f}" if seconds and memory else " " * 16
            beside = known.get((own[0].cell.method, ipc), "")
            yield f"{row:28}{''.join(values)}{cost}  {beside}"


def _published(file: Path | None) -> dict[tuple[str, int], str]:
    if file is None:
        return {}
    table = tomllib.loads(file.read_text(encoding="utf-8"))["distillation"]["fashion_mnist"]
    return {
        (method, ipc): f"{figures[f'ipc{ipc}']}"
        for method, figures in table.items()
        if figures.get("status") == "read"
        for ipc in SIZES
        if f"ipc{ipc}" in figures
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the options, run what is missing, print the table and keep it."""
    parser = argparse.ArgumentParser(prog="condense.py table", description=__doc__.splitlines()[0])
    parser.add_argument("--spec", type=Path, default=Path(__file__).with_name("condensers.toml"))
    parser.add_argument("--store", type=Path, required=True, help="where cells are kept")
    parser.add_argument("--rows", nargs="+", help="only these lines of the table")
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--sets", type=int, default=1)
    parser.add_argument("--networks", type=int, default=2)
    parser.add_argument(
        "--recipe",
        nargs="+",
        default=["search", "search+soft", "kernel-ridge"],
        help="of the evaluation; +soft uses a set's own soft labels",
    )
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--print-only", action="store_true", help="run nothing")
    parser.add_argument("--published", type=Path, help="a TOML file of published accuracies")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--machine", default="unnamed", help="the machine in words")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args(arguments)
    spec = tomllib.loads(options.spec.read_text(encoding="utf-8"))
    if options.rows:
        spec = {row: spec[row] for row in options.rows}
    common = {"store": options.store, "validation": options.validation}
    made = [Task(cell, **common) for cell in cells(spec, options.sizes, options.sets)]
    if not options.print_only:
        run(made, options.workers)
    trained = []
    for task in made:
        if not task.result.exists():
            continue
        has_soft = SyntheticDataset.load(task.cell.folder(options.store)).soft_labels is not None
        for recipe in options.recipe:
            name, soft = recipe.removesuffix("+soft"), recipe.endswith("+soft")
            if soft and not has_soft:
                continue
            soft = has_soft if name == "kernel-ridge" else soft
            networks = 1 if name == "kernel-ridge" else options.networks
            trained += [
                Task(task.cell, **common, recipe=name, network=k, soft=soft)
                for k in range(networks)
            ]
    if not options.print_only:
        run(trained, options.workers)
    judged = "held-out training records" if options.validation else "the test set"
    head = [
        f"Fashion-MNIST, accuracy on {judged} in percent with half of its 95% interval",
        f"up to {options.sets} sets x {options.networks} networks a cell; intervals are over sets, "
        "each by its mean, or over the networks of a single set",
        f"machine: {options.machine}",
    ]
    text = "\n".join([*head, *lines(made, trained, options.recipe, options.published)])
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
