"""Datasets: private and synthetic, their sources, splits and planted canaries."""

from limbeck.data.dataset import LabeledDataset
from limbeck.data.sources import load
from limbeck.data.synthetic import SyntheticDataset

__all__ = ["LabeledDataset", "SyntheticDataset", "load"]
