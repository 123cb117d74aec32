"""DP-MERF, PSG, DP-KIP and DP-SGD, with less and more noise and with none: accuracy and time.

Each method runs to its end as it would for a release, in one process on one thread; images are then
trained on with the trainer that the method is made for. A line is printed, and kept, as soon as it
is known, and lines that ``--output`` holds already are not measured again. Run it with

    python benchmarks/private_methods.py digits --output benchmarks/results/private-methods-NAME.txt
    python benchmarks/private_methods.py fashion-mnist --limit 5000 --output ...

Published figures stand beside those of the same method where there are confirmed ones.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from limbeck import KernelRidge, Standard, load
from limbeck.data import LabeledDataset
from limbeck.synthesize.condense.dp_kip import DPKIP
from limbeck.synthesize.condense.psg import PSG
from limbeck.synthesize.generate.dp_merf import DPMERF
from limbeck.train.dp_sgd import DPSGD
from limbeck.workers import keep_memory, one_thread

EPSILONS = (1.0, 10.0, None)
# DPImageBench (arXiv 2503.14681), all 60,000 records, delta 1e-5, many generated images.
PUBLISHED = {("fashion-mnist", "dp-merf", 1.0): 62.2, ("fashion-mnist", "dp-merf", 10.0): 62.2}


def measure(name: str, epsilon: float | None, private: LabeledDataset, seed: int) -> tuple:
    """The classifier that a method leads to, how it came about, and the CPU-seconds of the method.

    Noise is secret, as of a release: a second measurement differs.
    """
    started = time.process_time()
    if name == "dp-sgd":
        level = "no-noise" if epsilon is None else f"epsilon-{epsilon:g}"
        return DPSGD(level).fit(private, seed=seed), "itself", time.process_time() - started
    images = {"dp-merf": DPMERF, "psg": PSG, "dp-kip": DPKIP}[name]
    made = images(epsilon=epsilon).synthesize(private, seed=seed)
    spent = time.process_time() - started
    trainer, words = {
        "dp-merf": (Standard("convnet1", "full", steps=200), "convnet1, 200 steps"),
        "psg": (Standard("convnet2", "search"), "convnet2, search"),
        "dp-kip": (KernelRidge(), "kernel ridge"),
    }[name]
    return trainer.fit(made, seed=seed), words, spent


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is not known yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=["digits", "fashion-mnist"])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--methods", nargs="*", default=["dp-sgd", "dp-merf", "psg", "dp-kip"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--machine", default="unnamed machine")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    keep_memory()
    private, test = load(options.data, limit=options.limit)
    test = test.select(range(min(len(test), 2000)))
    known = options.output.read_text().splitlines() if options.output.exists() else []
    head = f"{options.data}, {len(private)} records, delta 1e-5, add-remove; {options.machine}"
    if head not in known:
        keep(options.output, head)
    for name in options.methods:
        for epsilon in EPSILONS:
            for seed in range(options.seeds):
                key = f"{options.data} {len(private)} {name:8} epsilon {epsilon or 'inf':<4} {seed}"
                if any(line.startswith(key) for line in known):
                    continue
                with one_thread():
                    classifier, words, spent = measure(name, epsilon, private, seed)
                    accuracy = classifier.accuracy(test)
                line = f"{key}  {100 * accuracy:.1f}% ({words}), {spent:.0f} CPU-seconds"
                beside = PUBLISHED.get((options.data, name, epsilon))
                line += "" if beside is None else f"; published for 60,000 records: {beside}%"
                keep(options.output, line)


def keep(output: Path, line: str) -> None:
    """Print a line and append it to the results."""
    print(line, flush=True)
    with output.open("a") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    main()
