"""The networks by name, each with what the literature and this library assume of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from limbeck import coins
from limbeck.errors import OptionError
from limbeck.nn.networks import alexnet, lenet, resnet, tanh_cnn, vgg
from limbeck.nn.networks.base import Network, initialise, require_images
from limbeck.nn.networks.convnet import ConvNet
from limbeck.nn.networks.mlp import MLP, Linear

CONVNET_WIDTH = 128
# He et al. 2015 (arXiv 1502.01852, equation 10). Without norms, the signal of PyTorch's smaller
# weights fades layer by layer, and 150 steps leave AlexNet at chance (measured).
_HE = 2.0


@dataclass(frozen=True)
class Family:
    """One kind of network.

    build: called with shape, classes and ``width``.
    width: channels of its first layer in the literature, or units of a hidden layer; 0: none.
    narrows: whether cheaper recipes train a narrow form in its place.
    at_least: pixels that images need on each side; None: records of any shape are served.
    maps: maps of the first layer's size that a training step holds, for an estimate of memory.
    variance: of an initial weight times its fan-in: PyTorch's own, or He's.
    """

    build: Callable[..., Network]
    width: int
    narrows: bool = True
    at_least: int | None = 8
    maps: int = 10
    variance: float = 1 / 3

    def width_at(self, share: float) -> int | None:
        """``share`` of the literature's width; None: always that width, which ``make`` knows."""
        return max(1, round(self.width * share)) if self.narrows else None


_FAMILIES = {
    **{
        f"convnet{depth}": Family(partial(ConvNet, depth=depth), CONVNET_WIDTH, at_least=2**depth)
        for depth in range(1, 6)
    },
    "mlp": Family(MLP, 256, narrows=False, at_least=None),
    "linear": Family(Linear, 0, narrows=False, at_least=None),
    "lenet": Family(lenet.LeNet, lenet.WIDTH, narrows=False, variance=_HE),
    "tanh-cnn": Family(tanh_cnn.TanhCNN, tanh_cnn.WIDTH, narrows=False, at_least=tanh_cnn.LEAST),
    "alexnet": Family(alexnet.AlexNet, alexnet.WIDTH, variance=_HE),
    "vgg11": Family(vgg.VGG11, vgg.WIDTH, maps=15),
    "vgg11-group": Family(partial(vgg.VGG11, norm="group"), vgg.WIDTH, maps=15),
    "resnet18": Family(resnet.ResNet18, resnet.WIDTH, maps=50),
    "resnet18-group": Family(partial(resnet.ResNet18, norm="group"), resnet.WIDTH, maps=50),
}


def family(name: str) -> Family:
    """What is assumed of the network ``name``; OptionError lists the known ones."""
    if name not in _FAMILIES:
        raise OptionError(f"no network is called {name!r}; there are: {known()}")
    return _FAMILIES[name]


def is_known(name: str) -> bool:
    """Whether there is a network of that name."""
    return name in _FAMILIES


def known() -> str:
    """The names of all networks, for people."""
    others = (name for name in _FAMILIES if not name.startswith("convnet"))
    return ", ".join(("convnet1 to convnet5", *others))


def make(
    name: str, shape: tuple[int, ...], classes: int, *, width: int | None = None, seed: int
) -> Network:
    """The network ``name`` for records of ``shape``, on the CPU, drawn from ``seed``.

    name: "convnetD" with depth D from 1 to 5 (images at least 2**D pixels wide); "lenet",
        "alexnet", "vgg11", "resnet18" (at least 8 pixels; instance norm, where there is a norm),
        "vgg11-group", "resnet18-group" (group norm); "tanh-cnn" (at least 12 pixels); "mlp" and
        "linear" for records of any shape.
    width: channels of the first convolution, to which those of the others are in proportion
        (the literature's: ConvNet and AlexNet 128, VGG-11 and ResNet-18 64, TanhCNN 28, LeNet 6),
        or units of each hidden layer of an MLP (256).
    Raises OptionError for an unknown name or a shape the network cannot serve.
    """
    kind = family(name)
    if kind.at_least is not None:
        require_images(shape, name, at_least=kind.at_least)
    network = kind.build(shape, classes, width=width or kind.width)
    network.name, network.width = name, width or kind.width
    initialise(network, coins.generator(seed, "network"), variance=kind.variance)
    return network


def deepest(shape: tuple[int, ...]) -> str:
    """The deepest ConvNet, up to 3 blocks, whose poolings leave an image 2x2 pixels; or "mlp"."""
    if len(shape) != 3:
        return "mlp"
    return f"convnet{min(3, max(1, min(shape[1:]).bit_length() - 2))}"


def choose(
    network: str | None, width: int | None, shape: tuple[int, ...], *, narrow: int
) -> tuple[str, int | None]:
    """A network that serves records of ``shape``, and its width, where they are not given.

    narrow: width of a ConvNet; all others have their own. OptionError as in ``make``.
    """
    chosen = network or deepest(shape)
    make(chosen, shape, 2, width=1, seed=0)  # refuses what it cannot serve
    return chosen, width or (narrow if chosen.startswith("convnet") else None)
