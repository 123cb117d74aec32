"""Kernel ridge regression with the exact tangent kernel: a classifier in one linear solve."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from limbeck.errors import OptionError
from limbeck.nn.kernels import fully_connected_ntk
from limbeck.nn.ridge import ridge_dual
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.train.base import Classifier, Trainer, TrainingSet, targets

MAX_RECORDS = 20_000
_BLOCK = 1 << 23  # kernel entries held at once: 64 MiB in float64, a few times that while computing


class KernelRidgeClassifier(Classifier):
    """The regression function of a solved ridge problem.

    inputs: the records it was solved on, (n, d); they are part of the model.
    dual: coefficients (n, classes), so that the scores of x are k(x, inputs) @ dual.
    """

    def __init__(
        self, inputs: Float[Tensor, "n d"], dual: Float[Tensor, "n classes"], depth: int
    ) -> None:
        self.inputs, self.dual, self.depth = inputs, dual, depth

    @torch.no_grad()
    def logits(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n classes"]:
        """Regression scores: near 1 - 1/classes for the predicted class and -1/classes elsewhere.

        They are not log-odds: a margin between two scores is a difference of regressed labels,
        larger means more certain, and a softmax over them would be nearly flat.
        """
        rows = max(1, _BLOCK // len(self.inputs))
        scores = [
            fully_connected_ntk(_flat(block, self.inputs), self.inputs, depth=self.depth)
            @ self.dual
            for block in torch.split(inputs, rows)
        ]
        return torch.cat(scores).float().cpu()

    def state(self) -> dict[str, Tensor]:
        """``inputs`` and ``dual``: releasing this classifier releases its training records."""
        return {"inputs": self.inputs.float().cpu(), "dual": self.dual.cpu()}

    def architecture(self) -> dict[str, Any]:
        return {"kind": "kernel-ridge", "depth": self.depth}

    @classmethod
    def restored(
        cls,
        architecture: Mapping[str, Any],
        shape: tuple[int, ...],
        classes: int,
        tensors: Mapping[str, Tensor],
    ) -> "KernelRidgeClassifier":
        """The classifier of this ``architecture`` and ``state``; ValueError where they differ."""
        inputs, dual = tensors["inputs"], tensors["dual"]
        if inputs.shape[1:] != (math.prod(shape),) or dual.shape != (len(inputs), classes):
            raise ValueError(f"inputs {tuple(inputs.shape)}, dual {tuple(dual.shape)}")
        return cls(inputs.to(dual), dual, int(architecture["depth"]))


@register(
    "kernel-ridge",
    kind="trainer",
    summary="ridge regression with the exact tangent kernel of a fully connected ReLU network",
    paper="Nguyen et al. 2021, arXiv 2011.00050",
    cost="100 records: 10 ms; 5,000: seconds",
)
@options
class KernelRidge(Trainer):
    """Solve (K + ridge * trace(K) / n * I) dual = labels - 1/classes, exactly.

    depth: hidden layers of the infinitely wide network whose tangent kernel is used (1 to 4).
    ridge: regularisation as a share of the kernel's mean diagonal entry.

    Labels are one-hot or a synthetic set's own soft labels. Deterministic: the seed has no effect.
    Serves at most 20,000 records, of any shape (OptionError beyond): memory grows with n squared.
    """

    most_records: ClassVar[int | None] = MAX_RECORDS

    depth: Annotated[int, Field(ge=1, le=4)] = 2
    ridge: Annotated[float, Field(gt=0)] = 1e-4

    def fit(self, data: TrainingSet, *, seed: int, device: str = "cpu") -> KernelRidgeClassifier:
        return next(self.fit_many([data], [seed], device=device))

    def fit_many(
        self, sets: Sequence[TrainingSet], seeds: Sequence[int], *, device: str = "cpu"
    ) -> Iterator[KernelRidgeClassifier]:
        """One solve for every stretch of sets of equal size; equal to ``fit`` within 1e-6."""
        for (n, *_), alike in groupby(sets, key=_size):
            waiting = list(alike)
            at_once = max(1, _BLOCK // n**2)
            for start in range(0, len(waiting), at_once):
                yield from self._solve(waiting[start : start + at_once], device)

    @torch.no_grad()
    def _solve(self, sets: Sequence[TrainingSet], device: str) -> Iterator[KernelRidgeClassifier]:
        first = sets[0]
        if len(first) > MAX_RECORDS:
            raise OptionError(
                f"kernel-ridge solves for all pairs of records: {len(first)} records of shape "
                f"{first.shape} are more than its {MAX_RECORDS}; use the trainer 'standard'"
            )
        # Float32 cannot solve with a ridge this small; only Apple's GPUs lack float64.
        dtype = torch.float32 if device.startswith("mps") else torch.float64
        like = torch.empty(0, dtype=dtype, device=device)
        inputs = torch.stack([_flat(data.inputs, like) for data in sets])
        labels = torch.stack([targets(data).to(like) for data in sets]) - 1 / len(first.classes)
        kernel = fully_connected_ntk(inputs, inputs, depth=self.depth)
        dual = ridge_dual(kernel, labels, self.ridge)
        for one_inputs, one_dual in zip(inputs, dual, strict=True):
            yield KernelRidgeClassifier(one_inputs, one_dual, self.depth)


def _flat(inputs: Tensor, like: Tensor) -> Tensor:
    return inputs.flatten(1).to(like)


def _size(data: TrainingSet) -> tuple[int, tuple[int, ...], int]:
    return len(data), data.shape, len(data.classes)
