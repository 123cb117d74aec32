"""What an initialisation leaks: canaries that are in it against canaries that are only trained on.

2,000 records of Fashion-MNIST, 5% of them mislabelled canaries with a fair coin in every run. In
half of its IN runs, by another coin, a canary is forced into the images that condensation starts
from; in the other half it is kept out of them. Both arms are scored by the same LiRA on networks
(for KIP, on kernel ridge regression) trained on the synthetic set, with the runs without the canary
as the common non-members.

hit@1: each synthetic image is compared (L2) with all records of its class; how often is the one
that it started from the nearest? Chance is one in the records of the class.

Results are kept by method and initialisation in ``--store``, so that a run can be continued.
"""

import argparse
import json
import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limbeck import Estimate, LabeledDataset, load
from limbeck.audit import plan
from limbeck.audit import views as query
from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.presets import Preset
from limbeck.audit.signals import observe
from limbeck.experiments import rates
from limbeck.experiments.forced import Starts, forcing, numbered, traced
from limbeck.files import write_json
from limbeck.recipe import build
from limbeck.train.base import Trainer
from limbeck.train.kernel_ridge import KernelRidge
from limbeck.train.standard import Standard
from limbeck.workers import keep_memory

RECORDS, IPC, CHUNK = 2_000, 10, 4
FPRS = (0.1, 0.01)
# One image of the start from one record: its slot can be told, and a canary can be forced in.
STARTS = ("real", "kaleidoscope:1", "kaleidoscope:3", "noised-real:0.5", "noise")

# Schedules that 2,000 records and many runs afford.
METHODS: dict[str, dict[str, Any]] = {
    "dm": {"width": 16},
    "dsa": {"width": 16, "networks": 1},
    "kip": {"steps": 300, "batch": 500},
}
NETWORK, KERNEL = Standard("convnet3", width=16), KernelRidge()
TRAINERS: dict[str, Trainer] = {"dm": NETWORK, "dsa": NETWORK, "kip": KERNEL}


@dataclass(frozen=True)
class Study:
    """The plan that all methods and initialisations share, and which records start each run."""

    made: plan.Plan
    test: LabeledDataset
    starts: Starts

    @classmethod
    def of(cls, runs: int) -> "Study":
        private, test = load("fashion-mnist", limit=RECORDS)
        sizes = Preset(runs, 0, 3, canaries=RECORDS // 20, ordinary=0, control=1, views=1)
        views = query.choose(1, private.shape, mirror=private.mirror)
        made = plan.make(
            numbered(private), test, views, preset=sizes, canary_kind="mislabelled", seed=0
        )
        few = test.select(torch.arange(0, len(test), 5))
        return cls(made, few, Starts.draw(made, IPC))


@dataclass(frozen=True)
class Task:
    """Some runs of one method from one start."""

    method: str
    start: str
    runs: int
    rows: tuple[int, ...]
    store: Path

    @property
    def result(self) -> Path:
        name = f"{self.method}-{self.start.replace(':', '-')}-{self.rows[0]:03d}.json"
        return self.store / name


def perform(task: Task) -> None:
    """Run the mechanism on the task's rows and keep margins, accuracies and hits."""
    torch.set_num_threads(1)
    keep_memory()
    study = Study.of(task.runs)
    made, rows = study.made, list(task.rows)
    options = {"ipc": IPC, "init": task.start, **METHODS[task.method]}
    method = build(task.method, options, "synthesizer").resolve(made.data)
    if task.start != "noise":
        method = forcing(method, study.starts, {made.seeds[row]: row for row in rows})
    seeds = [made.seeds[row] for row in rows]
    membership = torch.from_numpy(made.membership[rows])
    trainer = TRAINERS[task.method]
    canaries = made.data.select(torch.from_numpy(made.canary))
    found: dict[str, list[Any]] = {"margins": [], "accuracy": [], "hits": []}
    for row, synthetic in zip(
        rows, method.synthesize_many(made.data, membership, seeds), strict=True
    ):
        classifier = trainer.fit(synthetic, seed=made.seeds[row])
        signals = observe(classifier, canaries.inputs, canaries.labels, made.views)
        found["margins"].append(signals[0, 0].tolist())
        found["accuracy"].append(classifier.accuracy(study.test))
        allowed, seed = study.starts.allowed[row], made.seeds[row]
        found["hits"].append(traced(made.data, allowed, synthetic.inputs, IPC, seed))
    write_json(task.result, {"rows": rows, **found})


def judge(study: Study, parts: list[dict[str, Any]], *, reads_records: bool) -> dict[str, Any]:
    """Accuracy without canaries, hit@1, and TPR at each FPR in both arms."""
    made = study.made
    rows = [row for part in parts for row in part["rows"]]
    order = np.argsort(rows)
    margins, accuracy, hits = (
        np.concatenate([np.array(part[name]) for part in parts])[order]
        for name in ("margins", "accuracy", "hits")
    )
    runs = made.runs
    inside = made.membership[:runs][:, made.canary]
    observed = Observed(margins[:runs, None].astype(np.float32), inside)
    scores = LiRA().score(observed)
    forced = study.starts.forced[:runs] & reads_records
    arms = {"in the start": forced, "only trained on": inside & ~forced}
    utility = Estimate.of_mean(accuracy[runs:].tolist())
    found: dict[str, Any] = {"accuracy": utility}
    if reads_records:
        found["hit@1"] = Estimate.of_mean(hits[:runs].tolist())
    for name, arm in arms.items():
        for fpr in FPRS:
            hits = rates.above(scores, inside, fpr)
            found[f"TPR at {fpr:g} FPR, {name}"] = rates.share(hits, arm)
    return found


def figure(table: dict[str, dict[str, dict[str, Any]]], path: Path) -> None:
    """TPR at 10% FPR in both arms against accuracy, one panel a method."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    panels, axes = plt.subplots(1, len(table), figsize=(4 * len(table), 3.6), squeeze=False)
    for axis, (method, starts) in zip(axes[0], table.items(), strict=True):
        for name, marker, colour in (
            ("in the start", "s", "#b2182b"),
            ("only trained on", "o", "#2166ac"),
        ):
            for start, found in starts.items():
                value = found[f"TPR at {FPRS[0]:g} FPR, {name}"]
                if not value.trials:
                    continue
                x = 100 * found["accuracy"].value
                reach = [[value.value - value.low], [value.high - value.value]]
                axis.errorbar(
                    x, value.value, yerr=np.abs(reach), marker=marker, color=colour, capsize=2
                )
                # Both arms of a start have one accuracy: it is named once.
                if not name.startswith("in"):
                    at = (x, value.high)
                    axis.annotate(
                        start, at, (2, 2), textcoords="offset points", size=7, rotation=40
                    )
        axis.axhline(FPRS[0], color="grey", lw=0.8, ls=":")
        axis.set(title=method, xlabel="accuracy without canaries, %", ylim=(0, 1.15))
    axes[0][0].set_ylabel("TPR on canaries at 10% FPR")
    panels.suptitle("squares: canaries in the start; circles: canaries only trained on", size=9)
    panels.tight_layout()
    panels.savefig(path, dpi=110)


def main() -> None:
    """Run what is missing, print the table, keep it and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--starts", nargs="+", default=list(STARTS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--machine", default="unnamed", help="the machine in words")
    parser.add_argument("--output", type=Path, help="of the table; the figure goes beside it")
    options = parser.parse_args()
    options.store.mkdir(parents=True, exist_ok=True)
    study = Study.of(options.runs)
    every = range(len(study.made.membership))
    chunks = [tuple(every[i : i + CHUNK]) for i in range(0, len(every), CHUNK)]
    tasks = {
        (method, start): [Task(method, start, options.runs, c, options.store) for c in chunks]
        for method in options.methods
        for start in options.starts
    }
    waiting = [t for several in tasks.values() for t in several if not t.result.exists()]
    with multiprocessing.get_context("spawn").Pool(options.workers, maxtasksperchild=1) as pool:
        for _ in pool.imap_unordered(perform, waiting):
            pass
    table: dict[str, dict[str, dict[str, Any]]] = {}
    lines = [
        f"{RECORDS} records of Fashion-MNIST, {IPC} images per class, {options.runs} runs, "
        f"{len(study.made.canary)} canaries; LiRA on a ConvNet-3 of width 16, kip: kernel ridge",
        f"machine: {options.machine}",
    ]
    for (method, start), several in tasks.items():
        parts = [json.loads(task.result.read_text(encoding="utf-8")) for task in several]
        found = judge(study, parts, reads_records=start != "noise")
        table.setdefault(method, {})[start] = found
        lines += [f"\n{method} from {start}"]
        lines += [f"  {name:38} {value}" for name, value in found.items()]
    text = "\n".join(lines)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
        figure(table, options.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
