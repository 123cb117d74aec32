import pytest
import torch
from torch import nn
from torch.nn import functional as F

from limbeck.nn import class_gradients as module
from limbeck.nn.class_gradients import class_gradients, cosine_distance
from limbeck.nn.networks import make

NETWORKS = [
    ("convnet3", (1, 16, 16)),
    ("convnet2", (3, 12, 10)),
    ("lenet", (1, 14, 14)),
    ("resnet18", (3, 8, 8)),
    ("mlp", (5,)),
    ("linear", (2, 3)),
]


def draw(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)).double()


def slow_gradients(network, several, **options):
    """Class by class, as PyTorch gives them: a list of parameters' gradients a class."""
    weights = [p for p in network.parameters() if p.dim() >= 2]
    found = []
    for label, own in enumerate(several):
        loss = F.cross_entropy(network(own), torch.full((len(own),), label))
        found.append(torch.autograd.grad(loss, weights, **options))
    return found


def slow_distance(one, other):
    """One row of one layer of one class after the other."""
    total = torch.zeros((), dtype=torch.float64)
    for layers in zip(one, other, strict=True):
        for a, b in zip(*layers, strict=True):
            for row_a, row_b in zip(a, b, strict=True):
                x, y = row_a.flatten(), row_b.flatten()
                total = total + 1 - x @ y / (x.norm() * y.norm() + 1e-6)
    return total


@pytest.mark.parametrize(("name", "shape"), NETWORKS)
def test_distance_and_image_gradient_are_those_of_the_slow_loop(name, shape):
    network = make(name, shape, 3, width=4, seed=0).double()
    private, images = draw(3, 5, *shape), draw(3, 2, *shape, seed=1).requires_grad_()
    labels = torch.arange(3)

    def mean(several):
        return several.new_full(several.shape[:2], 1 / several.shape[1])

    wanted = class_gradients(network, private, labels, mean(private))
    assert not any(layer.requires_grad for layer in wanted), "private gradients hold no graph"
    found = class_gradients(network, images, labels, mean(images), differentiable=True)
    distance = cosine_distance(found, wanted)
    slope = torch.autograd.grad(distance, images)[0]

    expected = slow_distance(
        slow_gradients(network, images, create_graph=True), slow_gradients(network, private)
    )
    expected_slope = torch.autograd.grad(expected, images)[0]
    assert expected_slope.abs().max() > 1e-3, "the comparison compares something"
    assert torch.allclose(distance, expected, rtol=1e-5)
    assert torch.allclose(slope, expected_slope, rtol=1e-5, atol=1e-5 * expected_slope.abs().max())


def test_padding_with_share_zero_changes_nothing():
    network = make("convnet2", (1, 8, 8), 4, width=4, seed=0).double()
    several = [draw(size, 1, 8, 8, seed=size) for size in (3, 1, 0, 2)]
    padded = torch.zeros(4, 3, 1, 8, 8, dtype=torch.float64)
    shares = torch.zeros(4, 3, dtype=torch.float64)
    for label, own in enumerate(several):
        padded[label, : len(own)] = own
        shares[label, : len(own)] = 1 / max(1, len(own))
    found = class_gradients(network, padded, torch.arange(4), shares)
    for label in (0, 1, 3):
        loss = F.cross_entropy(network(several[label]), torch.full((len(several[label]),), label))
        weights = [p for p in network.parameters() if p.dim() >= 2]
        expected = torch.autograd.grad(loss, weights)
        by_shape = {tuple(layer[label].shape): layer[label] for layer in found}
        for gradient in expected:
            assert torch.allclose(by_shape[tuple(gradient.flatten(1).shape)], gradient.flatten(1))
    assert all((layer[2] == 0).all() for layer in found), "a class without records pulls nowhere"


@pytest.mark.parametrize(
    "options", [{"padding": 1}, {"stride": 2}, {"padding": (2, 1), "stride": (1, 2)}]
)
def test_both_forms_of_a_convolutions_product_agree(options):
    """The one that a CPU takes and the one that a GPU takes, with their derivatives."""
    layer = nn.Conv2d(3, 4, 3, **options).double()
    given = draw(2, 3, 3, 9, 11).requires_grad_()
    slope = draw(2, 3, *layer(given[0]).shape[1:], seed=1).requires_grad_()
    target = draw(2, 4, 27, seed=2)
    results = []
    for product in (module._convolution_by_class, module._convolution_unfolded):
        found = product(layer, given, slope)
        derivatives = torch.autograd.grad(cosine_distance([found], [target]), (given, slope))
        results.append((found, *derivatives))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-9)


def test_the_distance_of_known_rows():
    one = torch.tensor([[[1.0, 0.0], [2.0, 0.0], [3.0, 4.0], [0.0, 0.0]]])
    other = torch.tensor([[[5.0, 0.0], [0.0, 7.0], [-6.0, -8.0], [1.0, 1.0]]])
    assert cosine_distance([one], [other]).item() == pytest.approx(0 + 1 + 2 + 1, abs=1e-5)
    zero = torch.zeros(1, 2, 3, requires_grad=True)
    distance = cosine_distance([zero], [torch.ones(1, 2, 3)])
    assert torch.isfinite(torch.autograd.grad(distance, zero)[0]).all()
