"""Datasets: private and synthetic, their sources, splits and planted canaries."""

from limbeck.data.dataset import LabeledDataset
from limbeck.data.sources import available, load, read
from limbeck.data.synthetic import SyntheticDataset

__all__ = ["LabeledDataset", "SyntheticDataset", "available", "load", "read"]
