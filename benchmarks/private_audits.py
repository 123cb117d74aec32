"""What audits see of methods with a guarantee: measured bounds beside the accountant's epsilon.

Three parts, on one axis in the figure that is written beside the results:

boundary   the noisy sum itself is seen, and all records but the planted ones are known (matched
           canaries): limbeck's own release at epsilon 1 and 10
broken     the same of three mechanisms that claim epsilon 1 and do not keep it: noise drawn again
           at each of 30 steps on stored sums, noise from one of 1,000 seeds, a record of ten times
           the norm that its sum was noised for
black box  each synthesizer at epsilon 1 and 10 on the digits: shadow runs of the whole mechanism, a
           network trained on each product, all attacks of an audit on mislabelled canaries

Lower bounds are at 95%. Run it with

    python benchmarks/private_audits.py --store DIR --machine "words" --output RESULTS

Audits that the store holds are not run again. ``OPTIONS`` shorten the methods: their guarantee does
not depend on how long they run but by the events that are accounted for.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import limbeck as lb
from limbeck.audit.boundary import Boundary, attack
from limbeck.audit.noisy_queries import signed, through_budget
from limbeck.audit.presets import Preset
from limbeck.data import LabeledDataset
from limbeck.files import write_json, write_text
from limbeck.privacy.claim import Claim
from limbeck.recipe import build
from limbeck.report.epsilon_axis import Row, epsilon_axis
from limbeck.workers import keep_memory

EPSILONS = (1.0, 10.0)
OPTIONS: dict[str, dict[str, Any]] = {
    "dp-merf": {"ipc": 30, "features": 200, "steps": 60, "width": 8, "learning_rate": 0.005},
    "gs-wgan": {"ipc": 30, "shards": 30, "steps": 50, "warmup": 20, "critic_width": 8},
    "dp-sinkhorn": {"ipc": 30, "rate": 0.03, "steps": 150},
    "private-copula": {"ipc": 30, "steps": 0, "features": 60},
    "private-matching": {"ipc": 5, "steps": 40, "width": 8, "pairs": 3, "features": 60},
    "psg": {"ipc": 2, "networks": 2, "outer": 10, "inner": 2, "network": "convnet1", "width": 8},
    "dp-kip": {"ipc": 1, "steps": 15},
}
_STEPS, _SEEDS, _TOO_LONG = 30, 1000, 10.0


def at_the_boundary() -> Iterator[tuple[str, Boundary]]:
    """Correct releases, which stand, and broken ones, which must not."""
    for epsilon in EPSILONS:
        for name in ("matched-filter", "seed-enumeration"):
            yield f"limbeck's noise, {name}", attack(Claim(epsilon=epsilon), name, runs=30)
    claim = Claim(epsilon=1.0)
    honest = through_budget(claim)

    def redrawn(private: LabeledDataset, _: int | None) -> np.ndarray:
        mean: np.ndarray = np.mean([honest(private, None) for _ in range(_STEPS)], 0)
        return mean

    def guessable(private: LabeledDataset, seed: int | None) -> np.ndarray:
        return honest(private, 123 if seed is None else seed)

    def unbounded(private: LabeledDataset, seed: int | None) -> np.ndarray:
        # Noise for a norm of 1 on a sum in which records have ten times that.
        clean = signed(private.inputs.double(), private.labels).sum(0).numpy()
        return honest(private, seed) + (_TOO_LONG - 1) * clean

    yield "noise redrawn at 30 steps", attack(claim, release=redrawn, units=300, runs=4)
    found = attack(
        claim, "seed-enumeration", release=guessable, units=300, runs=4, seeds=range(_SEEDS)
    )
    yield "noise of 1,000 seeds", found
    yield "records left unbounded", attack(claim, release=unbounded, units=300, runs=4)


def black_box(
    name: str, epsilon: float, store: Path, private: LabeledDataset, test: LabeledDataset, runs: int
) -> lb.Audit:
    """The audit of one synthesizer, on canaries, by shadow runs."""
    sizes = Preset(runs, 0, 2, canaries=70, ordinary=30, control=60, views=1)
    method = build(name, {"epsilon": epsilon, **OPTIONS[name]}, "synthesizer")
    judge = lb.KernelRidge() if name == "dp-kip" else lb.Standard("mlp", "search")
    folder = store / f"{name}-{epsilon:g}"
    mechanism = lb.Pipeline(method, judge)
    return lb.audit(mechanism, private, test, preset=sizes, company=False, store=folder, workers=1)


def known_or(store: Path) -> list[tuple[str, float, float, bool]]:
    """Label, claim, measured bound and verdict at the boundary; read where the store has them."""
    file = store / "boundary.json"
    if not file.exists():
        found = [
            (label, one.claimed, one.bound.value, one.refuted) for label, one in at_the_boundary()
        ]
        write_json(file, found)
    return [tuple(row) for row in json.loads(file.read_text(encoding="utf-8"))]


def main() -> None:
    """Measure, print, and write what is known after every audit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--machine", required=True, help="the machine, in words")
    parser.add_argument("--runs", type=int, default=16, help="shadow runs of each synthesizer")
    parser.add_argument("--methods", nargs="*", default=list(OPTIONS))
    parser.add_argument("--epsilons", nargs="*", type=float, default=list(EPSILONS))
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    asked.store.mkdir(parents=True, exist_ok=True)
    keep_memory()
    lines = [f"delta 1e-5, add-remove; lower bounds at 95%. {asked.machine}.", ""]
    rows = []

    def keep(
        part: str, label: str, claimed: float, measured: float, refuted: bool, rest: str
    ) -> None:
        told = f"claimed {claimed:4g}  measured {measured:6.3f}"
        lines.append(f"{part:9}  {label:34} {told}  {'refuted' if refuted else 'stands'}{rest}")
        label = f"{label}, \N{GREEK SMALL LETTER EPSILON} {claimed:g}"
        rows.append(Row(label, measured, claimed, refuted))
        print(lines[-1], flush=True)
        write_text(asked.output, "\n".join(lines) + "\n")
        drawn = epsilon_axis(rows)
        if drawn is not None:
            write_text(asked.output.with_suffix(".svg"), drawn)

    for label, claimed, measured, refuted in known_or(asked.store):
        keep("boundary", label, claimed, measured, refuted, "")
    private, test = lb.load("digits")
    lines += ["", f"black box: {len(private)} digits, {asked.runs} shadow runs, 70 canaries"]
    for epsilon in asked.epsilons:
        for name in asked.methods:
            done = black_box(name, epsilon, asked.store, private, test, asked.runs)
            subject = done.subject
            best = max(a.auc.value for a in subject.attacks if a.group == "canary")
            refuted = subject.claim is not None and subject.claim.refuted
            rest = f"; strongest AUC {best:.3f}, accuracy {100 * subject.utility.value:.1f}%"
            keep("black box", name, epsilon, subject.epsilon_lower.value, refuted, rest)


if __name__ == "__main__":
    main()
