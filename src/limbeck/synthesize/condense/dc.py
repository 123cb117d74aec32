"""DC: dataset condensation by gradient matching."""

from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.condense.gradient_matching import GradientMatching


@register(
    "dc",
    kind="synthesizer",
    summary="Gradient matching: each class pulls a network's weights where the private one does",
    paper="Zhao et al. 2021, arXiv 2006.05929",
    access="records",
    guarantee="none",
    cost="60,000 images of 28x28 to 10 per class: two CPU-minutes",
)
@options
class DC(GradientMatching):
    """Minimise, over synthetic images S, the distance between weight gradients of class losses.

        L(S) = (128 / width) * sum_c sum_layers sum_rows 1 - cos(g(S_c), g(T_c))

    with g the gradient of the mean cross-entropy of one class with respect to a layer's weights,
    a row of it what leads to one output, and T_c a random batch of private images (Zhao et al.
    2021, section 2). Biases and norms count nothing. The sum goes over many fresh networks, each
    trained on S between two of its steps. Private gradients are recomputed when a network moves.

    Options, access and guarantee: those of "dsa", which augments both sides alike and starts from
    real images; here nothing is augmented and images start as noise.
    """

    init: str = "noise"
    augmented: bool = False
