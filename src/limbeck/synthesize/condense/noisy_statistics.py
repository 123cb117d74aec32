"""The statistics that private matching asks for: sums of unit vectors, their products and waves."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.privacy.budget import Budget
from limbeck.privacy.noisy_sum import NoisySum
from limbeck.privacy.queries import Query
from limbeck.privacy.records import Bound
from limbeck.synthesize.condense.characteristic_function import waves
from limbeck.synthesize.condense.pooled_embedding import PooledEmbedding
from limbeck.synthesize.private import Answers

COUNTS = Query("records by class", 0.05)
"""Noisy class counts, by which sums are divided, and what they get of the budget."""
_EVENTS = {
    "means": "embeddings by class",
    "moments": "products of embeddings",
    "waves": "characteristic functions by class",
}


def queries(weights: Mapping[str, float], rounds: int, turn: int) -> dict[str, Query]:
    """The sums that a round (from 0) of so many asks for, by what they are used for.

    weights: of "means", "moments" and "waves" in the split of what the counts leave; those of
    weight 0 are not asked for.
    """
    each = (1 - COUNTS.share) / sum(weights.values()) / rounds
    which = f", round {turn + 1}" if rounds > 1 else ""
    return {
        kind: Query(_EVENTS[kind] + which, each * weight, products=kind == "moments")
        for kind, weight in weights.items()
        if weight > 0
    }


def count(budget: Budget, *, device: str) -> NoisySum:
    """How many records each class has, with noise."""
    return budget.release(
        COUNTS.name, _one, Bound.of(1.0), COUNTS.share, by_class=True, fixed=True, device=device
    )


def ask(
    budget: Budget,
    embedding: PooledEmbedding,
    asked: Mapping[str, Query],
    frequencies: Float[Tensor, "p d"],
    *,
    fixed: bool,
    device: str,
) -> Answers:
    """Noisy sums over all records of functions of their unit vectors z, under the names asked.

    "means": z by class. "moments": z z'. "waves": cos and sin of t.z by class, whose norm is the
    root of the number of frequencies t for every record.
    fixed: whether the embedding depends on public coins alone (see ``Budget.release``).
    """
    drawn = frequencies.to(device)

    def turned(z: Tensor, _: Tensor) -> Tensor:
        return waves(z, drawn)

    def by_class(kind: str) -> NoisySum:
        statistic, norm = (_itself, 1.0) if kind == "means" else (turned, len(drawn) ** 0.5)
        return budget.release(
            asked[kind].name,
            statistic,
            Bound.of(norm),
            asked[kind].share,
            by_class=True,
            after=embedding,
            fixed=fixed,
            device=device,
        )

    def moments(query: Query) -> NoisySum:
        return budget.products(
            query.name, _itself, 1.0, query.share, after=embedding, fixed=fixed, device=device
        )

    return {
        kind: moments(query) if query.products else by_class(kind) for kind, query in asked.items()
    }


def _itself(rows: Tensor, _: Tensor) -> Tensor:
    return rows


def _one(rows: Tensor, _: Tensor) -> Tensor:
    return torch.ones(len(rows), 1, device=rows.device)
