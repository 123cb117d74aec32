"""Trainers: dataset in, classifier out; synthetic sets are evaluated by training on them."""

from limbeck.train.base import Classifier, Trainer, TrainingSet, targets
from limbeck.train.comparison import Utility, utility
from limbeck.train.evaluate import evaluate
from limbeck.train.kernel_ridge import KernelRidge, KernelRidgeClassifier
from limbeck.train.network_classifier import StandardClassifier
from limbeck.train.recipes import RECIPES, Recipe
from limbeck.train.standard import Standard

__all__ = [
    "RECIPES",
    "Classifier",
    "KernelRidge",
    "KernelRidgeClassifier",
    "Recipe",
    "Standard",
    "StandardClassifier",
    "Trainer",
    "TrainingSet",
    "Utility",
    "evaluate",
    "targets",
    "utility",
]
