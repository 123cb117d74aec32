"""Trajectory matching (MTT): training on the synthetic images goes where private training went."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.nn import augment, networks
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.base import Progress
from limbeck.synthesize.condense.base import Condenser
from limbeck.synthesize.condense.experts import Course, Trajectory, trajectories
from limbeck.synthesize.condense.pixels import PixelDescent, Schedule
from limbeck.synthesize.form import Form

Parameters = dict[str, Tensor]
_WIDTH = 16  # of convolutional experts: cost and memory grow with it, N steps deep
_LONGEST = 0.03  # root mean square, over pixels in [0, 1], of one step on the images


@register(
    "mtt",
    kind="synthesizer",
    summary="Training on the synthetic images ends where training on the private ones did",
    paper="Cazenavette et al. 2022, arXiv 2203.11932",
    access="records",
    guarantee="none",
    cost="10,000 images of 28x28 to 10 per class: about two CPU-minutes",
)
@options
class TrajectoryMatching(Condenser):
    """Match the parameters that N steps on S lead to with those of an expert trained on T.

    An expert is a network trained on private records by plain SGD, its parameters theta* kept
    after every epoch. From those of a random early epoch t, a student takes N steps on batches of
    S, under siamese augmentation and with a learned step size a:

        theta_{i+1} = theta_i - a * grad loss(A(S_i); theta_i),   theta_0 = theta*_t
        L(S, a) = |theta_N - theta*_{t+M}|^2 / |theta*_t - theta*_{t+M}|^2

    (Cazenavette et al. 2022). The gradient goes through all N steps to the images, which move by
    SGD with momentum and are clamped to [0, 1], and to log a. Unlike in the paper, a step moves
    pixels by at most 0.03 (root mean square). Defaults are for narrow networks and a CPU: the
    authors' instructions train 100 experts of width 128 for 50 epochs.

    ipc, init, formation: images per class, their start, tiles on a side of each slot.
    steps, learning_rate, momentum, schedule, blur: of the images, as for "dm", but learning_rate
    suits this loss.
    network, width: of experts and students. None: a ConvNet as deep as the images allow, up to 3,
    of width 16; "mlp" for records that are no images.
    augmented: whether experts and students see augmented images.
    student_steps: N. batch: synthetic images in each of them. expert_epochs: M.
    latest_start: the last epoch t that students start from.
    step_size: where a starts; step_rate: learning rate of log a, 0 to keep it.
    expert_count, expert_rate, expert_batch: how many experts, and how each is trained.
    limit: private records that experts are trained on at most, drawn at random.
    experts: a folder to keep experts in and to take them from, under a key of everything that
    determines them. They are as private as the records. None: they stay in memory.
    public_coins: of the experts' initial weights, batches and augmentation.

    Memory grows with student_steps * batch * width: the defaults take 0.6 GB for 28x28 pixels.
    Reads: private records, freely. The release's card does not name the folder of experts.
    """

    steps: Annotated[int, Field(ge=1)] = 100
    learning_rate: Annotated[float, Field(gt=0)] = 1000.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5
    schedule: Schedule = "cosine"
    blur: Annotated[float, Field(ge=0)] = 1.0
    network: str | None = None
    width: Annotated[int, Field(ge=1)] | None = None
    augmented: bool = True
    student_steps: Annotated[int, Field(ge=1)] = 10
    batch: Annotated[int, Field(ge=1)] = 50
    expert_epochs: Annotated[int, Field(ge=1)] = 1
    latest_start: Annotated[int, Field(ge=0)] = 2
    step_size: Annotated[float, Field(gt=0)] = 0.05
    step_rate: Annotated[float, Field(ge=0)] = 0.02
    expert_count: Annotated[int, Field(ge=1)] = 4
    expert_rate: Annotated[float, Field(gt=0)] = 0.05
    expert_batch: Annotated[int, Field(ge=1)] = 128
    limit: Annotated[int, Field(ge=1)] = 10_000
    experts: str | None = None
    public_coins: int = 0

    def resolve(self, private: LabeledDataset) -> "TrajectoryMatching":
        self.check(private)
        network, width = networks.choose(self.network, self.width, private.shape, narrow=_WIDTH)
        return replace(self, network=network, width=width)

    def abridged(self, times: int = 1) -> tuple["TrajectoryMatching", float]:
        steps = 3 * times
        if self.steps <= steps:
            return self, 1.0
        # Both halves of the work by the same factor: steps on images, records seen by experts.
        factor = self.steps / steps
        limit = max(1, round(self.limit * self.expert_count / factor))
        return replace(self, steps=steps, expert_count=1, limit=limit), factor

    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        this = self.resolve(private)
        found = this._experts(private, device, progress)
        return this._match(private, found, seed, device, progress)

    def _experts(
        self, private: LabeledDataset, device: str, progress: Progress | None
    ) -> list[Trajectory]:
        """The experts, as the first half of the progress."""
        assert self.network is not None, "resolve() comes first"
        coin = coins.generator(self.public_coins, "limit")
        chosen = torch.randperm(len(private), generator=coin)[: self.limit]
        return trajectories(
            private.select(chosen.sort().values),
            Course(
                network=self.network,
                width=self.width,
                epochs=self.latest_start + self.expert_epochs,
                learning_rate=self.expert_rate,
                batch=self.expert_batch,
                augmented=self.augmented,
            ),
            self.expert_count,
            public_coins=self.public_coins,
            folder=self.experts,
            device=device,
            progress=None if progress is None else lambda share: progress(share / 2, None),
        )

    def _match(
        self,
        private: LabeledDataset,
        found: Sequence[Trajectory],
        seed: int,
        device: str,
        progress: Progress | None,
    ) -> SyntheticDataset:
        assert self.network is not None, "resolve() comes first"
        form = Form.of(private)
        labels = self.labels(form).to(device)
        network = networks.make(
            self.network, form.shape, len(form.classes), width=self.width, seed=0
        ).to(device)
        descent = PixelDescent(
            self.initial(private, seed).to(device),
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            steps=self.steps,
            schedule=self.schedule,
            blur=self.blur,
        )
        log_step = torch.tensor(math.log(self.step_size), device=device)
        coin = coins.generator(seed, "students")
        shown = replace(self, experts=None)  # what the card says
        for step in range(self.steps):
            expert = found[int(torch.randint(len(found), (), generator=coin))]
            t = int(torch.randint(self.latest_start + 1, (), generator=coin))
            start = {name: values[t] for name, values in expert.items()}
            target = {name: values[t + self.expert_epochs] for name, values in expert.items()}
            slots, log_step = descent.images.requires_grad_(), log_step.requires_grad_()
            batches = self._batches(self.decode(slots), labels, coin, form)
            reached = student(network, start, batches, log_step.exp())
            loss = mismatch(reached, start, target)
            if not bool(torch.isfinite(loss)):
                raise OptionError(
                    f"mtt: students diverged at step {step + 1} of {self.steps} (step size "
                    f"{log_step.exp().item():.3g}, {self.student_steps} steps); lower step_size "
                    "or step_rate"
                )
            downhill, slope = torch.autograd.grad(loss, [slots, log_step])
            descent.step(self._held_back(downhill))
            log_step = log_step.detach() - self.step_rate * slope
            if progress is not None:
                share = (step + 1) / self.steps
                progress(0.5 + share / 2, shown.made(descent.images, form))
        return shown.made(descent.images, form)

    def _held_back(self, gradient: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        # Past the longest stable step size a gradient is a thousand times the usual one: one such
        # step would wipe the images out before the step size is learned down.
        step = self.learning_rate * augment.PIXEL_SCALE**2 * gradient.square().mean().sqrt()
        return gradient * (_LONGEST / step.clamp_min(_LONGEST))

    def _batches(
        self,
        images: Float[Tensor, "n ..."],
        labels: Int64[Tensor, " n"],
        coin: torch.Generator,
        form: Form,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Augmented images and labels of each of the student's steps, epoch by epoch of S."""
        waiting: list[Tensor] = []
        for _ in range(self.student_steps):
            waiting = waiting or list(torch.randperm(len(images), generator=coin).split(self.batch))
            at = waiting.pop(0)
            transform = augment.identity()
            if self.augmented:
                transform = augment.draw(coin, form.shape, mirror=form.mirror, count=len(at))
            chosen = at.to(images.device)
            yield transform(images[chosen]), labels[chosen]


def student(
    network: networks.Network,
    start: Parameters,
    batches: Iterator[tuple[Tensor, Tensor]] | Sequence[tuple[Tensor, Tensor]],
    step_size: Float[Tensor, ""],
) -> Parameters:
    """Parameters after one SGD step on each batch; differentiable in the batches and step size.

    network: gives the function; its own parameters are not used. batches: (images, labels).
    """
    names = list(start)
    values = [value.detach().requires_grad_() for value in start.values()]
    for images, labels in batches:
        logits = functional_call(network, dict(zip(names, values, strict=True)), (images,))
        loss = F.cross_entropy(logits, labels)
        gradients = torch.autograd.grad(loss, values, create_graph=True)
        values = [v - step_size * g for v, g in zip(values, gradients, strict=True)]
    return dict(zip(names, values, strict=True))


def mismatch(reached: Parameters, start: Parameters, target: Parameters) -> Float[Tensor, ""]:
    """Squared distance from ``target``, as a share of that of ``start``: zero on arrival."""
    left = [(reached[name] - value).square().sum() for name, value in target.items()]
    whole = [(start[name] - value).square().sum() for name, value in target.items()]
    return torch.stack(left).sum() / torch.stack(whole).sum()
