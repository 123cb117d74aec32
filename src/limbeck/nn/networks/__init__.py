"""The small networks of the condensation literature, initialised from an explicit seed."""

from limbeck.nn.networks.alexnet import AlexNet
from limbeck.nn.networks.base import Network, initialise, require_images
from limbeck.nn.networks.catalogue import choose, deepest, family, make
from limbeck.nn.networks.convnet import ConvNet
from limbeck.nn.networks.lenet import LeNet
from limbeck.nn.networks.mlp import MLP, Linear
from limbeck.nn.networks.resnet import ResNet18
from limbeck.nn.networks.tanh_cnn import TanhCNN
from limbeck.nn.networks.vgg import VGG11

__all__ = [
    "MLP",
    "VGG11",
    "AlexNet",
    "ConvNet",
    "LeNet",
    "Linear",
    "Network",
    "ResNet18",
    "TanhCNN",
    "choose",
    "deepest",
    "family",
    "initialise",
    "make",
    "require_images",
]
