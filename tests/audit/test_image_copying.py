"""Visible copying: distances, near-duplicates left out, LPIPS only with weights."""

import numpy as np
import pytest
import torch

from limbeck.audit.images.copying import NOT_COMPUTED, close, copying, distinct
from limbeck.audit.images.lpips import Lpips
from limbeck.audit.images.measures import L2
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError


def draw(n, seed):
    inputs = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return LabeledDataset(inputs, torch.arange(n) % 2, ("a", "b"))


def released(inputs):
    return SyntheticDataset(inputs, torch.zeros(len(inputs), dtype=torch.int64), ("a", "b"))


def rms(a, b):
    return (a[:, None] - b).square().mean((2, 3, 4)).sqrt().numpy()


def test_distances_to_both_sides_equal_a_loop():
    private, control, images = draw(30, 0), draw(20, 1), draw(8, 2).inputs
    seen = copying(released(images), private, control, [L2()], k=2)
    (l2,) = seen.measured
    inside, outside = rms(images, private.inputs), rms(images, control.inputs)
    np.testing.assert_array_equal(l2.nearest, np.argsort(inside, 1)[:, :2])
    np.testing.assert_allclose(l2.private, inside.min(1), atol=1e-6)
    np.testing.assert_allclose(l2.control, outside.min(1), atol=1e-6)
    np.testing.assert_array_equal(l2.nearest_control, outside.argmin(1))
    assert l2.closer.value == np.mean(inside.min(1) < outside.min(1))
    assert l2.expected == pytest.approx(30 / 50)
    assert l2.explicit_privacy == pytest.approx(inside.min(1).mean())
    assert l2.quantiles([0.5])["control"] == [pytest.approx(np.median(outside.min(1)))]
    assert seen.duplicates == (0, 0)


def test_a_copy_under_another_label_is_still_a_copy():
    private, control = draw(30, 0), draw(30, 1)
    seen = copying(released(private.inputs[[1]]), private, control, [L2()])
    assert private.labels[1] == 1
    assert seen.measured[0].nearest[0, 0] == 1


def test_near_duplicates_across_the_split_are_left_out_of_the_comparison():
    """Pitfall: near-duplicates across the split are removed first."""
    private, control = draw(30, 0), draw(30, 1)
    inputs = control.inputs.clone()
    inputs[:2] = private.inputs[3] + 0.005
    control = LabeledDataset(inputs.clamp(0, 1), control.labels, control.classes)
    kept, left = distinct(private, control, 0.02)
    assert (~kept).nonzero()[:, 0].tolist() == [3]
    assert (~left).nonzero()[:, 0].tolist() == [0, 1]
    seen = copying(released(private.inputs[[3]]), private, control, [L2()])
    assert seen.duplicates == (1, 2)
    (l2,) = seen.measured
    assert l2.nearest_control[0] == 2 + rms(private.inputs[[3]], inputs[2:])[0].argmin()
    # The copy is shown, and compared with others than its twins on either side.
    assert (l2.nearest[0, 0], l2.private[0]) == (3, 0)
    np.testing.assert_allclose(l2.control, rms(private.inputs[[3]], inputs[2:]).min(), atol=1e-6)
    others = np.delete(rms(private.inputs[[3]], private.inputs)[0], 3).min()
    assert l2.closer.value == float(others < l2.control[0])
    assert l2.expected == pytest.approx(29 / 57)


def test_near_duplicates_go_wherever_their_twin_is():
    """Else the larger side would keep more of them, and look more copied than it is."""
    private, control = draw(1500, 0), draw(300, 1)
    inputs = private.inputs.clone()
    inputs[7], inputs[900] = (inputs[3] + 0.005).clamp(0, 1), control.inputs[11]
    private = LabeledDataset(inputs, private.labels, private.classes)
    kept, left = distinct(private, control, 0.02)
    assert (~kept).nonzero()[:, 0].tolist() == [3, 7, 900]
    assert (~left).nonzero()[:, 0].tolist() == [11]
    # Of one person they are two records that share their side.
    groups = torch.arange(1500)
    groups[7] = 3
    owned = LabeledDataset(inputs, private.labels, private.classes, groups)
    kept, _ = distinct(owned, control, 0.02)
    assert (~kept).nonzero()[:, 0].tolist() == [900]
    near, held = close(private.select([3, 4]), private.select([7, 8, 9]), 0.02)
    assert near.tolist() == [True, False] and held.tolist() == [True, False, False]


def test_lpips_is_not_computed_without_weights_and_is_with_random_ones():
    private, control = draw(30, 0), draw(30, 1)
    release = released(private.inputs[:4])
    without = copying(release, private, control, [L2()])
    assert (without.lpips, len(without.measured)) == (NOT_COMPUTED, 1)
    kernel = torch.randn(5, 1, 3, 3, generator=torch.Generator().manual_seed(2))
    lpips = Lpips(lambda x: [torch.conv2d(x, kernel).relu()], (torch.rand(5),))
    seen = copying(release, private, control, [L2()], lpips=lpips)
    assert seen.lpips is None
    assert [d.measure for d in seen.measured] == ["l2", "lpips"]
    np.testing.assert_array_equal(seen.measured[1].nearest[:, 0], range(4))
    assert seen.measured[1].closer.value == 1.0
    assert (seen.measured[1].control > 0).all()


def test_control_records_that_are_the_private_ones_are_refused():
    private = draw(10, 0)
    with pytest.raises(OptionError, match="has a near-duplicate; give control"):
        copying(released(private.inputs), private, private, [L2()])
