"""Every kind of noisy query of private methods under the attacks at the boundary, many times over.

Two parts, at claimed epsilons of 1 and 10:

limbeck   sums over all records, sampled steps, blocks of classes and shards, by the matched filter,
          seed enumeration and the lattice: how often the claim is refuted at 0.1% and at 5%, and
          the median of the measured lower bounds
broken    releases broken on purpose (``limbeck.audit.broken``): how often each is refuted

A claim that holds is refuted at 0.1% once in 1,000 audits at most, at 5% once in 20. Run it with

    python benchmarks/boundary_audits.py --repeats 200 --output RESULTS
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.audit.boundary import Boundary, Name, attack
from limbeck.audit.broken import BROKEN
from limbeck.audit.noisy_queries import QUERIES, Release, through_blocks, through_shards
from limbeck.files import write_text
from limbeck.privacy.claim import Claim
from limbeck.workers import keep_memory, one_thread

EPSILONS = (1.0, 10.0)
WIDE = 500
HOW: dict[Name, dict[str, Any]] = {
    "matched-filter": {"units": 400, "runs": 5},
    "seed-enumeration": {"units": 200, "runs": 2, "seeds": range(64)},
    "lattice": {"units": 10, "runs": 20, "wide": WIDE},
}


def release_for(query: str, name: Name, claim: Claim) -> Release:
    """The query as the attack has most to see."""
    if name == "lattice" and QUERIES[query] in (through_blocks, through_shards):
        make = through_blocks if QUERIES[query] is through_blocks else through_shards
        return make(claim, wide=WIDE, opposed=False)
    return QUERIES[query](claim)


def summary(found: list[Boundary]) -> str:
    """How often a claim was refuted, and the median of the bounds."""
    refuted = sum(f.refuted for f in found)
    unlikely = sum(f.p_value <= 0.05 for f in found)
    bound = np.median([f.bound.value for f in found])
    return f"{refuted:4d} of {len(found)}   {unlikely:4d}   {bound:7.3f}"


def lines(repeats: int, broken_repeats: int) -> Iterator[str]:
    """The table, line by line."""
    yield f"{'':42s} refuted at 0.1%  at 5%  median bound"
    for epsilon in EPSILONS:
        claim = Claim(epsilon=epsilon)
        for query in QUERIES:
            for name, words in HOW.items():
                release = release_for(query, name, claim)
                found = [
                    attack(claim, name, release=release, seed=seed, **words)
                    for seed in range(repeats)
                ]
                yield f"epsilon {epsilon:4g} {query + ', ' + name:30s} {summary(found)}"
        for broken in BROKEN:
            found = [broken.found(claim, seed) for seed in range(broken_repeats)]
            yield f"epsilon {epsilon:4g} {broken.mistake:30s} {summary(found)}"


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--broken-repeats", type=int, default=20)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    keep_memory()
    started, said = time.process_time(), []
    with one_thread():
        for line in lines(given.repeats, given.broken_repeats):
            print(line, flush=True)
            said.append(line)
    said.append(f"{time.process_time() - started:.0f} CPU-seconds")
    if given.output:
        write_text(given.output, "\n".join(said) + "\n")


if __name__ == "__main__":
    main()
