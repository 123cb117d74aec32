"""The loop of DP-SGD: a network follows noisy sums of clipped gradients.

All that it knows of the private data is what the sampler answers.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from limbeck.nn import augment
from limbeck.nn.fit import MomentumSGD
from limbeck.nn.networks import Network
from limbeck.nn.record_gradients import RecordGradients, averaged
from limbeck.privacy.sampled import Sampler

_AT_ONCE = 1 << 23  # numbers in the per-record gradients held at once: 32 MiB

Views = Sequence[augment.Transform]
"""What a step makes of every record that it takes, the same of all."""


def noisy_sgd(
    network: Network,
    sampler: Sampler,
    draw: Callable[[], Views],
    *,
    views: int,
    expected: float,
    learning_rate: float,
    average: float,
) -> list[Tensor]:
    """Train ``network`` in place by all steps of ``sampler``; the moving average of its weights.

    draw: the ``views`` of the next step, over which a record's gradients are averaged. expected:
    records in an average step, public or released: the noisy sum over it is the gradient.
    average: the share of the moving average that is kept in a step.
    """
    means = [p.detach().clone() for p in network.parameters()]
    size = sum(p.numel() for p in means) * views
    chunk = max(1, min(64, _AT_ONCE // size))
    optimiser = MomentumSGD(network.parameters())
    with RecordGradients(network) as gradients:
        for step in range(sampler.steps.count):
            drawn = draw()

            def rows(inputs: Tensor, wanted: Tensor, drawn: Views = drawn) -> list[Tensor]:
                seen = torch.cat([view(inputs) for view in drawn])
                found = gradients(seen, wanted.repeat(len(drawn), 1))
                return averaged(found, len(drawn))

            sums = sampler.step(rows, chunk=chunk)
            optimiser.step([s / expected for s in sums], learning_rate)
            # While there are few steps, the average forgets where it began.
            kept = min(average, (1 + step) / (10 + step))
            for mean, p in zip(means, network.parameters(), strict=True):
                mean.lerp_(p.detach(), 1 - kept)
    return means


def shared_views(
    generator: torch.Generator, shape: tuple[int, ...], *, mirror: bool, count: int
) -> Views:
    """The record itself and augmentations, the same for all records: no coin is keyed by place.

    Coins drawn record by record would shift where one record is missing, and the others' gradients
    with them.
    """
    return [
        augment.identity() if k == 0 else augment.draw(generator, shape, mirror=mirror)
        for k in range(count)
    ]
