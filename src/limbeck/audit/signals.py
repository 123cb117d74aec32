"""Signals: what an attacker reads off a released classifier about one record.

The kinds, in the order of attacks.base.SIGNALS: the margin of Carlini et al. 2022 (arXiv
2112.03570, section IV-C), the hinge of Aerni et al. 2024 (arXiv 2404.17399), the modified entropy
of Song and Mittal 2021 (arXiv 2003.10595). The loss is softplus(-margin), so that a loss attack
needs no signal of its own; the entropy needs all of the answer and cannot be had from the others.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import softplus

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


def modified_entropy(
    logits: Float[Tensor, "n classes"], labels: Int64[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """-(1 - p_y) log p_y - sum over i != y of p_i log(1 - p_i), in float64 and at least 0.

    0 for an answer that is certain of the label, without bound for one that is certain of another.
    """
    z = logits.double()
    p = z.softmax(1)
    top = z.argmax(1)
    # 1 - p rounds to 0 for the largest p alone, and its logarithm is softplus(margin) with minus.
    rest = torch.log1p(-p.scatter(1, top[:, None], 0.0))
    rest = rest.scatter(1, top[:, None], -softplus(margins(z, top)[0])[:, None])
    margin = margins(z, labels)[0]
    others = (p * rest).scatter(1, labels[:, None], 0.0)
    return torch.sigmoid(-margin) * softplus(-margin) - others.sum(1)


def observe(
    classifier: Classifier,
    inputs: Float[Tensor, "n ..."],
    labels: Int64[Tensor, " n"],
    views: Sequence[View],
) -> Float[np.ndarray, "views kinds n"]:
    """Every signal of every record under every view, float32."""
    seen = []
    for view in views:
        logits = classifier.logits(view(inputs))
        entropy = -modified_entropy(logits, labels)
        seen.append(torch.cat([margins(logits, labels), entropy[None]]))
    return torch.stack(seen).numpy().astype(np.float32)
