"""Signals: what an attacker reads off a released classifier about one record.

The two kinds, in the order of attacks.base.SIGNALS, are those of Carlini et al. 2022 (arXiv
2112.03570, section IV-C) and Aerni et al. 2024 (arXiv 2404.17399). The loss is softplus(-margin),
so that a loss attack needs no signal of its own.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limbeck.audit.views import View
from limbeck.train.base import Classifier


def margins(
    logits: Float[Tensor, "n classes"], labels: Int64[Tensor, " n"]
) -> Float[Tensor, "kinds n"]:
    """The logit margin z_y - logsumexp(other logits) and the hinge z_y - max(other logits).

    In float64: the margin equals log(p / (1 - p)), which float32 loses where p is near 1.
    """
    z = logits.double()
    at = labels[:, None]
    own = z.gather(1, at)[:, 0]
    others = z.scatter(1, at, -torch.inf)
    return torch.stack([own - others.logsumexp(1), own - others.amax(1)])


def observe(
    classifier: Classifier,
    inputs: Float[Tensor, "n ..."],
    labels: Int64[Tensor, " n"],
    views: Sequence[View],
) -> Float[np.ndarray, "views kinds n"]:
    """Every signal of every record under every view, float32."""
    seen = [margins(classifier.logits(view(inputs)), labels) for view in views]
    return torch.stack(seen).numpy().astype(np.float32)
