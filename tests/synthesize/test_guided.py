"""A generator that follows given gradients goes where they point, and releases what it learnt."""

import torch

from limbeck.nn.generator import Generator
from limbeck.synthesize.form import Form
from limbeck.synthesize.generate.dp_merf import DPMERF
from limbeck.synthesize.generate.drawing import Drawing
from limbeck.synthesize.generate.guided import Guided

FORM = Form((3,), ("a", "b"), False, "x")
TARGET = torch.tensor([0.2, 0.8])[:, None, None]  # of each class


def test_images_go_down_the_gradients_that_they_are_told_and_the_mean_of_weights_is_released():
    generator = Generator(FORM.shape, 2, code=2, width=2, seed=1)
    drawing = Drawing(DPMERF(ipc=5), FORM, 5, 1)
    guided = Guided(generator, drawing, steps=60, batch=4, learning_rate=0.02, seed=1)
    heard = []
    for step in range(60):
        images = guided.images()
        assert images.shape == (2, 4, 3)
        if step == 0:
            assert (images - TARGET).abs().mean() > 0.2
        guided.follow(
            images, (images - TARGET).detach(), step, lambda share, state: heard.append(share)
        )
    assert (guided.images() - TARGET).abs().mean() < 0.06
    made = guided.drawn()
    assert made.labels.tolist() == [0] * 5 + [1] * 5
    assert (made.inputs.unflatten(0, (2, 5)) - TARGET).abs().mean() < 0.1
    assert not torch.equal(made.inputs, drawing(generator).inputs), "last weights are not the mean"
    assert heard[-1] == 1.0 and heard == sorted(heard)
