"""How strong each attack is on one set of real shadow signals, and how fast the two large ones are.

    python benchmarks/attacks.py --store attacks-fashion --machine "..." --output FILE

Strength: an undefended network on a slice of Fashion-MNIST, run many times on random subsets; the
plan, the views and the signals are those of an audit, kept in the store so that a killed run goes
on. Speed: LiRA and RMIA over 256 runs of 50,000 records in 18 views, and the same formulae as a
Python loop over records and runs, timed on a slice and multiplied.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from limbeck import Pipeline, Standard, load
from limbeck.audit import plan as planning
from limbeck.audit import views
from limbeck.audit.attacks.base import SIGNALS, MembershipAttack, Observed, Signal
from limbeck.audit.attacks.entropy_threshold import EntropyThreshold
from limbeck.audit.attacks.lira import LiRA, lira
from limbeck.audit.attacks.loss_threshold import LossThreshold
from limbeck.audit.attacks.quantile_regression import QuantileRegression
from limbeck.audit.attacks.rmia import RMIA, rmia
from limbeck.audit.attacks.shokri import decided, shokri
from limbeck.audit.inference import roc
from limbeck.audit.presets import Preset
from limbeck.audit.signals import observe
from limbeck.audit.store import Store
from limbeck.coins import numpy_generator
from limbeck.recipe import recipe
from limbeck.workers import keep_memory, one_thread, peak_memory

GROUPS = ("canary", "ordinary")
SIZE = (256, 18, 50_000)
"""Runs, views and records of the timing, with so many population points:"""
POINTS = 1_000
LOOP_RECORDS = 10


def attacks() -> Iterator[tuple[MembershipAttack, Signal]]:
    """Every attack of signals, with the signal that it is given."""
    yield LossThreshold(), "margin"
    yield LossThreshold(per_class=True), "margin"
    yield EntropyThreshold(), "entropy"
    yield EntropyThreshold(per_class=True), "entropy"
    yield QuantileRegression(), "margin"
    for signal in ("margin", "hinge"):
        yield LiRA(variance="pooled"), signal
        yield LiRA(variance="per-record"), signal
        yield LiRA(online=False, variance="pooled"), signal
        yield LiRA(online=False, variance="per-record"), signal
    yield RMIA(), "margin"
    yield RMIA(gamma=2.0), "margin"
    yield RMIA(online=False), "margin"


class Shadows:
    """Signals (runs, views, kinds, records) and softmax (runs, records, classes) of all runs."""

    def __init__(self, options: argparse.Namespace) -> None:
        private, test = load("fashion-mnist", limit=options.limit)
        preset = Preset(
            options.runs, 0, 0, canaries=250, ordinary=options.ordinary, control=1_000, views=1
        )
        chosen = views.choose(1, private.shape, mirror=private.mirror)
        self.plan = planning.make(
            private, test, chosen, preset=preset, canary_kind="mislabelled", seed=0
        )
        trainer = Standard(options.network, "full", width=options.width)
        self.mechanism = Pipeline(None, trainer).resolve(private)
        described = {**self.plan.described(), "mechanism": recipe(self.mechanism)}
        described["hash"] = planning.digest(described)
        store = Store(options.store)
        store.begin(described, overwrite=False)
        self.cpu_seconds = 0.0
        parts = [self._run(store, row, described["hash"]) for row in range(options.runs)]
        self.signals = np.concatenate([part["signals"].numpy() for part in parts])
        self.softmax = np.concatenate([part["softmax"].numpy() for part in parts])
        self.groups = np.array(self.plan.groups)
        self.labels = self.plan.queries.labels.numpy()
        self.membership = np.zeros((options.runs, len(self.groups)), dtype=bool)
        self.membership[:, : len(self.plan.observed)] = self.plan.membership[
            : options.runs, self.plan.observed
        ]
        control = self.softmax[:, self.groups == "control"].argmax(2)
        self.accuracy = float((control == self.labels[self.groups == "control"]).mean())

    def _run(self, store: Store, row: int, hashed: str) -> dict[str, torch.Tensor]:
        key = planning.digest({"plan": hashed, "row": row})
        if not store.has(key):
            started = time.process_time()
            (release,) = self.mechanism.run_many(
                self.plan.data,
                torch.from_numpy(self.plan.membership[[row]]),
                [self.plan.seeds[row]],
            )
            assert release.classifier is not None
            asked = self.plan.queries
            signals = observe(release.classifier, asked.inputs, asked.labels, self.plan.views)
            softmax = release.classifier.logits(asked.inputs).softmax(1)[None]
            spent = torch.tensor(time.process_time() - started)
            found = {"signals": torch.from_numpy(signals)[None], "softmax": softmax, "cost": spent}
            store.write(key, found)
            print(f"run {row + 1} of {self.plan.runs}: {float(spent):.1f} CPU-s", flush=True)
        part = store.read(key)
        self.cpu_seconds += float(part["cost"])
        return part

    def observed(self, group: str, signal: Signal) -> Observed:
        """What an attack reads of one group."""
        kind = SIGNALS.index(signal)
        records, points = (np.flatnonzero(self.groups == g) for g in (group, "control"))
        return Observed(
            self.signals[:, :, kind, records],
            self.membership[:, records],
            population=self.signals[:, :, kind, points],
            labels=self.labels[records],
        )


def strength(options: argparse.Namespace) -> Iterator[str]:
    """The table of every attack against canaries and ordinary records."""
    shadows = Shadows(options)
    yield (
        f"Strength: {shadows.mechanism.title} on {len(shadows.plan.data)} records of "
        f"Fashion-MNIST, {options.runs} shadow runs ({shadows.cpu_seconds:.0f} CPU-s), one view, "
        f"accuracy on unseen records {100 * shadows.accuracy:.1f} %"
    )
    for group in GROUPS:
        records = int((shadows.groups == group).sum())
        kind = "mislabelled canaries" if group == "canary" else "ordinary records"
        yield ""
        yield (
            f"{records} {kind}: AUC, TPR at 1% FPR, TPR at 0.1% FPR, each with its 95% interval; "
            "false positives at 0.1%; CPU-s"
        )
        for attack, signal in attacks():
            started = time.process_time()
            seen = shadows.observed(group, signal)
            scores = attack.score(seen)
            spent = time.process_time() - started
            gamma = f" gamma {attack.gamma:g}" if isinstance(attack, RMIA) else ""
            yield _row(f"{attack.title}{gamma} ({signal})", scores, seen.membership, spent)
        yield from _shokri(shadows, group)
    yield ""
    yield _against_the_formula(shadows)


def _shokri(shadows: Shadows, group: str) -> Iterator[str]:
    """The shadow-model attack: fitted on the first half of the runs, judged on the second."""
    records = np.flatnonzero(shadows.groups == group)
    softmax = shadows.softmax[:, records].astype(np.float64)
    member, labels = shadows.membership[:, records], shadows.labels[records]
    half = len(member) // 2
    for model in ("svm", "logistic"):
        started = time.process_time()
        judged = softmax[half:]
        scores = shokri(
            softmax[:half],
            labels,
            member[:half],
            judged.reshape(-1, judged.shape[2]),
            np.tile(labels, len(judged)),
            model=model,
            rows_per_class=300,
        )
        spent = time.process_time() - started
        found = decided(scores, member[half:].ravel())
        yield _row(f"shokri {model}", scores.reshape(len(judged), -1), member[half:], spent) + (
            f" accuracy {found.accuracy:.3f}, precision {found.precision:.3f}, recall "
            f"{found.recall:.3f}; {len(judged)} runs judged"
        )


def _row(name: str, scores: np.ndarray, member: np.ndarray, spent: float) -> str:
    trials = roc.Trials(scores, member)
    area = roc.auc(trials)[0]
    one, tenth = roc.operating(trials, (0.01, 0.001))
    cells = [f"{e.value:.4f} [{e.low:.4f}, {e.high:.4f}]" for e in (area, one.tpr, tenth.tpr)]
    for place, point in ((1, one), (2, tenth)):
        if not point.resolvable:  # too few false positives are expected for an interval to hold
            cells[place] = f"{point.tpr.value:.4f} (not resolvable)"
    return f"{name:34} {'  '.join(cells)} {tenth.false_positives:5} {spent:6.2f}"


def _against_the_formula(shadows: Shadows) -> str:
    """RMIA on the stored signals beside its formula, record by record."""
    seen = shadows.observed("canary", "margin")
    assert seen.population is not None
    few = slice(0, LOOP_RECORDS)
    fast = rmia(seen.signals[..., few], seen.population, seen.membership[:, few])
    slow = _rmia_loop(seen.signals[..., few], seen.population, seen.membership[:, few])
    return (
        f"RMIA beside its formula in a Python loop, {fast.size} scores of the stored canaries: "
        f"largest difference {np.abs(fast - slow).max():.1e}"
    )


def speed(only: str) -> Iterator[str]:
    """CPU time and memory of LiRA or RMIA at full size, beside the loop."""
    runs, seen, records = SIZE
    g = numpy_generator(0, "timing")
    member = g.random((runs, records)) < 0.5
    signals = np.empty(SIZE, dtype=np.float32)
    for run in range(runs):
        g.standard_normal(dtype=np.float32, out=signals[run])
    points = g.standard_normal((runs, seen, POINTS), dtype=np.float32)
    yield (
        f"{runs} runs x {records} records x {seen} views, {signals.nbytes / 2**30:.1f} GiB of "
        f"signals, one thread; before: peak {peak_memory() / 2**30:.1f} GiB"
    )
    few = (signals[..., :LOOP_RECORDS].copy(), member[:, :LOOP_RECORDS].copy())
    work: dict[str, tuple[Callable[[], np.ndarray], Callable[[], np.ndarray]]] = {
        "lira": (
            lambda: lira(signals, member),
            lambda: _lira_loop(*few),
        ),
        "rmia": (
            lambda: rmia(signals, points, member),
            lambda: _rmia_loop(few[0], points, few[1]),
        ),
    }
    fast, slow = work[only]
    seconds = _timed(fast)
    peak = peak_memory() / 2**30
    loop = _timed(slow) * records / LOOP_RECORDS
    yield (
        f"{only}: {seconds:.1f} CPU-s, peak of the process {peak:.1f} GiB; the Python loop "
        f"{loop / 3600:.1f} CPU-hours ({LOOP_RECORDS} records timed, multiplied): "
        f"{loop / seconds:.0f} times"
    )


def _timed(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _lira_loop(signals: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Online LiRA with each record's own variance, one (run, record, view) after another."""
    runs, seen, records = signals.shape
    scores = np.zeros((runs, records))
    for run in range(runs):
        others = np.arange(runs) != run
        for record in range(records):
            inside = others & member[:, record]
            outside = others & ~member[:, record]
            for view in range(seen):
                x = float(signals[run, view, record])
                total = 0.0
                for side, sign in ((inside, 1.0), (outside, -1.0)):
                    values = signals[side, view, record].astype(np.float64)
                    variance = values.var(ddof=1)
                    total -= sign * ((x - values.mean()) ** 2 / variance + np.log(variance)) / 2
                scores[run, record] += total / seen
    return scores


def _rmia_loop(signals: np.ndarray, population: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Online RMIA with gamma 1: the share of the points z with LR(x, z) > 1, record by record."""
    runs, seen, records = signals.shape
    p = 1 / (1 + np.exp(-signals.astype(np.float64)))
    q = 1 / (1 + np.exp(-population.astype(np.float64)))
    scores = np.zeros((runs, records))
    for run in range(runs):
        others = np.arange(runs) != run
        usual = q[others].mean(0)
        for record in range(records):
            inside = others & member[:, record]
            outside = others & ~member[:, record]
            for view in range(seen):
                own = p[inside, view, record].mean() / 2 + p[outside, view, record].mean() / 2
                ratio = (p[run, view, record] / own) / (q[run, view] / usual[view])
                scores[run, record] += (ratio > 1 + 1e-9).mean() / seen
    return scores


def main() -> None:
    """Parse the options, run, print, and keep what was printed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, default=Path("attacks-fashion"))
    parser.add_argument("--limit", type=int, default=5_000, help="records of the slice")
    parser.add_argument("--ordinary", type=int, default=2_000, help="of them attacked")
    parser.add_argument("--runs", type=int, default=32)
    parser.add_argument("--network", default="mlp")
    parser.add_argument("--width", type=int)
    parser.add_argument("--only", choices=["strength", "lira", "rmia"], default="strength")
    parser.add_argument("--machine", default="unnamed", help="the machine in words")
    parser.add_argument("--output", type=Path, help="appended to")
    options = parser.parse_args()
    keep_memory()
    with one_thread():
        made = strength(options) if options.only == "strength" else speed(options.only)
        lines = [f"machine: {options.machine}"]
        for line in made:
            print(line, flush=True)
            lines.append(line)
    if options.output:
        with options.output.open("a", encoding="utf-8") as file:
            file.write("\n".join([*lines, "", ""]))


if __name__ == "__main__":
    main()
