"""Reconstruction: private records out of a released set with learned labels.

Kernel ridge regression on the released images is a function, and the one that the private records
define is a sum of as many kernels as there are records: where the released set is rich enough to
hold that function, the records can be solved for. Labels learned on public images hold it; images
learned from noise to fit a few records need not, and from one-hot labels nothing can be had.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck import coins
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.nn.fit import Adam
from limbeck.nn.kernels import fully_connected_ntk
from limbeck.nn.ridge import ridge_dual

Kernel = Callable[[Tensor, Tensor], Tensor]
"""Between records (n, *shape) and (m, *shape), in float64: (n, m), differentiable."""

_JITTER = 1e-4
"""Ridge of the reconstructed records' own coefficients, a share of their kernel's diagonal."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What was solved for.

    guesses: the records, each with the class that its coefficients raise most; compare them with
        private and control records by ``copying``, and with what ``copying`` says of the release
        itself: that is what an attacker has without any effort.
    unexplained: share of the released function's squared norm that they leave, in [0, 1].
    """

    guesses: SyntheticDataset
    unexplained: float


def reconstruct(
    release: SyntheticDataset,
    count: int,
    *,
    kernel: Kernel | None = None,
    ridge: float = 1e-8,
    steps: int = 400,
    learning_rate: float = 0.05,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Reconstruction:
    """``count`` records whose kernels sum to the function that the release defines.

    With w = sum over released images s of b_s k(s, .), b from ridge regression on the learned
    labels, minimise |w - sum over i of a_i k(x_i, .)|^2 over the records x_i in [0, 1] by Adam
    from grey noise, a in closed form: the attack of Loo et al. 2023 (arXiv 2302.01428) on the
    function that a released set stands for.

    count: how many private records the attacker believes there are; few, as the released set must
        hold as many degrees of freedom as they have.
    progress: called with the share of the steps that are done.
    kernel: that the set was made for; None: ``fully_connected_ntk`` of depth 2.
    OptionError where the set has no learned labels.
    """
    if release.soft_labels is None:
        raise OptionError(
            f"{release.name}: {len(release)} images with one-hot labels define no function of the "
            "private records; reconstruction needs the learned labels of a kernel-ridge set"
        )
    between = kernel or _tangent
    images = release.inputs.double()
    targets = release.soft_labels.double() - 1 / len(release.classes)
    own = between(images, images)
    dual = ridge_dual(own, targets, ridge)
    norm = (dual * (own @ dual)).sum()
    noise = torch.rand(
        count, *release.shape, generator=coins.generator(seed, "reconstruction")
    ).double()
    guesses = (0.3 + 0.1 * noise).to(images.device).requires_grad_()
    optimiser = Adam([guesses])
    for step in range(steps):
        _, explained = _solved(between, guesses, images, dual)
        rate = learning_rate * (1 + math.cos(math.pi * step / steps)) / 2
        optimiser.minimise(1 - explained / norm, rate)
        with torch.no_grad():
            guesses.clamp_(0, 1)
        if progress is not None:
            progress((step + 1) / steps)
    found = guesses.detach()
    weights, explained = _solved(between, found, images, dual)
    made = SyntheticDataset(
        found.float(), weights.argmax(1), release.classes, name=f"reconstructed from {release.name}"
    )
    return Reconstruction(made, float((1 - explained / norm).clamp(0, 1)))


def _solved(
    between: Kernel, guesses: Tensor, images: Tensor, dual: Float[Tensor, "s c"]
) -> tuple[Float[Tensor, "count c"], Float[Tensor, ""]]:
    """The best coefficients of the guesses, and the squared norm that they explain."""
    values = between(guesses, images) @ dual
    weights = ridge_dual(between(guesses, guesses), values, _JITTER)
    return weights, (weights * values).sum()


def _tangent(x: Tensor, y: Tensor) -> Tensor:
    return fully_connected_ntk(x.flatten(1), y.flatten(1), depth=2)
