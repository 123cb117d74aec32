"""Methods with a guarantee, from less noise to more: accuracy and time beside published figures.

Each method runs to its end as it would for a release, in one process on one thread, with secret
noise; images then train fresh networks, and kernel ridge regression where the method is made for
it. A line is printed, and kept, as soon as it is known, and lines that ``--output`` holds already
are not measured again. Run it with

    python benchmarks/private_methods.py digits --store DIR --output RESULTS
    python benchmarks/private_methods.py fashion-mnist --limit 10000 --store DIR --output RESULTS

Sizes are for minutes on one core, far from those of the papers (``OPTIONS``). Published figures
are of 60,000 records and many generated images; only those that were read in their source stand.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limbeck import KernelRidge, Standard, SyntheticDataset, load
from limbeck.data import LabeledDataset
from limbeck.files import write_json
from limbeck.recipe import build
from limbeck.train.base import Trainer
from limbeck.workers import keep_memory, one_thread

METHODS = ("dp-sgd", "dp-merf", "gs-wgan", "dp-sinkhorn", "psg", "dp-kip", "private-matching")
EPSILONS = ("1", "10", "none")
OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "digits": {},
    "fashion-mnist": {
        "dp-merf": {"steps": 300, "batch": 10},
        "gs-wgan": {
            "shards": 100,
            "critic_batch": 4,
            "critic_width": 8,
            "steps": 60,
            "warmup": 20,
            "critic_steps": 2,
        },
        "psg": {"network": "convnet2", "width": 8, "rate": 0.02, "networks": 5, "inner": 2},
        "dp-kip": {"ipc": 2, "rate": 0.05, "steps": 40},
        "private-matching": {"pairs": 4, "width": 16, "steps": 60},
    },
}
NETWORKS = {"digits": ("convnet2", "mlp"), "fashion-mnist": ("convnet3", "mlp")}
# DPImageBench (arXiv 2503.14681), all 60,000 records, delta 1e-5, many generated images.
PUBLISHED = {
    ("fashion-mnist", "dp-merf", "1"): 62.2,
    ("fashion-mnist", "dp-merf", "10"): 62.2,
    ("fashion-mnist", "gs-wgan", "1"): 52.7,
    ("fashion-mnist", "gs-wgan", "10"): 56.7,
}


def accuracies(
    name: str,
    epsilon: str,
    data: str,
    private: LabeledDataset,
    test: LabeledDataset,
    store: Path,
    seed: int,
) -> tuple[str, float]:
    """Accuracies in words, and the CPU-seconds of the method; a release in the store is not remade.

    Noise is secret, as of a release: another store holds other releases.
    """
    started = time.process_time()
    if name == "dp-sgd":
        level = "no-noise" if epsilon == "none" else f"epsilon-{epsilon}"
        classifier = build("dp-sgd", {"level": level}, "trainer").fit(private, seed=seed)
        return f"{100 * classifier.accuracy(test):.1f}% itself", time.process_time() - started
    folder = store / f"{data}-{len(private)}-{name}-{epsilon}-{seed}"
    spent = folder.with_suffix(".json")
    if not spent.exists():
        wanted = None if epsilon == "none" else float(epsilon)
        method = build(name, {"epsilon": wanted, **OPTIONS[data].get(name, {})}, "synthesizer")
        method.synthesize(private, seed=seed).save(folder)
        write_json(spent, {"seconds": time.process_time() - started})
    made = SyntheticDataset.load(folder)
    judges: dict[str, Trainer] = {"kernel ridge": KernelRidge()} if name == "dp-kip" else {}
    judges |= {network: Standard(network, "search") for network in NETWORKS[data]}
    found = {
        words: trainer.fit(made, seed=seed).accuracy(test) for words, trainer in judges.items()
    }
    words = ", ".join(f"{100 * value:.1f}% {judge}" for judge, value in found.items())
    seconds: float = json.loads(spent.read_text(encoding="utf-8"))["seconds"]
    return f"{words} on {len(made) // len(private.classes)} images a class", seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is not known yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=list(OPTIONS))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--methods", nargs="*", default=METHODS)
    parser.add_argument("--epsilons", nargs="*", choices=EPSILONS, default=EPSILONS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--machine", default="unnamed machine")
    parser.add_argument("--store", type=Path, required=True, help="folder of releases")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    keep_memory()
    private, test = load(options.data, limit=options.limit)
    test = test.select(range(min(len(test), 2000)))
    known = options.output.read_text().splitlines() if options.output.exists() else []
    head = f"{options.data}, {len(private)} records, delta 1e-5, add-remove; {options.machine}"
    if head not in known:
        keep(options.output, head)
    for epsilon in options.epsilons:
        for name in options.methods:
            for seed in range(options.seeds):
                key = f"{options.data} {len(private)} {name:16} epsilon {epsilon:<4} {seed}"
                if any(line.startswith(key) for line in known):
                    continue
                with one_thread():
                    words, spent = accuracies(
                        name, epsilon, options.data, private, test, options.store, seed
                    )
                line = f"{key}  {words}; {spent:.0f} CPU-seconds"
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
