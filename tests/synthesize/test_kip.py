"""KIP against its formula written out with scikit-learn, and what it promises to do."""

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge as Reference

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DatasetError, OptionError
from limbeck.nn.kernels import convolutional_ntk, fully_connected_ntk
from limbeck.synthesize.condense.kip import KernelInducingPoints, TangentKernel
from limbeck.synthesize.form import Form
from limbeck.train.kernel_ridge import KernelRidge

SMALL = {"ipc": 2, "steps": 20, "batch": 16}


def loss(method, made, data):
    """The published loss of a set on all of ``data``, by scikit-learn's kernel ridge."""
    s, t = (x.inputs.flatten(1).double() for x in (made, data))
    classes = len(data.classes)
    k_ss, k_ts = (fully_connected_ntk(x, s, depth=method.depth).numpy() for x in (s, t))
    y_s = made.soft_labels if made.soft_labels is not None else torch.eye(classes)[made.labels]
    solved = Reference(alpha=method.ridge * np.trace(k_ss) / len(s), kernel="precomputed")
    solved.fit(k_ss, y_s.double().numpy() - 1 / classes)
    wanted = torch.eye(classes, dtype=torch.float64)[data.labels].numpy() - 1 / classes
    return ((solved.predict(k_ts) - wanted) ** 2).sum() / (2 * len(t))


@pytest.mark.parametrize("learn_labels", [False, True])
def test_it_lowers_the_published_loss(tiny_images, learn_labels):
    # The batch is the data: every step descends on the loss that is measured.
    options = {"ipc": 2, "batch": 40, "learn_labels": learn_labels, "init": "noise"}
    before, after = (
        KernelInducingPoints(**options, steps=steps, learning_rate=rate).synthesize(
            tiny_images, seed=0
        )
        for steps, rate in ((1, 1e-9), (60, 0.03))
    )
    method = KernelInducingPoints(**options)
    assert loss(method, after, tiny_images) < 0.5 * loss(method, before, tiny_images)
    assert (after.soft_labels is not None) is learn_labels
    if learn_labels:
        torch.testing.assert_close(after.soft_labels.sum(1), torch.ones(8))
        assert not torch.equal(after.soft_labels, before.soft_labels)


def test_a_step_follows_the_gradient_of_the_published_loss():
    """Adam's first step moves every pixel by the rate against its gradient's sign."""
    data = LabeledDataset(
        0.3 + 0.4 * torch.rand(12, 6, generator=torch.Generator().manual_seed(1)),
        torch.arange(12) % 3,
        ("a", "b", "c"),
    )
    method = KernelInducingPoints(ipc=1, steps=1, batch=12, learning_rate=0.01, ridge=1e-2)
    start = method.initial(data, 7)
    made = method.synthesize(data, seed=7)
    moved = (made.inputs - start).double()
    assert torch.allclose(moved.abs(), torch.full_like(moved, 0.01), atol=1e-4)

    def at(inputs):
        return loss(method, method.made(inputs, Form.of(data)), data)

    for row, column in [(0, 0), (1, 3), (2, 5)]:
        nudge = torch.zeros(3, 6)
        nudge[row, column] = 1e-3
        slope = at(start + nudge) - at(start - nudge)
        assert np.sign(slope) == -np.sign(float(moved[row, column]))


def test_it_beats_its_own_start_at_what_it_is_made_for(digits):
    private, test = digits
    method = KernelInducingPoints(ipc=1, steps=60, batch=200, learn_labels=True).resolve(private)
    start = method.made(method.initial(private, 3), Form.of(private))
    before, after = (
        KernelRidge().fit(made, seed=0).accuracy(test)
        for made in (start, method.synthesize(private, seed=3))
    )
    assert after > before + 0.15, (before, after)


@pytest.mark.parametrize("kernel", ["fully-connected", "convolutional"])
def test_kernel_blocks_are_those_of_pooled_images(kernel):
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.rand(1, n, 2, 4, 6, generator=generator) for n in (3, 5))
    small = [x[0].unflatten(3, (3, 2)).unflatten(2, (2, 2)).mean((3, 5)) for x in (ours, theirs)]
    if kernel == "fully-connected":
        ntk, small = fully_connected_ntk, [x.flatten(1) for x in small]
    else:
        ntk = convolutional_ntk
    own, across = TangentKernel(kernel, 2, 2).blocks(ours, theirs)
    assert own.dtype == torch.float64 and across.dtype == torch.float32
    torch.testing.assert_close(own[0], ntk(small[0].double(), small[0].double(), depth=2))
    torch.testing.assert_close(across[0], ntk(small[1], small[0], depth=2))


@pytest.mark.parametrize("kernel", ["fully-connected", "convolutional"])
def test_stacked_runs_equal_the_loop_over_runs(tiny_images, kernel, monkeypatch):
    method = KernelInducingPoints(**{**SMALL, "steps": 5}, kernel=kernel, learn_labels=True)
    membership = torch.rand(3, 40, generator=torch.Generator().manual_seed(1)) < 0.8
    stacked = list(method.synthesize_many(tiny_images, membership, [1, 2, 3]))
    monkeypatch.setattr(KernelInducingPoints, "together", lambda self, form: 1)
    looped = list(method.synthesize_many(tiny_images, membership, [1, 2, 3]))
    for one, other in zip(stacked, looped, strict=True):
        assert torch.allclose(one.inputs, other.inputs, atol=1e-4)
        assert torch.allclose(one.soft_labels, other.soft_labels, atol=1e-4)
    assert not torch.allclose(stacked[0].inputs, stacked[1].inputs, atol=1e-2)


def test_the_card_names_the_regression_that_the_set_is_for(tiny_images, tmp_path):
    from limbeck.cli import main

    made = KernelInducingPoints(**SMALL, depth=3, ridge=1e-3).synthesize(tiny_images, seed=0)
    evaluation = made.card["evaluation"]
    assert evaluation["trainer"] == KernelRidge.method_name
    made.save(tmp_path / "release")
    given = {"inputs": tiny_images.inputs.numpy(), "labels": tiny_images.labels.numpy()}
    np.savez(tmp_path / "data.npz", **given, classes=np.array(tiny_images.classes))
    places = {"release/": str(tmp_path / "release"), "DATA": str(tmp_path / "data.npz")}
    words = [places.get(word, word) for word in evaluation["command"].split()[1:]]
    assert main([*words, "--networks", "1"]) == 0
    convolutional = KernelInducingPoints(**SMALL, kernel="convolutional")
    assert (
        "evaluation"
        not in convolutional.made(convolutional.initial(tiny_images, 0), Form.of(tiny_images)).card
    )


def test_resolved_options_suit_the_kernel(tiny_images):
    plain = KernelInducingPoints(ipc=1).resolve(tiny_images)
    assert (plain.pooling, plain.steps, plain.batch) == (1, 1000, 1000)
    large = LabeledDataset(torch.rand(4, 1, 28, 28), torch.arange(4) % 2, ("a", "b"))
    convolutional = KernelInducingPoints(ipc=1, kernel="convolutional").resolve(large)
    assert (convolutional.pooling, convolutional.steps, convolutional.batch) == (2, 150, 100)
    kept = KernelInducingPoints(ipc=1, kernel="convolutional", pooling=1, steps=9).resolve(large)
    assert (kept.pooling, kept.steps) == (1, 9)


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({"kernel": "convolutional"}, (5,), "convolutional kernel needs images"),
        ({"kernel": "convolutional", "depth": 4}, (1, 8, 8), "1 to 3 convolutions, not 4"),
        ({"pooling": 2}, (5,), "use pooling 1"),
        ({"pooling": 9}, (1, 8, 8), "use pooling 1"),
    ],
)
def test_what_it_cannot_serve_is_refused(options, shape, message):
    data = LabeledDataset(torch.rand(8, *shape), torch.arange(8) % 2, ("a", "b"))
    with pytest.raises(OptionError, match=message):
        KernelInducingPoints(ipc=1, **options).resolve(data)


def test_a_run_without_records_is_refused(tiny_images):
    method = KernelInducingPoints(**SMALL, init="noise")
    with pytest.raises(DatasetError, match="without any record"):
        list(method.synthesize_many(tiny_images, torch.zeros(1, 40, dtype=torch.bool), [1]))
