"""Which records a release holds as they are."""

import math

import numpy as np
import pytest
import torch

from limbeck.audit.images.kept import kept, share_kept
from limbeck.data import canaries
from limbeck.data.synthetic import SyntheticDataset
from limbeck.synthesize.select.random_subset import RandomSubset


def test_records_are_found_by_their_content_whatever_their_label(tiny_images):
    release = RandomSubset(3).synthesize(tiny_images, seed=0)
    expected = [any(torch.equal(x, s) for s in release.inputs) for x in tiny_images.inputs]
    assert kept(release, tiny_images.inputs).tolist() == expected and sum(expected) == 12
    other = SyntheticDataset(release.inputs, 3 - release.labels, release.classes)
    assert kept(other, tiny_images.inputs).tolist() == expected
    nudged = SyntheticDataset((release.inputs - 1e-3).clamp(0, 1), release.labels, release.classes)
    assert not kept(nudged, tiny_images.inputs).any()


def test_the_share_is_of_members_alone_and_a_random_subset_keeps_its_own_share(digits):
    private, _ = digits
    private = private.select(range(400))
    index = torch.arange(0, 400, 20)
    planted = canaries.plant(private, index, "mislabelled", 0).data
    membership = torch.rand(12, 20, generator=torch.Generator().manual_seed(0)) < 0.5
    rows = torch.ones(12, 400, dtype=torch.bool)
    rows[:, index] = membership
    releases = RandomSubset(10).synthesize_many(planted, rows, list(range(12)))
    found = np.stack([kept(r, planted.inputs[index]) for r in releases])
    assert not (found & ~membership.numpy()).any()
    share = share_kept(found, membership.numpy())
    by_hand = [f for f, m in zip(found.flatten(), membership.flatten(), strict=True) if m]
    assert share.trials == len(by_hand) and share.value == pytest.approx(np.mean(by_hand))
    assert share.low < 100 / 390 < share.high
    assert math.isnan(share_kept(found, np.zeros_like(found)).value)
