"""The networks of the tests across architectures: sizes, norms, independence; they learn."""

from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.nn.networks import family, make
from limbeck.nn.networks.layers import GreyConv2d, convolution, halvings
from limbeck.recipe import build
from limbeck.train.standard import Standard

NAMES = ["lenet", "alexnet", "vgg11", "vgg11-group", "resnet18", "resnet18-group"]
NARROW = {"lenet": 6, "alexnet": 8, "vgg11": 4, "resnet18": 4}


def narrow(name: str) -> int:
    return NARROW[name.removesuffix("-group")]


def _vgg11(channels: int) -> int:
    sizes = [channels, 64, 128, 256, 256, 512, 512, 512, 512]
    return sum(9 * a * b + b + 2 * b for a, b in pairwise(sizes)) + 512 * 10 + 10


def _resnet18(channels: int) -> int:
    total = 9 * channels * 64 + 2 * 64
    total += 4 * (9 * 64 * 64 + 2 * 64)
    for a, b in ((64, 128), (128, 256), (256, 512)):
        total += 9 * a * b + 3 * 9 * b * b + 4 * 2 * b  # four convolutions and their norms
        total += a * b + 2 * b  # the 1x1 convolution beside them
    return total + 512 * 10 + 10


@pytest.mark.parametrize(
    ("name", "shape", "parameters", "features"),
    [
        ("lenet", (1, 28, 28), 61_706, 84),  # the count that is quoted for LeNet-5
        ("lenet", (3, 32, 32), 61_706 + 2 * 25 * 6, 84),
        # 28 x 25 + 28, 28 x 28 x 9 + 28, 700 x 128 + 128, 128 x 10 + 10
        ("tanh-cnn", (1, 28, 28), 728 + 7_084 + 89_728 + 1_290, 128),
        ("alexnet", (3, 32, 32), 1_872_202, 3072),
        ("alexnet", (1, 28, 28), 1_872_202 - 2 * 25 * 128, 3072),
        ("vgg11", (3, 32, 32), 9_231_114, 512),
        ("vgg11-group", (1, 28, 28), _vgg11(1), 512),
        ("resnet18", (3, 32, 32), 11_173_962, 512),
        ("resnet18-group", (1, 64, 64), _resnet18(1), 512),
    ],
)
def test_parameters_are_those_counted_by_hand(
    name: str, shape: tuple[int, ...], parameters: int, features: int
) -> None:
    assert (_vgg11(3), _resnet18(3)) == (9_231_114, 11_173_962), "the sums written out are wrong"
    kind = family(name)
    with torch.device("meta"):
        network = kind.build(shape, 10, width=kind.width)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network.features == network.head.in_features == features


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 9, 13), (1, 28, 28), (3, 32, 32), (2, 17, 64), (3, 64, 64)]
)
def test_serves_images_of_any_size_and_tells_them_apart(name: str, shape: tuple[int, ...]) -> None:
    network = make(name, shape, 5, width=narrow(name), seed=1)
    images = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    assert network(images).shape == (3, 5)
    features = network.embed(images)
    assert features.shape == (3, network.features)
    # A norm of single pixels would forget the image.
    assert not torch.allclose(features[0], features[1], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_logits_of_a_record_do_not_depend_on_its_company(name: str) -> None:
    network = make(name, (1, 12, 12), 4, width=narrow(name), seed=0)
    images = torch.rand(6, 1, 12, 12, generator=torch.Generator().manual_seed(3))
    together = network(images)
    crowd = torch.cat([images[:1], 50 * torch.ones(2, 1, 12, 12)])
    torch.testing.assert_close(network(crowd)[0], together[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(images[4:5])[0], together[4], rtol=1e-4, atol=1e-5)
    assert not list(network.buffers()), "running statistics would couple records"


def test_vgg_keeps_two_by_two_pixels_for_its_last_norms() -> None:
    assert halvings((1, 28, 28), 4) == halvings((3, 32, 32), 4) == halvings((3, 64, 64), 4) == 4
    assert halvings((1, 8, 8), 4) == 2
    assert halvings((1, 8, 64), 3) == 2
    assert halvings((1, 1, 1), 3) == 0


def test_the_name_says_which_norm() -> None:
    for name, groups in (("resnet18", 8), ("resnet18-group", 4)):
        norms = [
            m
            for m in make(name, (1, 8, 8), 2, width=8, seed=0).modules()
            if isinstance(m, torch.nn.GroupNorm)
        ]
        assert len(norms) == 20
        assert norms[0].num_groups == groups
    odd = make("vgg11-group", (1, 8, 8), 2, width=6, seed=0)
    assert [m.num_groups for m in odd.modules() if isinstance(m, torch.nn.GroupNorm)][:2] == [2, 4]


def test_a_residual_block_is_the_sum_of_its_two_ways() -> None:
    network = make("resnet18", (2, 8, 8), 3, width=4, seed=5)
    block = network.blocks[2]  # the first of the second stage: stride 2, twice the channels
    maps = torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    first, second = block.inner[0].weight, block.inner[3].weight
    inner = F.instance_norm(F.conv2d(maps, first, stride=2, padding=1)).relu()
    inner = F.instance_norm(F.conv2d(inner, second, padding=1))
    beside = F.instance_norm(F.conv2d(maps, block.beside[0].weight, stride=2))
    torch.testing.assert_close(block(maps), (inner + beside).relu(), rtol=1e-4, atol=1e-5)


def test_the_literatures_padding_at_28_pixels() -> None:
    # Zhao et al. pad the first convolution of one-channel images by 2 more on each side.
    network = make("alexnet", (1, 28, 28), 3, width=8, seed=0)
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    x = images
    for i, layer in enumerate(network.convolutions):
        padding = 4 if i == 0 else layer.weight.shape[-1] // 2
        x = F.conv2d(x, layer.weight, layer.bias, padding=padding).relu()
        if i in (0, 1, 4):
            x = F.max_pool2d(x, 2)
    torch.testing.assert_close(network.embed(images), x.flatten(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "padding", "bias"), [(3, 1, True), (5, 0, True), (3, 1, False)])
def test_one_channel_convolution_equals_torchs_with_its_gradients(
    size: int, padding: int, bias: bool
) -> None:
    layer = convolution(1, 7, size, padding=padding, bias=bias)
    assert isinstance(layer, GreyConv2d)
    coins = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        parameter.data.normal_(generator=coins)
    images = torch.rand(3, 1, 9, 6, generator=coins, requires_grad=True)
    ours = layer(images)
    theirs = F.conv2d(images, layer.weight, layer.bias, padding=padding)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    leaves = [images, *layer.parameters()]
    pull = torch.rand(ours.shape, generator=coins)
    gradients = [
        torch.autograd.grad(out, leaves, pull, create_graph=True) for out in (ours, theirs)
    ]
    for mine, reference in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-5, atol=1e-5)
    # Gradient matching differentiates once more.
    curved = [torch.autograd.grad(g[1].square().sum(), images)[0] for g in gradients]
    torch.testing.assert_close(curved[0], curved[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_depend_on_the_seed_alone(name: str) -> None:
    state = torch.get_rng_state()
    a, b, c = (make(name, (1, 8, 8), 3, width=narrow(name), seed=s).state_dict() for s in (0, 0, 1))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["head.weight"], c["head.weight"])
    assert torch.equal(state, torch.get_rng_state()), "global random state was touched"


@pytest.mark.parametrize("name", NAMES)
def test_refuses_what_is_too_small_or_no_image(name: str) -> None:
    with pytest.raises(OptionError, match=f"^{name} needs images .*at least 8 pixels"):
        make(name, (1, 7, 8), 3, seed=0)
    with pytest.raises(OptionError, match=r"shape \(30,\): use network 'mlp'"):
        make(name, (30,), 3, seed=0)


def stripes(n: int) -> LabeledDataset:
    """Horizontal or vertical stripes at a random phase, with noise."""
    coins = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 2
    waves = torch.sin(torch.arange(8) * 2.0 + 6.3 * torch.rand(n, 1, generator=coins))
    across = waves[:, None, None, :].expand(n, 1, 8, 8)
    inputs = torch.where(labels.view(-1, 1, 1, 1) == 0, across, across.transpose(2, 3))
    noise = 0.1 * torch.rand(inputs.shape, generator=coins)
    return LabeledDataset((0.45 + 0.4 * inputs + noise).clamp(0, 1), labels, ("down", "across"))


@pytest.mark.parametrize(
    ("name", "width", "steps", "rate"),
    [
        ("lenet", 6, 150, 0.06),  # without norms the start is slow
        ("alexnet", 8, 150, 0.06),
        ("vgg11", 8, 40, 0.02),
        ("vgg11-group", 8, 40, 0.02),
        ("resnet18", 4, 60, 0.06),
        ("resnet18-group", 4, 60, 0.06),
    ],
)
def test_learns_stripes(name: str, width: int, steps: int, rate: float) -> None:
    data = stripes(80)
    options = {"width": width, "steps": steps, "learning_rate": rate, "augment": False}
    trainer = build("standard", {"network": name, "batch": 40, **options}, "trainer")
    classifier = trainer.fit(data.select(range(40)), seed=0)
    assert classifier.accuracy(data.select(range(40, 80))) > 0.9


def test_tanh_cnn_is_its_formula_and_refuses_what_is_too_small() -> None:
    network = make("tanh-cnn", (1, 12, 13), 3, width=2, seed=0)
    x = torch.rand(4, 1, 12, 13, generator=torch.Generator().manual_seed(0))
    first, second = network.convolutions
    maps = F.conv2d(x, first.weight, first.bias).tanh()
    maps = F.conv2d(F.max_pool2d(maps, 2), second.weight, second.bias).tanh()
    dense = network.dense(F.max_pool2d(maps, 2).flatten(1)).tanh()
    torch.testing.assert_close(network.embed(x), dense)
    with pytest.raises(OptionError, match="at least 12 pixels"):
        make("tanh-cnn", (1, 11, 28), 3, seed=0)


@pytest.mark.parametrize("name", ["lenet", "alexnet", "vgg11-group", "resnet18-group"])
def test_stacked_equals_one_by_one(name: str) -> None:
    data = stripes(60)
    sets = [data.select(range(30)), data.select(range(30, 60))]
    options = {"network": name, "steps": 3, "width": narrow(name), "learning_rate": 0.01}
    stacked = build("standard", {**options, "stacking": "always"}, "trainer").fit_many(sets, [3, 4])
    for one, seed, classifier in zip(sets, [3, 4], stacked, strict=True):
        alone = build("standard", options, "trainer").fit(one, seed=seed)
        torch.testing.assert_close(
            classifier.logits(data.inputs), alone.logits(data.inputs), rtol=0, atol=1e-3
        )


def test_stacked_gradients_with_instance_norm_are_the_single_ones() -> None:
    # In double precision: instance norms of 2x2 maps, one after the other, amplify rounding.
    data, network = stripes(6), make("resnet18", (1, 8, 8), 2, width=2, seed=0).double()
    weights = {name: value.detach() for name, value in network.named_parameters()}

    def loss(values: dict[str, torch.Tensor]) -> torch.Tensor:
        logits = torch.func.functional_call(network, values, (data.inputs.double(),))
        return F.cross_entropy(logits, data.labels)

    twice = {name: torch.stack([value, value + 0.1]) for name, value in weights.items()}
    together = torch.func.vmap(torch.func.grad(loss))(twice)
    for i in range(2):
        alone = torch.func.grad(loss)({name: value[i] for name, value in twice.items()})
        for name, value in alone.items():
            torch.testing.assert_close(together[name][i], value, rtol=1e-7, atol=1e-9)


def test_a_recipe_narrows_convolutions_alike_and_no_other_network() -> None:
    widths = {
        name: [
            Standard(name, recipe).resolve((1, 28, 28)).width for recipe in ("search", "reference")
        ]
        for name in ("convnet3", "alexnet", "vgg11", "resnet18-group", "lenet", "mlp", "linear")
    }
    assert widths == {
        "convnet3": [32, 128],
        "alexnet": [32, 128],
        "vgg11": [16, 64],
        "resnet18-group": [16, 64],
        "lenet": [None, None],
        "mlp": [None, None],
        "linear": [None, None],
    }
