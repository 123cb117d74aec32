"""Embeddings that an attacker knows: the synthesizer's own public ones, or fixed random networks.

Nothing here sees private data or a run's secret coins: the networks come from public coins.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.nn import networks
from limbeck.synthesize import statistics
from limbeck.synthesize.base import Synthesizer
from limbeck.synthesize.condense.matching import StatisticMatching

Embed = Callable[[Tensor], Tensor]
"""From records (n, *feature_shape) to vectors (n, d), each of its record alone."""

Labelled = LabeledDataset | SyntheticDataset

_BLOCK = 256
_WIDTH = 32
"""Channels of the random networks: as narrow as those that sum matching draws."""


@dataclass(frozen=True)
class Embedders:
    """Several embeddings, and which of them each record enters.

    embed: at least one.
    entered: from records (n, ...) to bool (n, embedders); None where each record enters all.
    """

    embed: tuple[Embed, ...]
    entered: Callable[[Tensor], Tensor] | None = None


@torch.no_grad()
def embedded(embed: Embed, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
    """The vectors of ``inputs``, computed block by block on their device."""
    return torch.cat([embed(block) for block in inputs.split(_BLOCK)])


def random_embed(
    shape: tuple[int, ...], *, seed: int = 0, device: str | torch.device = "cpu"
) -> Embed:
    """The features of an untrained network (ConvNet for images, else an MLP) drawn from ``seed``.

    Zhao and Bilen 2021 (arXiv 2110.04181) match distributions in such spaces.
    """
    name = networks.deepest(shape)
    width = _WIDTH if name.startswith("convnet") else None
    network = networks.make(name, shape, 2, width=width, seed=seed).to(device)
    network.requires_grad_(False)
    return network.embed


def random_embedders(
    shape: tuple[int, ...], count: int, *, seed: int = 0, device: str | torch.device = "cpu"
) -> Embedders:
    """``count`` independent random embeddings."""
    seeds = [coins.derive(seed, "embedder", k) for k in range(count)]
    return Embedders(tuple(random_embed(shape, seed=s, device=device) for s in seeds))


def known_embedders(
    synthesizer: Synthesizer, private: LabeledDataset, *, device: str = "cpu"
) -> Embedders | None:
    """What ``synthesizer`` sums over the records, record by record; None where it has no pool.

    These are the statistic-matching condensers of form "sums". private: for the public form of
    the data and the options that follow from its size.
    """
    if not isinstance(synthesizer, StatisticMatching) or synthesizer.form != "sums":
        return None
    resolved = synthesizer.resolve(private)
    pool, per_record = resolved.pool(private)

    def of_pair(k: int) -> Embed:
        network, transform = pool.pair(k, device)
        return lambda inputs: resolved.first(network.embed(transform(inputs)), k)

    def entered(inputs: Tensor) -> Tensor:
        pairs = statistics.assign(inputs.cpu(), pool.size, per_record, pool.public_coins)
        return torch.zeros(len(inputs), pool.size, dtype=torch.bool).scatter(1, pairs, True)

    return Embedders(tuple(of_pair(k) for k in range(pool.size)), entered)


def of_class(labels: Int64[Tensor, " n"], label: int) -> Bool[Tensor, " n"]:
    """Where ``labels`` are ``label``; everywhere if nowhere, so that a lost class has a score."""
    own = labels == label
    return own if own.any() else torch.ones_like(own)
