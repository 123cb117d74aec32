"""Do the audit's intervals cover, and do its bounds hold? Simulations with known truths.

    python benchmarks/calibration.py [--repetitions 100] [--seed 0] [--only coverage tightness ...]

One table each of: coverage, the named intervals under record and run effects; soundness, how
often a bound on epsilon is positive where nothing leaks or exceeds a known epsilon; claims, how
often a true claim of mu-GDP is refuted; tightness, how much of a known epsilon is proven; alarms,
how often an audit without a leak calls one, also when looked at after every chunk of runs; and
records, risks of single records and precision at a prior. Each is the work of one process; 1,000
repetitions take about half an hour on one core of a small server, two thirds of it coverage and
soundness.

How to read coverage: rates that an audit of the size calls "not resolvable" are counted apart. At
1,000 repetitions 4 of 80 such cells, all with a factor that a whole run shares, cover 89 to 93%
instead of 95%, and 8 are over 1.5 times as wide as an oracle's. So audits print no interval there,
and what they keep for the gate is an exact one that counts each run as one trial.
"""

import argparse
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from scipy import special, stats

from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.attacks.loss_threshold import LossThreshold
from limbeck.audit.inference import roc
from limbeck.audit.inference.epsilon import (
    epsilon_lower_bound,
    one_run_p_value,
    single_run_bound,
)
from limbeck.audit.inference.fixed_threshold import independent_bound, positive_predictive_value
from limbeck.audit.inference.gdp_test import (
    ALARM,
    gdp_lower_bound,
    gdp_p_value,
    right_guesses,
)
from limbeck.audit.inference.intervals import Clusters, clopper_pearson
from limbeck.audit.inference.record_risk import shrunk
from limbeck.audit.inference.sequential import (
    declared_looks,
    evidence_above,
    guess_limit,
    level_at_look,
)
from limbeck.audit.inference.verdict import FAMILYWISE, HINT
from limbeck.coins import numpy_generator
from limbeck.privacy.gaussian import mu_of
from limbeck.types import Estimate

ATTACKS = (LossThreshold(), LiRA(), LiRA(online=False))
DELTA = 1e-5
FACTOR = 0.5
"""Standard deviation of the logarithm of a factor that all signals of a run share."""


def main() -> None:
    """Print every table, or those asked for."""
    tables = {
        "coverage": coverage,
        "soundness": soundness,
        "claims": claims,
        "tightness": tightness,
        "alarms": alarms,
        "records": records,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=tables, default=list(tables))
    given = parser.parse_args()
    print(f"{given.repetitions} repetitions, seed {given.seed}")
    for name in given.only:
        started = time.process_time()
        tables[name](given.repetitions, given.seed)
        print(f"({time.process_time() - started:.0f} CPU-seconds)", flush=True)


def coverage(repetitions: int, seed: int) -> None:
    """Share of 95% intervals that hold their estimand, and their width beside the oracle's.

    A score is f x (shift x membership + N(0, 1)) + record effect + run effect, f = 1 or a factor
    of the whole run. The estimand of a TPR or FPR is the probability at the realised thresholds,
    that of the AUC is its mean over such draws (all pairs of trials, those of one run too). The
    oracle knows the standard deviation of (estimate - estimand); its interval is 2 x 1.96 of it.
    """
    print("\nCoverage of 95% intervals, % (and their mean width / the oracle's)")
    names = ["AUC", *(f"{n}@{f:g}" for f in roc.NOMINAL_FPRS for n in ("TPR", "FPR"))]
    print("runs records shift record run factor   " + " ".join(f"{name:>12}" for name in names))
    effects = ((0, 0, 0), (1, 0, 0), (0, 0.5, 0), (1, 0.5, 0), (1, 0.5, FACTOR))
    said = ("below 93", "above 98.5", "wider than 1.5")
    outside = {resolved: dict.fromkeys(said, 0) for resolved in (True, False)}
    cells = {True: 0, False: 0}
    for runs, units, shift, effect in itertools.product((16, 64), (100, 500), (0, 1), effects):
        g = numpy_generator(seed, "coverage", runs, units, shift, str(effect))
        drawn = [list(_estimates(g, runs, units, shift, *effect)) for _ in range(repetitions)]
        row = []
        for name, figures in zip(names, zip(*drawn, strict=True), strict=True):
            held = 100 * np.mean([e.low <= truth <= e.high for e, truth in figures])
            error = np.std([e.value - truth for e, truth in figures])
            width = np.mean([e.high - e.low for e, _ in figures]) / (2 * 1.96 * error)
            row.append(f"{held:5.1f} ({width:4.2f})")
            # An audit of this size calls the rate "not resolvable", prints no interval and keeps a
            # far wider one: what this one would be worth is counted apart, and is the reason.
            fpr = float(name.partition("@")[2] or 1.0)
            resolved = fpr * runs * units / 2 >= roc.EXPECTED_FALSE_POSITIVES
            cells[resolved] += 1
            for what, true in zip(said, (held < 93, held > 98.5, width > 1.5), strict=True):
                outside[resolved][what] += bool(true)
        head = f"{runs:4} {units:7} {shift:5} {effect[0]:6} {effect[1]:3} {effect[2]:6}   "
        print(head + " ".join(f"{cell:>12}" for cell in row), flush=True)
    for resolved, word in ((True, "resolvable"), (False, "not resolvable, so that it is not used")):
        counts = ", ".join(f"{count} {what}" for what, count in outside[resolved].items())
        print(f"Of {cells[resolved]} {word}: {counts}")


def _estimates(
    g: np.random.Generator,
    runs: int,
    units: int,
    shift: float,
    record: float,
    run: float,
    factor: float,
) -> Iterator[tuple[Estimate, float]]:
    member = g.random((runs, units)) < 0.5
    scores = g.standard_normal((runs, units)) + shift * member
    scores *= np.exp(factor * g.standard_normal((runs, 1)))
    scores += record * g.standard_normal(units) + run * g.standard_normal((runs, 1))
    trials = roc.Trials(scores, member)
    # The factor by Gauss-Hermite nodes; one node, 1, where there is none.
    nodes, weights = np.polynomial.hermite_e.hermegauss(24 if factor else 1)
    f, w = np.exp(factor * nodes), weights / weights.sum()

    def above(at: np.ndarray, mean: float) -> float:
        spread = np.sqrt(f**2 + record**2 + run**2)
        return float((stats.norm.sf((at[:, None] - f * mean) / spread) @ w).mean())

    # Of all pairs of trials, 1/runs share their run's effects and 1/units their record's.
    one, two = np.meshgrid(f, f)
    both = np.outer(w, w)
    same_run = special.ndtr(f * shift / np.sqrt(2 * f**2 + 2 * record**2)) @ w
    spread = one**2 + two**2 + 2 * run**2
    same_record = (special.ndtr(one * shift / np.sqrt(spread)) * both).sum()
    neither = (special.ndtr(one * shift / np.sqrt(spread + 2 * record**2)) * both).sum()
    area = same_run / runs + same_record / units + neither * (1 - 1 / runs - 1 / units)
    yield roc.auc(trials)[0], float(area)
    fprs = roc.NOMINAL_FPRS
    rates = (trials.hits(side, fprs).estimates() for side in (member, ~member))
    for at, tpr, fpr in zip(trials.thresholds(fprs), *rates, strict=True):
        yield tpr, above(at, shift)
        yield fpr, above(at, 0.0)


def soundness(repetitions: int, seed: int) -> None:
    """How often the 95% bound on epsilon exceeds the truth: at most 5%, at least 1% when null."""
    print("\nBound on epsilon above the truth, % of repetitions (95% bound: at most 5)")
    for runs, records in ((16, 100), (64, 100), (64, 500)):
        for name, draw, epsilon, delta in (
            ("nothing leaks", _nothing, 0.0, DELTA),
            ("nothing leaks, a factor shared by each run", _shared, 0.0, DELTA),
            ("delta 1% reveals all canaries of a run", _revealed, 0.0, 0.01),
            ("randomised response, epsilon 1", _randomised, 1.0, DELTA),
            (
                "Gaussian mechanism, epsilon 1",
                partial(_gaussian, shift=mu_of(1.0, DELTA)),
                1.0,
                DELTA,
            ),
        ):
            g = numpy_generator(seed, "soundness", name, runs, records)
            bounds = [_bound(draw(g, runs, records), delta) for _ in range(repetitions)]
            _print_above(runs, records, bounds, epsilon, name)
        response = 1 / (1 + math.e)
        g = numpy_generator(seed, "soundness", "independent", runs, records)
        trials = runs * records // 2
        for name, epsilon, tpr, fpr in (
            ("nothing leaks, independent trials", 0.0, 0.1, 0.1),
            ("randomised response, epsilon 1, independent trials", 1.0, 1 - response, response),
        ):
            bounds = [
                independent_bound(
                    int(g.binomial(trials, tpr)),
                    trials,
                    int(g.binomial(trials, fpr)),
                    trials,
                    delta=DELTA,
                ).low
                for _ in range(repetitions)
            ]
            _print_above(runs, records, bounds, epsilon, name)


def _print_above(runs: int, units: int, bounds: list[float], epsilon: float, name: str) -> None:
    above = 100 * np.mean([bound > epsilon for bound in bounds])
    print(
        f"{runs:3} runs x {units:3}: {above:5.1f}  mean bound {np.mean(bounds):5.2f}  {name}",
        flush=True,
    )


def claims(repetitions: int, seed: int) -> None:
    """How often a true claim of mu-GDP has a p-value of at most 5% and is refuted at the alarm.

    The Gaussian mechanism coordinate by coordinate, and a mechanism that tells all coins of a run
    with one drawn certainty, which is as dependent as mu-GDP allows.
    """
    print("\nTrue claims of mu-GDP refuted, %: at 5%, at the alarm's 0.1%; and if independence")
    print("is said, which it may only be of the first mechanism: at 5%")
    for runs, mu in itertools.product((1, 16, 64), (0.3, 1.0, 2.0)):
        for name, draw in (("each coin its own noise", _gaussian), ("one certainty", _certain)):
            g = numpy_generator(seed, "claims", name, runs, int(10 * mu))
            p_values, exact = [], []
            for _ in range(repetitions):
                observed = draw(g, runs, 200, shift=mu)
                data = (observed.signals[:, 0].astype(float), observed.membership, mu)
                p_values.append(gdp_p_value(*data))
                exact.append(gdp_p_value(*data, independent=True))
            print(
                f"{runs:3} runs x 200, mu {mu}: {100 * np.mean(np.array(p_values) <= 0.05):5.1f} "
                f"{100 * np.mean(np.array(p_values) <= ALARM):5.1f} "
                f"{100 * np.mean(np.array(exact) <= 0.05):5.1f}  {name}",
                flush=True,
            )


def tightness(repetitions: int, seed: int) -> None:
    """The mean bound as a share of a Gaussian mechanism's epsilon, 64 runs x 500 canaries."""
    repetitions = max(repetitions // 5, 20)
    print(f"\nMean bound / true epsilon, %, Gaussian mechanism, {repetitions} repetitions")
    print("epsilon   64 runs x 500: generic  mu-GDP  mu-GDP independent   one run of 500: generic")
    for epsilon in (1.0, 4.0, 10.0):
        g = numpy_generator(seed, "tightness", int(epsilon))
        shift = mu_of(epsilon, DELTA)
        bounds = []
        for _ in range(repetitions):
            observed = _gaussian(g, 64, 500, shift=shift)
            scores, coins = observed.signals[:, 0].astype(float), observed.membership
            bounds.append(
                (
                    _bound(observed, DELTA),
                    gdp_lower_bound(scores, coins, delta=DELTA).low,
                    gdp_lower_bound(scores, coins, delta=DELTA, independent=True).low,
                    single_run_bound(scores[0], coins[0], delta=DELTA).low,
                )
            )
        share = 100 * np.mean(bounds, axis=0) / epsilon
        print(
            f"{epsilon:7g} {share[0]:22.1f} {share[1]:7.1f} {share[2]:19.1f} {share[3]:25.1f}",
            flush=True,
        )


def alarms(repetitions: int, seed: int) -> None:
    """How often attacks on nothing have a corrected p-value below the verdict's limits."""
    print("\nAudits without a leak that would be told otherwise, %, by the corrected p-value")
    for runs, records in ((16, 100), (64, 500)):
        g = numpy_generator(seed, "false-alarms", runs, records)
        told = [_smallest(_shared(g, runs, records)) for _ in range(repetitions)]
        _print_told(f"{runs:3} runs x {records:3}", told)
    looks = declared_looks(64)
    g = numpy_generator(seed, "false alarms at looks")
    told = []
    for _ in range(repetitions):
        observed = _shared(g, 64, 100)
        # What a look may spend of each limit, so that the limits stand as they are below.
        told.append(min(_smallest(_first(observed, look.runs)) / look.share for look in looks))
    _print_told(f" 64 runs x 100, stopped at any of {len(looks)} declared looks", told)
    print("\nNothing leaks, 64 runs looked at after every 4, a false stop ever, %, by 95% of:")
    g = numpy_generator(seed, "peeking")
    stops = []
    for _ in range(repetitions):
        observed = _nothing(g, 64, 100)
        right = right_guesses(observed.signals[:, 0].astype(float), observed.membership, 100)
        bounds = [
            one_run_p_value(400 * k, 400 * k, int(v), 0.0, DELTA)
            for k, v in enumerate(np.cumsum(right)[3::4], 1)
        ]
        hits = g.binomial(50, 0.01, 64) / 50
        stops.append(
            (
                min(bounds) <= 0.05,
                any(p <= 1 - level_at_look(k) for k, p in enumerate(bounds, 1)),
                evidence_above(right / 100, guess_limit(0.0, DELTA, 100, 100)).max() >= 20,
                evidence_above(hits, 0.01).max() >= 20,
            )
        )
    rates = 100 * np.mean(stops, axis=0)
    print(
        f"the plain bound at each look {rates[0]:.1f} (no level is kept), spending {rates[1]:.1f}, "
        f"betting on guesses {rates[2]:.1f}, betting on a TPR at its limit {rates[3]:.1f}"
    )


def _smallest(observed: Observed) -> float:
    """The smallest p-value of any attack and any rate, corrected for their number."""
    values = []
    for attack in ATTACKS:
        trials = roc.Trials(attack.score(observed), observed.membership)
        values += [roc.auc(trials)[1], *(p.p_value for p in roc.operating(trials))]
    return len(values) * min(values)


def _first(observed: Observed, runs: int) -> Observed:
    return replace(observed, signals=observed.signals[:runs], membership=observed.membership[:runs])


def _print_told(name: str, smallest: list[float]) -> None:
    leak, hint = (100 * np.mean(np.array(smallest) < limit) for limit in (FAMILYWISE, HINT))
    print(
        f"{name}: leak {leak:.1f} (limit {FAMILYWISE:.0%}), something {hint:.1f} "
        f"(limit {HINT:.0%})",
        flush=True,
    )


def records(repetitions: int, seed: int) -> None:
    """Coverage of 95% intervals of single records' risks, and of 90% intervals of a precision."""
    repetitions = max(repetitions // 10, 5)
    print(f"\nRisk of each of 300 records from 32 judged runs, {repetitions} repetitions:")
    print("coverage of 95% intervals, %, and root mean square error / that of the raw share")
    for name in ("beta", "logit-normal", "one in ten at 80%", "all at 4%"):
        g = numpy_generator(seed, "records", name)
        held, error, raw = [], [], []
        for _ in range(repetitions):
            risk = {
                "beta": g.beta(0.5, 8, 300),
                "logit-normal": special.expit(-2.5 + 1.5 * g.standard_normal(300)),
                "one in ten at 80%": np.where(g.random(300) < 0.1, 0.8, 0.02),
                "all at 4%": np.full(300, 0.04),
            }[name]
            trials = g.binomial(32, 0.5, 300)
            hits = g.binomial(trials, risk)
            found = shrunk(hits, trials)
            held.append(np.mean((found.low <= risk) & (risk <= found.high)))
            error.append(np.mean((found.value - risk) ** 2))
            raw.append(np.mean((hits / np.maximum(trials, 1) - risk) ** 2))
        ratio = math.sqrt(np.mean(error) / np.mean(raw))
        print(f"{100 * np.mean(held):5.1f} {ratio:5.2f}  {name}", flush=True)
    g = numpy_generator(seed, "precision")
    for tpr, fpr, prior in ((0.2, 0.01, 0.5), (0.2, 0.01, 0.01), (0.02, 0.001, 0.1)):
        truth = tpr * prior / (tpr * prior + fpr * (1 - prior))
        covered = []
        for _ in range(20 * repetitions):
            precision = positive_predictive_value(_rate(g, tpr), _rate(g, fpr), prior)
            covered.append(precision.low <= truth <= precision.high)
        print(
            f"{100 * np.mean(covered):5.1f}  90% interval of the precision at TPR {tpr}, "
            f"FPR {fpr}, prior {prior}"
        )


def _rate(g: np.random.Generator, rate: float, trials: int = 4000) -> Estimate:
    hits = int(g.binomial(trials, rate))
    low, high = clopper_pearson(float(hits), float(trials))
    return Estimate(hits / trials, low, high, trials)


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


def _certain(g: np.random.Generator, runs: int, records: int, *, shift: float) -> Observed:
    member = g.random((runs, records)) < 0.5
    sure = special.expit(shift * np.abs(g.standard_normal((runs, 1)) + shift / 2))
    told = member ^ (g.random(member.shape) > sure)
    return _observed(told + 0.5 * g.random(member.shape), member)


def _gaussian(g: np.random.Generator, runs: int, records: int, *, shift: float) -> Observed:
    member = g.random((runs, records)) < 0.5
    return _observed(g.standard_normal(member.shape) + shift * member, member)


if __name__ == "__main__":
    main()
