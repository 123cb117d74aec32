"""The strong adversary, tracing and LiRA on distribution matching, side by side.

    python benchmarks/strong.py --machine "..." --output FILE

A slice of the digits, 5% of it mislabelled canaries; the strong adversary knows
every other record and attacks a few canaries one at a time, with fresh runs for each; the audit
attacks all canaries from shadow runs, through retrained models and through the images alone.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from limbeck import DistributionMatching, Pipeline, load
from limbeck.audit import prepare
from limbeck.audit.presets import Preset
from limbeck.audit.strong import strong
from limbeck.train.kernel_ridge import KernelRidge
from limbeck.workers import keep_memory, one_thread

ATTACKS = (("lira", "margin"), ("lira", "tracing"), ("lira", "nearest-l2"))


def main() -> None:
    """Run, print, and keep what was printed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=300, help="records of the slice")
    parser.add_argument("--ipc", type=int, default=1)
    parser.add_argument("--targets", type=int, default=3)
    parser.add_argument("--trials", type=int, default=64, help="runs for each target")
    parser.add_argument("--runs", type=int, default=32, help="shadow runs of the audit")
    parser.add_argument("--init", nargs="+", default=["noise", "real"])
    parser.add_argument("--machine", default="unnamed", help="the machine in words")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    keep_memory()
    private, test = load("digits", limit=options.limit)
    lines = [f"machine: {options.machine}"]
    for init in options.init:
        condenser = DistributionMatching(ipc=options.ipc, init=init)
        preset = Preset(
            options.runs, 0, 3, canaries=15, ordinary=options.limit // 2, control=300, views=1
        )
        session = prepare(
            Pipeline(condenser, KernelRidge()), private, test, preset=preset, company=False
        )
        made = session.plan
        lines += ["", f"{condenser.title} on {len(private)} digits"]
        with one_thread():
            started = time.process_time()
            known = np.ones(len(made.data), dtype=bool)
            known[made.canary] = False
            found = strong(
                Pipeline(condenser, None),
                made.data,
                made.canary[: options.targets].tolist(),
                trials=options.trials,
                known=known,
            )
            spent = time.process_time() - started
        lines.append(
            f"strong adversary, {options.targets} canaries x {options.trials} runs: AUC "
            f"{found.mean_auc}, TPR {found.tpr}, FPR {found.fpr}, epsilon at least "
            f"{found.epsilon.value:.2f}, by {found.reads}; {spent:.0f} CPU-s"
        )
        print("\n".join(lines[-3:]), flush=True)
        with tempfile.TemporaryDirectory() as folder:
            done = session.execute(folder, workers=1)
        for group in ("canary", "ordinary"):
            for name, signal in ATTACKS:
                try:
                    attack = done.subject.attack(name, signal, group)
                except KeyError:
                    continue
                one = attack.operating[1]
                lines.append(
                    f"{name} {signal}, {group} records, {options.runs} runs: AUC "
                    f"{attack.auc.plain()}, TPR at 1% FPR {one.tpr.plain()}"
                )
                print(lines[-1], flush=True)
    if options.output:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
