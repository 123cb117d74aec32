"""DSA: gradient matching under differentiable siamese augmentation."""

from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.condense.gradient_matching import GradientMatching


@register(
    "dsa",
    kind="synthesizer",
    summary="Gradient matching with both sides augmented alike",
    paper="Zhao & Bilen 2021, arXiv 2102.08259",
    access="records",
    guarantee="none",
    cost="60,000 images of 28x28 to 10 per class: two CPU-minutes",
)
@options
class DSA(GradientMatching):
    """Minimise, over synthetic images S, the distance between weight gradients of class losses.

        L(S) = (128 / width) * sum_c sum_layers sum_rows 1 - cos(g(A(S_c)), g(A(T_c)))

    with g, the rows and T_c as in "dc", and A an augmentation drawn anew for each class and step
    and applied alike to both sides (Zhao & Bilen 2021). All classes go through the network
    together. Images move by SGD with momentum and are clamped to [0, 1].

    ipc: images per class. init: what they start from, as ``limbeck methods`` lists it.
    formation: tiles on a side of each slot; 2 trains four small images for each one released.
    networks: fresh random networks, one after the other. outer: steps of the images on each.
    inner, network_rate: after each of these steps but the last, the network is trained on the
    images for this many epochs, at this learning rate (published: 0.01). With ``inner`` 0 it stays
    as drawn: all of its steps share one private batch, augmentation and gradient, and the networks
    do not depend on the images.
    batch: private images of each class and step.
    learning_rate: in units of pixels with the standard deviation of images, as published. None: a
    larger one from images that are not private, which have further to go.
    schedule: learning rate over all steps, "constant" or "cosine" to zero. blur: standard
    deviation, in pixels, of a Gaussian that smooths the gradient of images; 0 leaves it.
    network, width: None: a ConvNet of 32 channels, as deep as the images allow, up to 3 blocks;
    "mlp" for records that are no images, which are not augmented.

    ``reference()`` gives the published loop; the defaults are a far shorter one.

    Reads: private records at every network, and what the initialisation reads.
    Gives no formal guarantee: gradients carry no noise.
    """
