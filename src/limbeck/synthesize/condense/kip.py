"""Kernel inducing points (KIP): kernel ridge regression on few images predicts the many."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.nn.kernels import convolutional_ntk, fully_connected_ntk
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.condense.regression import Blocks, RegressionCondenser, Regressor
from limbeck.synthesize.form import Form

Kernel = Literal["fully-connected", "convolutional"]

_TOGETHER = 1 << 25  # values held at once by runs in one batch: 128 MiB, a few times that in all


@register(
    "kip",
    kind="synthesizer",
    summary="Kernel ridge regression on the synthetic images predicts the private ones",
    paper="Nguyen et al. 2021, arXiv 2011.00050 and 2107.13034",
    access="records",
    guarantee="none",
    cost="60,000 images of 28x28 to 10 per class: 30 CPU-seconds; convolutional: 2 CPU-minutes",
)
@options
class KernelInducingPoints(RegressionCondenser):
    """Minimise the error of kernel ridge regression, solved on the images S, on private records T.

        L(S) = 1 / (2 |T|) * | Y_T - K_TS (K_SS + lambda I)^-1 Y_S |^2
        lambda = ridge * trace(K_SS) / |S|

    with K the exact neural tangent kernel of an infinitely wide network and Y the one-hot labels
    less 1/C (Nguyen et al. 2021, arXiv 2011.00050v3, eq. 7). T is a new minibatch at every step.
    Images move by Adam, its rate falling to zero as a cosine, and are clamped to [0, 1]. What
    comes out is made for the trainer "kernel-ridge"; networks learn less from it.

    ipc, init, formation: images per class, their start, tiles on a side of each slot.
    kernel, depth: of a network with 1 to 4 hidden layers, which serves records of any shape, or
    with 1 to 3 convolutions and a flattened read-out, for images.
    pooling: the kernel sees images averaged over squares of so many pixels a side. None: 1, and
    with convolutions, whose time grows with the pixels of every pair of images, what leaves at
    most 14 pixels a side.
    steps, batch: None: 1,000 steps of 1,000 records; with convolutions 150 of 100.
    learning_rate: of Adam, for pixels in [0, 1] and for labels.
    ridge: regularisation as a share of the kernel's mean diagonal entry.
    learn_labels: also optimise Y_S, as the trainer "kernel-ridge" uses them. The release then has
    soft labels that sum to 1 but, as targets of a regression, lie outside [0, 1] in part.

    Reads: records, a minibatch a step. Gives no formal guarantee.
    """

    kernel: Kernel = "fully-connected"
    depth: Annotated[int, Field(ge=1, le=4)] = 2
    pooling: Annotated[int, Field(ge=1)] | None = None

    def resolve(self, private: LabeledDataset) -> "KernelInducingPoints":
        self.check(private)
        pooling = self.pooling or 1
        steps, batch = 1000, 1000
        if self.kernel == "convolutional":
            if not private.is_images:
                raise OptionError(
                    "kip: the convolutional kernel needs images of shape (channels, height, "
                    f"width), these records have shape {private.shape}; use kernel "
                    "'fully-connected'"
                )
            if self.depth > 3:
                raise OptionError(
                    f"kip: the convolutional kernel has 1 to 3 convolutions, not {self.depth}; "
                    "lower depth"
                )
            pooling = self.pooling or -(-max(private.shape[1:]) // 14)
            steps, batch = 150, 100
        if pooling > 1 and (not private.is_images or pooling > min(private.shape[1:])):
            raise OptionError(
                f"kip: pooling {pooling} needs images of at least as many pixels a side, these "
                f"records have shape {private.shape}; use pooling 1"
            )
        return replace(self, pooling=pooling, steps=self.steps or steps, batch=self.batch or batch)

    def made(
        self,
        slots: Float[Tensor, "slots ..."],
        form: Form,
        *,
        soft_labels: Float[Tensor, "images classes"] | None = None,
    ) -> SyntheticDataset:
        """As of every condenser; the card's evaluation is the regression that the set is for."""
        made = super().made(slots, form, soft_labels=soft_labels)
        if self.kernel == "convolutional":  # no trainer has that kernel
            return made
        options = {"depth": self.depth, "ridge": self.ridge}
        words = " ".join(f"--set {name}={value}" for name, value in options.items())
        command = f"limbeck evaluate release/ --test DATA --trainer kernel-ridge {words}"
        evaluation = {"trainer": "kernel-ridge", **options, "command": command}
        return replace(made, card={**made.card, "evaluation": evaluation})

    def together(self, form: Form) -> int:
        assert self.batch is not None, "resolve() comes first"
        values = torch.Size(form.shape).numel() + 8 * self.per_class * len(form.classes)
        return max(1, _TOGETHER // (self.batch * values))

    def regressor(self, form: Form, seeds: Sequence[int], device: str) -> "TangentKernel":
        assert self.pooling is not None, "resolve() comes first"
        return TangentKernel(self.kernel, self.depth, self.pooling)


class TangentKernel(Regressor):
    """The tangent kernel of pooled records, in float64 between the synthetic ones."""

    def __init__(self, kernel: Kernel, depth: int, pooling: int) -> None:
        self.kernel, self.depth, self.pooling = kernel, depth, pooling

    def blocks(
        self, synthetic: Float[Tensor, "runs s ..."], private: Float[Tensor, "runs t ..."]
    ) -> Blocks:
        ours, theirs = self._seen(synthetic), self._seen(private)
        # Float32 cannot solve with a small ridge; only Apple's GPUs lack float64.
        precise = ours if ours.device.type == "mps" else ours.double()
        ntk = fully_connected_ntk if self.kernel == "fully-connected" else convolutional_ntk
        return ntk(precise, precise, depth=self.depth), ntk(theirs, ours, depth=self.depth)

    def _seen(self, records: Float[Tensor, "runs n ..."]) -> Float[Tensor, "runs n ..."]:
        if self.pooling > 1:
            pooled = F.avg_pool2d(records.flatten(0, 1), self.pooling, ceil_mode=True)
            records = pooled.unflatten(0, records.shape[:2])
        return records.flatten(2) if self.kernel == "fully-connected" else records
