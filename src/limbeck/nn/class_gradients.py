"""The weight gradients of every class's own loss, from one pass over all classes."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight


def class_gradients(
    network: nn.Module,
    inputs: Float[Tensor, "classes m ..."],
    labels: Int64[Tensor, " classes"],
    shares: Float[Tensor, "classes m"],
    *,
    differentiable: bool = False,
) -> list[Float[Tensor, "classes _ _"]]:
    """Gradients of each class's loss with respect to each weight, in the order of their layers.

    network: returns logits, looks at one record at a time, applies each convolution and each
        linear layer once, and its parameters require gradients.
    inputs, labels: ``m`` records of each class, and the classes' labels.
    shares: of each record in its class's cross-entropy: 1/m for a mean, 0 for padding.
    differentiable: keep the graph, for a derivative with respect to ``inputs``.

    Returns one tensor a convolution or linear layer; a row holds what leads to one output, so that
    a convolution's (out, in, k, k) becomes (out, in * k * k). Biases and norms have no place here.

    Records meet their weights apart from each other, so that one forward and one backward pass give
    the gradients at every layer's output for all classes. A class's weight gradient is then a
    product of what its records sent into the layer with those gradients.
    """
    classes = len(inputs)
    seen: list[tuple[nn.Conv2d | nn.Linear, Tensor, Tensor]] = []

    def note(layer: Any, given: tuple[Tensor, ...], made: Tensor) -> None:
        seen.append((layer, given[0], made))

    weighted = [part for part in network.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_hook(note) for layer in weighted]
    try:
        logits = network(inputs.flatten(0, 1))
    finally:
        for hook in hooks:
            hook.remove()
    losses = F.cross_entropy(logits, labels.repeat_interleave(inputs.shape[1]), reduction="none")
    outputs = [made for _, _, made in seen]
    slopes = torch.autograd.grad(losses @ shares.flatten(), outputs, create_graph=differentiable)
    with torch.set_grad_enabled(differentiable):
        return [
            _products(layer, given.unflatten(0, (classes, -1)), slope.unflatten(0, (classes, -1)))
            for (layer, given, _), slope in zip(seen, slopes, strict=True)
        ]


def cosine_distance(
    one: Sequence[Float[Tensor, "classes _ _"]], other: Sequence[Float[Tensor, "classes _ _"]]
) -> Float[Tensor, ""]:
    """1 - cosine of matching rows, summed over rows, classes and layers.

    A row of zeros on either side counts 1 and has no derivative. The small number beside the norms
    also bounds the derivative of rows that almost vanish, as in networks that fit their data.
    """
    total = torch.zeros((), device=one[0].device, dtype=one[0].dtype)
    for a, b in zip(one, other, strict=True):
        lengths = torch.linalg.vector_norm(a, dim=-1) * torch.linalg.vector_norm(b, dim=-1)
        total = total + (1 - (a * b).sum(-1) / (lengths + 1e-6)).sum()
    return total


def _products(
    layer: nn.Conv2d | nn.Linear, given: Tensor, slope: Tensor
) -> Float[Tensor, "classes _ _"]:
    """Weight gradients by class, of what a layer was given and the gradients at its output."""
    if isinstance(layer, nn.Linear):
        return slope.mT @ given
    if given.device.type == "cpu" and layer.in_channels > 1:
        return _convolution_by_class(layer, given, slope)
    return _convolution_unfolded(layer, given, slope)


def _convolution_by_class(layer: nn.Conv2d, given: Tensor, slope: Tensor) -> Tensor:
    """PyTorch's own weight gradient, class by class: a CPU reads each patch where it lies."""
    gradients = [
        conv2d_weight(own, layer.weight.shape, its, layer.stride, layer.padding, layer.dilation)
        for own, its in zip(given, slope, strict=True)
    ]
    return torch.stack(gradients).flatten(2)


def _convolution_unfolded(layer: nn.Conv2d, given: Tensor, slope: Tensor) -> Tensor:
    """One batched product of patches with gradients: few launches on a GPU."""
    assert not isinstance(layer.padding, str)
    patches = F.unfold(
        given.flatten(0, 1), layer.kernel_size, layer.dilation, layer.padding, layer.stride
    ).unflatten(0, given.shape[:2])
    products: Tensor = torch.einsum("cmop,cmip->coi", slope.flatten(3), patches)
    return products
