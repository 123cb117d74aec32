"""Unit vectors of records: the embeddings of several networks, in a few public directions."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.nn.public_features import damped_directions, public_records
from limbeck.synthesize.condense.experts import Course, train
from limbeck.synthesize.statistics import Pair, Pool

_BLOCK = 64  # records embedded at once: first-layer maps of this many stay in a CPU's cache


class PooledEmbedding:
    """z(x) = u / |u| with u = ((psi_1(A_1 x), ..., psi_K(A_K x)) - m) B.

    pairs: the networks psi and their augmentations A. The mean m and the directions B, ``size`` of
    them at most, come from procedural images (see ``nn.public_features``): noise is paid for in
    every direction, and what all records share would only use up the norm that they are cut to.
    A record's vector depends on nothing but the record and public coins.
    """

    def __init__(
        self, pairs: Sequence[Pair], shape: tuple[int, ...], size: int, device: str = "cpu"
    ) -> None:
        self._pairs = pairs
        public = public_records(shape, size, coins.generator(0, "pooled embedding"))
        with torch.no_grad():
            rows = [self._raw(block.to(device)).cpu() for block in public.split(_BLOCK)]
            offset, basis = damped_directions(torch.cat(rows), size)
        self._offset, self._basis = offset.to(device), basis.to(device)

    @property
    def size(self) -> int:
        """Numbers in a vector."""
        return self._basis.shape[1]

    def __call__(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n size"]:
        """The unit vector of each record; differentiable."""
        return F.normalize((self._raw(inputs) - self._offset) @ self._basis, eps=1e-6)

    def _raw(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        return torch.cat([network.embed(move(inputs)) for network, move in self._pairs], 1)


@lru_cache(maxsize=2)
def pooled(pool: Pool, size: int, device: str = "cpu") -> PooledEmbedding:
    """The embedding of all pairs of ``pool``, made once for all runs that share it."""
    pairs = [pool.pair(k, device) for k in range(pool.size)]
    return PooledEmbedding(pairs, pool.shape, size, device)


def trained(
    pool: Pool, images: LabeledDataset, course: Course, size: int, seed: int, device: str
) -> PooledEmbedding:
    """The embedding of the pool's networks trained on ``images``, under the same augmentations."""
    pairs = []
    for k in range(pool.size):
        network, transform = pool.pair(k, device)
        passed = train(images, course, seed=coins.derive(seed, "trained", k), device=device)
        network.load_state_dict({name: stops[-1] for name, stops in passed.items()})
        pairs.append((network, transform))
    return PooledEmbedding(pairs, pool.shape, size, device)
