"""Private synthesis and the private ridge classifier on Fashion-MNIST, under one evaluation.

Run it with ``python benchmarks/private.py --store DIR --machine "words"``; it prints a table.

Every line is a cell of a store, computed once and kept, so that a run can be stopped and continued.
A row is one epsilon (1, 10, or none: the same computation without noise) and what is made: the
classifier, or images: ``MANY`` a class as drawn, or 10 or 50 a class, condensed from those.
Every noise seed is a run with noise of its own from the system's entropy; its three sets of images
are post-processing of one release, as they are what the method makes of one seed. A set is judged
by fresh ConvNet-3 networks: under the recipe "confirm" (width 64, 300 steps, augmented) for
condensed sets, under "full" (width 32, 1,000 steps) for drawn ones, on their teacher's labels.

With ``--validation`` a sixth of the training records plays the test set, and nothing else is read.
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from limbeck import Estimate, LabeledDataset, SyntheticDataset, load
from limbeck.data.splits import stratified_split
from limbeck.files import write_json
from limbeck.synthesize.generate.condense_drawn import condense_drawn
from limbeck.synthesize.generate.private_copula import PrivateCopula
from limbeck.train.private_ridge import PrivateRidge
from limbeck.train.standard import Standard
from limbeck.workers import keep_memory, one_thread

# DPImageBench (CCS 2025, arXiv 2503.14681), its results table: accuracy at epsilon 1 and 10, delta
# 1e-5, of a classifier trained on many generated images.
PUBLISHED = {
    "DP-MERF": (62.2, 62.2),
    "DP-NTK": (64.4, 76.3),
    "GS-WGAN": (52.7, 56.7),
    "DPDM": (76.4, 85.6),
    "DP-FETA": (81.7, 87.3),
}
MANY = 1500
EPSILONS = (1.0, 10.0, None)
SIZES = (10, 50, MANY)
VALIDATION_SHARE = 1 / 6


@dataclass(frozen=True)
class Cell:
    """What is made at one epsilon with one noise seed; ``ipc`` None is the classifier."""

    epsilon: float | None
    ipc: int | None
    seed: int

    @property
    def name(self) -> str:
        made = "classifier" if self.ipc is None else f"ipc{self.ipc}"
        return f"{made}-epsilon-{self.epsilon or 'none'}-seed{self.seed}"


def data(validation: bool) -> tuple[LabeledDataset, LabeledDataset]:
    """Private and judging records; under validation both come from the training set."""
    private, test = load("fashion-mnist")
    if not validation:
        return private, test
    kept, judged = stratified_split(private.labels, VALIDATION_SHARE, seed=0)
    return private.select(kept), private.select(judged)


def perform(
    cell: Cell, store: Path, private: LabeledDataset, test: LabeledDataset, networks: int
) -> None:
    """Make what the cell asks for and judge it; what the store holds already is not done again."""
    made_file = store / f"{cell.name}.json"
    if cell.ipc is None:
        if not made_file.exists():
            started = time.process_time()
            classifier = PrivateRidge(epsilon=cell.epsilon).fit(private, seed=cell.seed)
            seconds = time.process_time() - started
            write_json(made_file, {"seconds": seconds, "accuracy": classifier.accuracy(test)})
        return
    folder = images(cell, store, private)
    for network in range(networks):
        judged_file = store / f"{cell.name}-network{network}.json"
        if judged_file.exists():
            continue
        trainer = Standard(recipe="full" if _drawn(cell) else "confirm")
        started = time.process_time()
        trained = trainer.fit(SyntheticDataset.load(folder), seed=1000 * cell.seed + network)
        accuracy = trained.accuracy(test)
        write_json(judged_file, {"seconds": time.process_time() - started, "accuracy": accuracy})


def images(cell: Cell, store: Path, private: LabeledDataset) -> Path:
    """The folder of the cell's set, made where the store does not hold it."""
    assert cell.ipc is not None
    made_file, folder = store / f"{cell.name}.json", store / cell.name
    if made_file.exists():
        return folder
    if _drawn(cell):
        method = PrivateCopula(epsilon=cell.epsilon, ipc=cell.ipc, steps=0)
        started = time.process_time()
        made = method.synthesize(private, seed=cell.seed)
        known = {"seconds": 0.0, "guarantee": made.card["guarantee"]}
    else:
        many = replace(cell, ipc=MANY)
        drawn = SyntheticDataset.load(images(many, store, private))
        known = json.loads((store / f"{many.name}.json").read_text(encoding="utf-8"))
        started = time.process_time()
        made = condense_drawn(drawn, cell.ipc, PrivateCopula().steps, seed=cell.seed)
    seconds = known["seconds"] + time.process_time() - started
    made.save(folder)
    write_json(made_file, {"seconds": seconds, "guarantee": known["guarantee"]})
    return folder


def _drawn(cell: Cell) -> bool:
    return cell.ipc == MANY


def row(epsilon: float | None, ipc: int | None, store: Path, seeds: int, networks: int) -> str:
    """One line of the table, from what the store holds; what is missing is said to be.

    Networks of one seed share its noise: their mean is one trial.
    """
    cells = [Cell(epsilon, ipc, seed) for seed in range(seeds)]
    made = [_read(store / f"{cell.name}.json") for cell in cells]
    if ipc is None:
        trials = [[one["accuracy"]] for one in made if one]
    else:
        files = [[store / f"{c.name}-network{k}.json" for k in range(networks)] for c in cells]
        trials = [[one["accuracy"] for one in map(_read, own) if one] for own in files]
    means = [fmean(own) for own in trials if own]
    what = "private ridge classifier" if ipc is None else f"{ipc} images a class"
    head = f"{what:26} epsilon {'none' if epsilon is None else f'{epsilon:g}':>4}"
    if not means:
        return f"{head}  not run"
    estimate = Estimate.of_mean(means)
    seconds = fmean(one["seconds"] for one in made if one)
    interval = "" if len(means) == 1 else f" [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
    judged = "" if ipc is None else f", {sum(map(len, trials))} networks"
    return (
        f"{head}  {100 * estimate.value:5.1f}%{interval:15} {len(means)} of {seeds} seeds{judged}, "
        f"{seconds:.0f} CPU-seconds to make"
    )


def _read(path: Path) -> dict[str, float] | None:
    if not path.exists():
        return None
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Run what is asked for, and print the whole table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--machine", required=True, help="the machine, in words")
    parser.add_argument("--seeds", type=int, default=3, help="noise seeds")
    parser.add_argument("--networks", type=int, default=2, help="networks a set")
    parser.add_argument("--only", nargs="*", help="classifier, 10, 50 or many: run these alone")
    parser.add_argument("--epsilons", nargs="*", help="1, 10 or none: run these alone")
    parser.add_argument("--validation", action="store_true")
    asked = parser.parse_args()
    asked.store.mkdir(parents=True, exist_ok=True)
    keep_memory()
    private, test = data(asked.validation)
    sizes: tuple[int | None, ...] = (None, *SIZES)
    names = {None: "classifier", 10: "10", 50: "50", MANY: "many"}
    with one_thread():
        for seed in range(asked.seeds):
            for ipc in sizes:
                for epsilon in EPSILONS:
                    named = "none" if epsilon is None else f"{epsilon:g}"
                    if asked.only is not None and names[ipc] not in asked.only:
                        continue
                    if asked.epsilons is not None and named not in asked.epsilons:
                        continue
                    perform(Cell(epsilon, ipc, seed), asked.store, private, test, asked.networks)
    judged = "held-out training records" if asked.validation else "test set"
    print(f"Fashion-MNIST, {len(private)} private records, judged on the {judged}, delta 1e-5,")
    print("add-remove (number of records and of each class private).")
    print(f"Machine: {asked.machine}. Intervals: Student's, 95%, over seeds.")
    print("CPU-seconds are those of one whole run of the method, on one core.\n")
    for ipc in sizes:
        for epsilon in EPSILONS:
            print(row(epsilon, ipc, asked.store, asked.seeds, asked.networks))
    print("\nPublished, many generated images (DPImageBench, arXiv 2503.14681), epsilon 1 / 10:")
    for method, (one, ten) in PUBLISHED.items():
        print(f"{method:26} {one:.1f}% / {ten:.1f}%")


if __name__ == "__main__":
    main()
