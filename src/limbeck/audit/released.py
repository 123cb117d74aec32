"""The very release that an audit is about, attacked with its shadow runs as references.

It was made from all of the private records, and none of them was a canary then: so its ordinary
records are all members, and the control records, which come from the test part, are the others.
Each record is compared with the runs that did not have it. Where private and test records are not
alike, that difference looks like a leak: this describes, and takes no part in the verdict.
"""

import numpy as np
import torch

from limbeck.audit import evidence
from limbeck.audit.attacks.base import SIGNALS, Observed
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.inference.one_set import area
from limbeck.audit.inference.shadows import Shadows
from limbeck.audit.plan import Plan
from limbeck.audit.signals import observe
from limbeck.train.base import Classifier

ATTACK = LiRA(online=False)
"""Needs no run that had the record: control records are in none."""


def attack_release(
    classifier: Classifier, plan: Plan, shadows: Shadows
) -> tuple[evidence.Released, ...]:
    """Offline LiRA on every signal of a classifier trained on the release as the runs' were.

    Empty where there are fewer than two ordinary or two control records.
    """
    ordinary, control = (np.flatnonzero(shadows.groups == g) for g in ("ordinary", "control"))
    if min(len(ordinary), len(control)) < 2:
        return ()
    asked = np.concatenate([ordinary, control])
    queries = plan.queries.select(torch.from_numpy(asked))
    seen = observe(classifier, queries.inputs, queries.labels, plan.views)
    membership = np.vstack([shadows.membership[:, asked], np.ones(len(asked), dtype=bool)])
    found = []
    for kind, signal in enumerate(SIGNALS[: shadows.signals.shape[2]]):
        if signal not in ATTACK.reads:
            continue
        # The release joins the runs as one more: one that had all the records, and so serves
        # offline attacks as a reference for none of them.
        signals = np.concatenate([shadows.signals[:, :, kind][:, :, asked], seen[None, :, kind]])
        scores = ATTACK.score(Observed(signals, membership))[-1]
        value, p_value = area(scores[: len(ordinary)], scores[len(ordinary) :])
        found.append(
            evidence.Released(
                name=ATTACK.title,
                signal=signal,
                auc=evidence.Estimate.of(value),
                p_value=p_value,
                members=len(ordinary),
                others=len(control),
            )
        )
    return tuple(found)
