"""What every attack on released images must show: copying is caught, and nothing else is."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from limbeck.audit.attacks.lira import lira
from limbeck.audit.images.blind import blind
from limbeck.audit.images.copying import copying
from limbeck.audit.images.density import density_ratio
from limbeck.audit.images.embedders import Embedders, random_embed, random_embedders
from limbeck.audit.images.measures import L2, standard
from limbeck.audit.images.nearest import calibrated, nearest
from limbeck.audit.images.tracing import tracing
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset

SHAPE = (1, 12, 12)
PER_CLASS = 10


def draw(n, seed):
    """Images of two classes: a template of its own each, and strong variation around it."""
    templates = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(99))
    noise = torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(n) % 2
    return LabeledDataset(0.4 * templates[labels] + 0.6 * noise, labels, ("a", "b"))


def copies(records, members):
    """The release of a mechanism that publishes its first ten members of each class."""
    rows = np.concatenate([np.flatnonzero(members & (records.labels.numpy() == c))[:PER_CLASS]
                           for c in range(2)])  # fmt: skip
    chosen = torch.from_numpy(rows)
    release = SyntheticDataset(records.inputs[chosen], records.labels[chosen], records.classes)
    return release, np.isin(np.arange(len(records)), rows)


def ignoring(seed, offset=0.0):
    """The release of a mechanism that never looks at its data."""
    fresh = draw(2 * PER_CLASS, seed)
    inputs = (1 - offset) * fresh.inputs + offset
    return SyntheticDataset(inputs, fresh.labels, fresh.classes)


def signals(attack, records, releases, population):
    """(runs, records) of one attack."""
    if attack == "tracing":
        return tracing(records, releases, population, random_embedders(SHAPE, 2))
    if attack == "tracing-pixels":
        pixels = Embedders((lambda x: x.flatten(1),))
        return tracing(records, releases, population, pixels)
    if attack == "density":
        return density_ratio(records, releases, population, random_embed(SHAPE))
    kind = ("l2", "ssim", "embedding").index(attack.removeprefix("calibrated-"))
    measures = standard(SHAPE)[kind : kind + 1]
    if attack.startswith("calibrated"):
        return calibrated(records, releases, population, measures)[:, 0]
    return nearest(records, releases, measures)[:, 0]


ATTACKS = (
    "l2",
    "ssim",
    "embedding",
    "calibrated-l2",
    "calibrated-ssim",
    "calibrated-embedding",
    "tracing",
    "tracing-pixels",
    "density",
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_copying_mechanism_is_caught(attack):
    records, population = draw(200, 0), draw(400, 1)
    release, copied = copies(records, np.random.default_rng(0).random(200) < 0.5)
    scores = signals(attack, records, [release], population)[0]
    assert roc_auc_score(copied, scores) > 0.99


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_mechanism_that_ignores_its_data_leaves_the_attack_at_chance(attack):
    records, population = draw(400, 0), draw(400, 1)
    member = np.random.default_rng(1).random(400) < 0.5
    scores = signals(attack, records, [ignoring(2)], population)[0]
    error = np.sqrt(401 / (12 * member.sum() * (~member).sum()))
    assert abs(roc_auc_score(member, scores) - 0.5) < 3.5 * error


@pytest.mark.parametrize("attack", ["l2", "tracing", "density"])
def test_lira_on_these_signals_over_shadow_runs(attack):
    records, population = draw(60, 0), draw(200, 1)
    membership = np.random.default_rng(2).random((24, 60)) < 0.5
    made = [copies(records, row) for row in membership]
    copied = np.stack([c for _, c in made])
    found = signals(attack, records, [r for r, _ in made], population)
    scores = lira(found[:, None], membership)
    # The ten copied of the fifteen members of each class; the rest of the members is not leaked.
    assert roc_auc_score(copied.ravel(), scores.ravel()) > 0.97
    assert roc_auc_score(membership.ravel(), scores.ravel()) > 0.75


def brightened(n, seed):
    """Records of which the second half is brighter: a split that is not random."""
    data, bright = draw(n, seed), torch.arange(n) >= n // 2
    inputs = 0.7 * data.inputs + 0.3 * bright[:, None, None, None]
    return LabeledDataset(inputs, data.labels, data.classes), bright.numpy()


def test_a_split_that_is_not_random_is_no_leak_over_shadow_runs():
    """Pitfall: members and hold-out that differ for another reason than membership."""
    records, bright = brightened(200, 0)
    releases = [ignoring(10 + run, offset=0.3) for run in range(16)]
    found = nearest(records, releases, [L2()])
    # Taken for members and others, the halves are told apart although nothing leaks.
    assert roc_auc_score(bright, found[0, 0]) > 0.99
    # Over shadow runs with coins of their own the same signals say nothing.
    membership = np.random.default_rng(3).random((16, 200)) < 0.5
    auc = roc_auc_score(membership.ravel(), lira(found, membership).ravel())
    assert abs(auc - 0.5) < 0.04
    # And the control says that the split is to blame, as it does not of a random one.
    assert blind(records.inputs.numpy(), bright).tells()
    assert not blind(records.inputs.numpy(), membership[0]).tells()


def test_copying_is_visible_and_its_absence_too():
    records, control = draw(200, 0), draw(200, 1)
    release, copied = copies(records, np.ones(200, dtype=bool))
    for seen in copying(release, records, control, standard(SHAPE)).measured:
        assert seen.closer.value == 1.0
        assert set(seen.nearest[:, 0]) == set(np.flatnonzero(copied))
        assert seen.explicit_privacy == pytest.approx(0, abs=1e-5)
    for seen in copying(ignoring(5), records, control, standard(SHAPE)).measured:
        assert seen.closer.low < seen.expected < seen.closer.high
        assert seen.explicit_privacy > 0.01
