"""Do the audit's intervals cover, and do its bounds hold? Simulations with known truths.

    python benchmarks/calibration.py [--repetitions 300] [--seed 0]

Prints four tables: coverage and width of the intervals under record and run effects; how often
the bound on epsilon is positive where nothing leaks or exceeds a known epsilon; how much of a
known epsilon it proves; how often an audit without a leak calls one. Each is the work of one
process.
"""

import argparse
import itertools
import math
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
from scipy import special, stats

from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.attacks.loss_threshold import LossThreshold
from limbeck.audit.inference import roc
from limbeck.audit.inference.epsilon import epsilon_lower_bound
from limbeck.audit.inference.gaussian import positive_control_shift
from limbeck.audit.inference.intervals import Clusters
from limbeck.audit.inference.verdict import FAMILYWISE, HINT
from limbeck.coins import numpy_generator
from limbeck.types import Estimate

ATTACKS = (LossThreshold(), LiRA(), LiRA(online=False))
DELTA = 1e-5


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    started = time.process_time()
    print(f"{given.repetitions} repetitions, seed {given.seed}")
    coverage(given.repetitions, given.seed)
    soundness(given.repetitions, given.seed)
    tightness(max(given.repetitions // 5, 20), given.seed)
    false_alarms(given.repetitions, given.seed)
    print(f"\n{time.process_time() - started:.0f} CPU-seconds")


def coverage(repetitions: int, seed: int) -> None:
    """Share of 95% intervals that hold their estimand, and their width beside the oracle's.

    A score is shift x membership + record effect + run effect + N(0, 1). The estimand of a TPR or
    FPR is the probability at the realised thresholds, that of the AUC is its mean over such draws
    (all pairs of trials, those of one run too). The oracle knows the standard deviation of
    (estimate - estimand); its interval is 2 x 1.96 of it wide.
    """
    print("\nCoverage of 95% intervals, % (and their mean width / the oracle's)")
    names = ["AUC", *(f"{n}@{f:g}" for f in roc.NOMINAL_FPRS for n in ("TPR", "FPR"))]
    print("runs records shift record run   " + " ".join(f"{name:>12}" for name in names))
    grid = itertools.product((16, 64), (100, 500), (0, 1), ((0, 0), (1, 0), (0, 0.5), (1, 0.5)))
    for runs, records, shift, (record, run) in grid:
        g = numpy_generator(seed, "coverage", runs, records, shift, str((record, run)))
        drawn = [list(_estimates(g, runs, records, shift, record, run)) for _ in range(repetitions)]
        cells = []
        for figures in zip(*drawn, strict=True):
            held = np.mean([e.low <= truth <= e.high for e, truth in figures])
            error = np.std([e.value - truth for e, truth in figures])
            width = np.mean([e.high - e.low for e, _ in figures])
            cells.append(f"{100 * held:5.1f} ({width / (2 * 1.96 * error):4.2f})")
        head = f"{runs:4} {records:7} {shift:5} {record:6} {run:3}   "
        print(head + " ".join(f"{cell:>12}" for cell in cells), flush=True)


def _estimates(
    g: np.random.Generator, runs: int, records: int, shift: float, record: float, run: float
) -> Iterator[tuple[Estimate, float]]:
    member = g.random((runs, records)) < 0.5
    scores = g.standard_normal((runs, records)) + shift * member
    scores += record * g.standard_normal(records) + run * g.standard_normal((runs, 1))
    spread = math.sqrt(1 + record**2 + run**2)
    trials = roc.Trials(scores, member)
    # Of all pairs of trials, 1/runs share their run's effect and 1/records their record's.
    pairs = [(1 / runs, 1 + record**2), (1 / records, 1 + run**2)]
    pairs.append((1 - 1 / runs - 1 / records, spread**2))
    yield roc.auc(trials)[0], sum(w * special.ndtr(shift / math.sqrt(2 * v)) for w, v in pairs)
    for point, at in zip(roc.operating(trials), trials.thresholds(roc.NOMINAL_FPRS), strict=True):
        yield point.tpr.plain(), float(stats.norm.sf((at - shift) / spread).mean())
        yield point.realised_fpr.plain(), float(stats.norm.sf(at / spread).mean())


def soundness(repetitions: int, seed: int) -> None:
    """How often the 95% bound on epsilon exceeds the truth: at most 5%, at least 1% when null."""
    print("\nBound on epsilon above the truth, % of repetitions (95% bound: at most 5)")
    for runs, records in ((16, 100), (64, 100), (64, 500)):
        for name, draw, epsilon, delta in (
            ("nothing leaks", _nothing, 0.0, DELTA),
            ("nothing leaks, a factor shared by each run", _shared, 0.0, DELTA),
            ("delta 1% reveals all canaries of a run", _revealed, 0.0, 0.01),
            ("randomised response, epsilon 1", _randomised, 1.0, DELTA),
            ("Gaussian mechanism, epsilon 1", partial(_gaussian, epsilon=1.0), 1.0, DELTA),
        ):
            g = numpy_generator(seed, "soundness", name, runs, records)
            bounds = [_bound(draw(g, runs, records), delta) for _ in range(repetitions)]
            above = 100 * np.mean([bound > epsilon for bound in bounds])
            print(
                f"{runs:3} runs x {records:3}: {above:5.1f}  mean bound {np.mean(bounds):5.2f}  "
                f"{name}",
                flush=True,
            )


def tightness(repetitions: int, seed: int) -> None:
    """The mean bound as a share of a Gaussian mechanism's epsilon, 64 runs x 500 canaries."""
    print(f"\nMean bound / true epsilon, Gaussian mechanism, 64 x 500, {repetitions} repetitions")
    for epsilon in (1.0, 4.0, 10.0):
        g = numpy_generator(seed, "tightness", int(epsilon))
        draw = partial(_gaussian, epsilon=epsilon)
        bounds = [_bound(draw(g, 64, 500), DELTA) for _ in range(repetitions)]
        print(f"epsilon {epsilon:4g}: {100 * np.mean(bounds) / epsilon:5.1f}%", flush=True)


def false_alarms(repetitions: int, seed: int) -> None:
    """How often attacks on nothing have a corrected p-value below the verdict's limits."""
    print("\nAudits without a leak that would be told otherwise, %, by the corrected p-value")
    for runs, records in ((16, 100), (64, 500)):
        g = numpy_generator(seed, "false-alarms", runs, records)
        smallest = []
        for _ in range(repetitions):
            observed = _shared(g, runs, records)
            values = []
            for attack in ATTACKS:
                trials = roc.Trials(attack.score(observed), observed.membership)
                values += [roc.auc(trials)[1], *(p.p_value for p in roc.operating(trials))]
            smallest.append(len(values) * min(values))
        leak, hint = (100 * np.mean(np.array(smallest) < limit) for limit in (FAMILYWISE, HINT))
        print(
            f"{runs:3} runs x {records:3}: leak {leak:.1f} (limit {FAMILYWISE:.0%}), "
            f"something {hint:.1f} (limit {HINT:.0%})",
            flush=True,
        )


def _bound(observed: Observed, delta: float) -> float:
    runs, records = observed.membership.shape
    halves = np.arange(runs) % 2 == 1
    candidates = [(attack, observed) for attack in ATTACKS]
    return epsilon_lower_bound(candidates, halves, Clusters.separate(records), delta=delta).low


def _observed(signals: np.ndarray, member: np.ndarray) -> Observed:
    return Observed(signals[:, None].astype(np.float32), member)


def _nothing(g: np.random.Generator, runs: int, records: int) -> Observed:
    member = g.random((runs, records)) < 0.5
    return _observed(g.standard_normal(member.shape), member)


def _shared(g: np.random.Generator, runs: int, records: int) -> Observed:
    member = g.random((runs, records)) < 0.5
    noise = g.standard_normal(member.shape) * np.exp(0.5 * g.standard_normal((runs, 1)))
    return _observed(noise + g.standard_normal((runs, 1)) + 2 * g.standard_normal(records), member)


def _revealed(g: np.random.Generator, runs: int, records: int) -> Observed:
    member = g.random((runs, records)) < 0.5
    noise = g.standard_normal(member.shape)
    return _observed(np.where(g.random((runs, 1)) < 0.01, 100 * member, noise), member)


def _randomised(g: np.random.Generator, runs: int, records: int) -> Observed:
    member = g.random((runs, records)) < 0.5
    told = member ^ (g.random(member.shape) < 1 / (1 + math.e))
    return _observed(10 * told + g.standard_normal(member.shape), member)


def _gaussian(g: np.random.Generator, runs: int, records: int, *, epsilon: float) -> Observed:
    member = g.random((runs, records)) < 0.5
    shift = positive_control_shift(epsilon, DELTA)
    return _observed(g.standard_normal(member.shape) + shift * member, member)


if __name__ == "__main__":
    main()
