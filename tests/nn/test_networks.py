import pytest
import torch
from torch.nn import functional as F

from limbeck.errors import OptionError
from limbeck.nn import networks


def test_28_pixel_images_give_the_embedding_of_the_literature():
    network = networks.make("convnet3", (1, 28, 28), 10, seed=0)
    assert network.features == 2048
    assert network.embed(torch.rand(2, 1, 28, 28)).shape == (2, 2048)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (2, 9, 13), (3, 64, 64)])
def test_convnet_serves_images_of_any_size(shape):
    network = networks.make("convnet3", shape, 5, width=4, seed=1)
    images = torch.rand(3, *shape)
    assert network(images).shape == (3, 5)
    assert network.embed(images).shape == (3, network.features)


def test_convnet_equals_plain_torch_layers():
    network = networks.make("convnet2", (3, 12, 12), 4, width=6, seed=2)
    images = torch.rand(5, 3, 12, 12)
    x = images
    for convolution, norm in zip(network.convolutions, network.norms, strict=True):
        maps = F.conv2d(x, convolution.weight, convolution.bias, padding=1)
        scaled = F.instance_norm(maps, weight=norm.weight, bias=norm.bias, eps=norm.eps)
        x = F.avg_pool2d(scaled.relu(), 2)
    assert torch.allclose(network.embed(images), x.flatten(1), atol=1e-5)


def test_padding_equals_the_usual_padding_of_three():
    network = networks.make("convnet1", (1, 28, 28), 4, width=3, seed=2)
    network._grid = 8
    convolution = network.convolutions[0]
    images = torch.rand(2, 1, 28, 28)
    maps = F.conv2d(images, convolution.weight, convolution.bias, padding=3)
    scaled = network.norms[0](maps)
    assert torch.allclose(
        network.embed(images), F.avg_pool2d(scaled.relu(), 2).flatten(1), atol=1e-5
    )


def test_parameters_depend_on_the_seed_alone():
    state = torch.get_rng_state()
    a, b, c = (networks.make("mlp", (4,), 3, width=8, seed=s).state_dict() for s in (0, 0, 1))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["head.weight"], c["head.weight"])
    assert torch.equal(state, torch.get_rng_state()), "global random state was touched"


def test_first_layer_has_pytorchs_default_spread():
    weight = networks.make("convnet1", (4, 8, 8), 2, width=256, seed=0).convolutions[0].weight
    bound = 1 / 6  # fan-in 4 * 3 * 3
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_unknown_names_and_shapes_are_refused_in_one_line():
    with pytest.raises(OptionError, match="convnet1 to convnet5, mlp"):
        networks.make("resnet", (1, 28, 28), 10, seed=0)
    with pytest.raises(OptionError, match=r"shape \(30,\): use network 'mlp'"):
        networks.make("convnet3", (30,), 10, seed=0)
    with pytest.raises(OptionError, match="at least 8 pixels"):
        networks.make("convnet3", (1, 4, 4), 10, seed=0)
