"""Attacks and signals by the names that a reader knows; an unknown name stands for itself."""

_TITLES = {
    "loss-threshold": "loss threshold",
    "entropy-threshold": "entropy threshold",
    "rmia": "RMIA",
    "rmia-offline": "RMIA, offline",
    "lira": "LiRA",
    "lira-offline": "LiRA, offline",
    "quantile-regression": "quantile regression",
    "shokri": "shadow attack, a support vector machine for each class",
    "shokri-logistic": "shadow attack, a logistic regression for each class",
}
_VARIANTS = {
    "-per-class": ", a threshold for each class",
    "-pooled": ", pooled variance",
    "-per-record": ", a variance for each record",
}
_TRUE_LABEL = "-true-label"

SIGNALS = {
    "margin": "logit margin",
    "hinge": "hinge",
    "entropy": "entropy",
    "softmax": "whole answers",
    "nearest-l2": "nearest image, in pixels",
    "nearest-ssim": "nearest image, in structure",
    "nearest-embedding": "nearest image, in an embedding",
    "tracing": "traces in the images",
    "density-ratio": "density of the images",
    "kernel-ridge": "attacker's own kernel ridge regression",
    "retrained": "attacker's own networks",
    "ensemble": "margins of all classifiers together",
}
"""What an attack reads: of a classifier, or of the released images alone."""


def base(name: str) -> str:
    """An attack's name without the options and records that it stands for."""
    return _split(name)[0]


def title(name: str) -> str:
    """An attack's name in a sentence."""
    found, variant = _split(name)
    return _TITLES[found] + variant if found in _TITLES else name


def signal(name: str) -> str:
    """A signal's name in a sentence."""
    return SIGNALS.get(name, name)


def _split(name: str) -> tuple[str, str]:
    found = name.removesuffix(_TRUE_LABEL)
    under = "" if found == name else ", under the true labels"
    for suffix, said in _VARIANTS.items():
        if found.endswith(suffix):
            return found.removesuffix(suffix), said + under
    return found, under
