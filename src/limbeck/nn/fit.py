"""Gradient descent with momentum, and Adam, without ``torch.optim``.

The first use of ``torch.optim`` imports PyTorch's compiler: three CPU-seconds in every worker
process, more than a small training takes.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


class MomentumSGD:
    """Gradient descent with heavy-ball momentum and weight decay, as in ``torch.optim.SGD``.

    parameters: leaf tensors that require gradients; they are changed in place.
    momentum: share of the last step's velocity that is kept.
    weight_decay: multiple of each parameter that is added to its gradient.
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        self.parameters = list(parameters)
        self.momentum, self.weight_decay = momentum, weight_decay
        self._velocity = [torch.zeros_like(p) for p in self.parameters]

    def minimise(self, loss: Tensor, rate: float) -> None:
        """One step at learning rate ``rate`` down the gradient of the scalar ``loss``."""
        self.step(torch.autograd.grad(loss, self.parameters), rate)

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """One step at learning rate ``rate`` along the given gradients."""
        for value, speed, gradient in zip(self.parameters, self._velocity, gradients, strict=True):
            speed.mul_(self.momentum).add_(gradient)
            if self.weight_decay:
                speed.add_(value, alpha=self.weight_decay)
            value.sub_(speed, alpha=rate)


def cosine(step: int, steps: int, warmup: float = 0.0) -> float:
    """Share of the learning rate at ``step`` of 0 to ``steps`` - 1: falling to zero as a cosine.

    warmup: share of the steps over which it rises first. Adam's first steps are as long as any, and
    all in one direction: they can drive a generator's sigmoids to where they have no slope.
    """
    rise = min(1.0, (step + 1) / (warmup * steps)) if warmup > 0 else 1.0
    return rise * 0.5 * (1 + math.cos(math.pi * step / steps))


class Adam:
    """Steps of equal size for parameters of any scale (Kingma & Ba 2015, arXiv 1412.6980, alg. 1).

    parameters: as for MomentumSGD. momentum: decay of the first moment, published as 0.9; the
        second decays by 0.999.
    """

    def __init__(self, parameters: Iterable[Tensor], *, momentum: float = 0.9) -> None:
        self.parameters = list(parameters)
        self.momentum = momentum
        self._mean = [torch.zeros_like(p) for p in self.parameters]
        self._square = [torch.zeros_like(p) for p in self.parameters]
        self._steps = 0

    def minimise(self, loss: Tensor, rate: float) -> None:
        """One step at learning rate ``rate`` down the gradient of the scalar ``loss``."""
        self.step(torch.autograd.grad(loss, self.parameters), rate)

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """One step at learning rate ``rate`` along the given gradients."""
        self._steps += 1
        first, second = (
            1 - self.momentum**self._steps,
            1 - 0.999**self._steps,
        )  # moments start at zero
        state = zip(self.parameters, self._mean, self._square, gradients, strict=True)
        for value, mean, square, gradient in state:
            mean.lerp_(gradient, 1 - self.momentum)
            square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            size = (square / second).sqrt_().add_(1e-8)
            value.addcdiv_(mean, size, value=-rate / first)
