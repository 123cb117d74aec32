"""The standard audit of distribution matching on all of Fashion-MNIST, against a naive one.

The naive audit repeats the published loop, which reads minibatches of private images at every
step, in every run. A few of its steps are timed in this process and multiplied: it is never run
in full, and the printout says so. Run it with

    python benchmarks/audit.py --store audit-fashion --output benchmarks/results/audit-NAME.txt

Killed and started again, it goes on; the wall time is then that of the last part alone.
"""

import argparse
import time
from pathlib import Path

from limbeck import DistributionMatching, Pipeline, Standard, load
from limbeck.audit import Audit, prepare
from limbeck.data import LabeledDataset
from limbeck.workers import keep_memory, one_thread


def naive_step(private: LabeledDataset, ipc: int, steps: int) -> float:
    """CPU-seconds of one step of the published loop, from ``steps`` of them after a first one."""
    spent = []
    for count in (1, 1 + steps):
        method = DistributionMatching.reference(ipc=ipc, steps=count).resolve(private)
        started = time.process_time()
        method.synthesize(private, seed=0)
        spent.append(time.process_time() - started)
    return (spent[1] - spent[0]) / steps


def table(done: Audit, wall: float, step: float, options: argparse.Namespace) -> str:
    """The figures as text."""
    subject = done.subject
    cost = done.cost["subjects"][subject.title]
    runs = done.evidence.plan["preset"]["runs"] + done.evidence.plan["preset"]["utility_runs"]
    lines = [
        f"Standard audit of {subject.title} on Fashion-MNIST, {done.evidence.dataset['records']} "
        f"records, {runs} runs, {options.workers} workers",
        f"machine: {options.machine}",
        "",
        f"wall time                {wall / 60:8.1f} min (company and plan included: no)",
        f"CPU time, all            {cost['cpu_seconds']:8.0f} s",
        f"peak memory of a process {cost['peak_memory_mib']:8.0f} MiB",
        f"accuracy, no canaries    {100 * subject.utility.value:8.2f} % "
        f"[{100 * subject.utility.low:.2f}, {100 * subject.utility.high:.2f}]",
    ]
    for attack in subject.attacks:
        area = attack.auc
        lines.append(
            f"AUC {attack.name} {attack.signal} {attack.group}: {area.value:.4f} "
            f"[{area.low:.4f}, {area.high:.4f}]"
        )
    for point in subject.attack("lira").operating:
        lines.append(
            f"LiRA TPR at FPR {point.nominal_fpr:g} on canaries: {point.tpr.value:.4f} "
            f"[{point.tpr.low:.4f}, {point.tpr.high:.4f}], {point.false_positives} false positives"
        )
    lines += [
        f"epsilon lower bound: {subject.epsilon_lower.value:.3f}",
        f"positive control: {subject.positive_control.sentence}",
        f"null test: {subject.null_test.sentence}",
        f"verdict: {done.evidence.verdict.outcome}",
        "",
        f"one step of the published loop: {step:.2f} CPU-s (timed here, {options.steps} steps)",
    ]
    # The training and querying of each run are the same in both; only condensing is multiplied.
    for steps in (50, 20_000):
        naive = step * steps * runs
        lines.append(
            f"condensing naively in every run, {steps} steps: {naive / 3600:.1f} CPU-hours "
            f"(multiplied, not run): {(naive + cost['cpu_seconds']) / cost['cpu_seconds']:.0f} "
            "times this audit"
        )
    return "\n".join(lines)


def main() -> None:
    """Parse the options, run, print, and keep what was printed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True, help="folder of the audit")
    parser.add_argument("--limit", type=int, help="a slice of the records")
    parser.add_argument("--preset", default="standard", choices=["quick", "standard", "thorough"])
    parser.add_argument("--ipc", type=int, default=10)
    parser.add_argument("--init", default="real", choices=["real", "noise"])
    parser.add_argument("--steps", type=int, default=3, help="of the published loop to time")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", type=float, default=6.0, help="GiB")
    parser.add_argument("--machine", default="unnamed", help="the machine in words")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    keep_memory()
    private, test = load("fashion-mnist", limit=options.limit)
    with one_thread():
        step = naive_step(private, options.ipc, options.steps)
    print(f"one step of the published loop: {step:.2f} CPU-s", flush=True)
    mechanism = Pipeline(
        DistributionMatching(ipc=options.ipc, init=options.init),
        Standard("convnet3", "search", width=32),
    )
    started = time.perf_counter()
    session = prepare(mechanism, private, test, preset=options.preset, company=False)
    done = session.execute(
        options.store,
        workers=options.workers,
        memory=int(options.memory * 2**30),
        progress=lambda share, what: print(
            f"{100 * share:.0f}% after {(time.perf_counter() - started) / 60:.1f} min, {what}",
            flush=True,
        ),
    )
    text = table(done, time.perf_counter() - started, step, options)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
