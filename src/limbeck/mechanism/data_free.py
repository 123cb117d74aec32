"""Data-free distillation: a student that only ever sees what a generator makes for its teacher."""

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.mechanism.base import Mechanism, Release
from limbeck.nn.feature_statistics import FeatureStatistics, watched
from limbeck.nn.fit import Adam
from limbeck.nn.generator import Generator
from limbeck.nn.networks import Network, make
from limbeck.recipe import options, recipe
from limbeck.registry import register
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.base import labels
from limbeck.train.network_classifier import StandardClassifier
from limbeck.train.standard import Standard

TEMPERATURE = 4.0


@dataclass(frozen=True, eq=False)
class Teacher:
    """All that is left of the private data: a network, and the statistics of its layers there."""

    network: Network
    statistics: FeatureStatistics


@register(
    "data-free-distillation",
    kind="mechanism",
    summary="A student network taught by a private teacher's answers to generated images alone",
    paper="arXiv 1912.11006 (Fang 2019) and 1912.08795 (Yin 2020)",
    access="records",
    guarantee="none",
    cost="1,438 digits with an MLP: 10 to 25 CPU-seconds",
)
@options
class DataFreeDistillation(Mechanism):
    """A teacher of the private data, a generator against it, a student of what that generates.

    Step by step the class-conditional generator G learns to minimise

        CE(T(G(z, y)), y) + statistics * D(G(z, y)) - adversarial * log(1 + mean |T - S|(G(z, y)))

    where T and S are the logits of teacher and student, and D the distance between the channels'
    means and deviations in the teacher's layers and those that the private data left there (Yin et
    al. 2020; measured once, as these networks have no batch norm to keep them). The student follows
    the teacher's logits on new images of G (Hinton et al. 2015, arXiv 1503.02531, at temperature
    4), which G seeks where the two differ (Fang et al. 2019). Gaussian noise on those images widens
    what the student is asked: a small G makes much alike, and without it a convolutional student
    of digits is right on half of what its teacher is right on.

    trainer: of the teacher; the student has the same network, drawn anew.
    steps: of the generator, each followed by ``student_steps`` of the student. batch: images in
        each. rate, student_rate: of Adam, falling to zero.
    noise: its standard deviation; private records lie in [0, 1], and so do noised images.
    code, width: of the generator. statistics, adversarial: weights of the losses; 0 leaves one out.
    images: generated records of each class that a run keeps, without noise, for attacks on them.

    ``teach`` alone reads private records; ``distil`` is handed the teacher and the public form of
    the data. The release is the student: it answers as a teacher that was trained on every record,
    and leaks through those answers although no image looks like a private one. No formal guarantee.
    """

    trainer: Standard = Standard("convnet3", "full")
    steps: Annotated[int, Field(ge=1)] = 400
    student_steps: Annotated[int, Field(ge=1)] = 3
    batch: Annotated[int, Field(ge=2)] = 64
    rate: Annotated[float, Field(gt=0)] = 3e-3
    student_rate: Annotated[float, Field(gt=0)] = 3e-3
    noise: Annotated[float, Field(ge=0)] = 0.4
    code: Annotated[int, Field(ge=1)] = 32
    width: Annotated[int, Field(ge=1)] = 16
    statistics: Annotated[float, Field(ge=0)] = 1.0
    adversarial: Annotated[float, Field(ge=0)] = 1.0
    images: Annotated[int, Field(ge=1)] = 10

    @property
    def title(self) -> str:
        return f"{self.method_name}, {self.trainer.title}"

    @property
    def releases_images(self) -> bool:
        return False

    def resolve(self, private: LabeledDataset) -> "DataFreeDistillation":
        return replace(self, trainer=self.trainer.resolve(private.shape))

    def run(self, private: LabeledDataset, *, seed: int, device: str = "cpu") -> Release:
        teacher = self.teach(private, seed=seed, device=device)
        return self.distil(teacher, Form.of(private), seed=seed, device=device)

    def teach(self, private: LabeledDataset, *, seed: int, device: str = "cpu") -> Teacher:
        """The one part that reads private records."""
        fitted = self.trainer.fit(private, seed=coins.derive(seed, "teacher"), device=device)
        return Teacher(fitted.network, FeatureStatistics.of(fitted.network, private.inputs))

    def distil(self, teacher: Teacher, form: Form, *, seed: int, device: str = "cpu") -> Release:
        """Generator and student, from the teacher and the form of the data alone."""
        drawn, classes = coins.derive(seed, "distil"), len(form.classes)
        trained = self.trainer.resolve(form.shape)
        student = make(trained.network, form.shape, classes, width=trained.width, seed=drawn)
        student = student.to(device)
        generator = Generator(form.shape, classes, code=self.code, width=self.width, seed=drawn)
        generator = generator.to(device)
        codes = coins.generator(drawn, "codes")

        def batch() -> tuple[Float[Tensor, "n ..."], Int64[Tensor, " n"]]:
            asked = torch.randint(classes, (self.batch,), generator=codes)
            z = torch.randn(self.batch, self.code, generator=codes)
            return generator(z.to(device), asked.to(device)), asked.to(device)

        makes, learns = Adam(generator.parameters()), Adam(student.parameters())
        for step in range(self.steps):
            left = 1 - step / self.steps
            images, asked = batch()
            makes.minimise(self._generator_loss(teacher, student, images, asked), self.rate * left)
            for _ in range(self.student_steps):
                with torch.no_grad():
                    images, _ = batch()
                    laid = torch.randn(images.shape, generator=codes).to(device)
                    images = (images + self.noise * laid).clamp(0, 1)
                    answers = teacher.network(images)
                learns.minimise(_student_loss(student(images), answers), self.student_rate * left)
        return Release(
            self._kept(teacher, generator, form, codes, device), StandardClassifier(student)
        )

    def _generator_loss(
        self,
        teacher: Teacher,
        student: Network,
        images: Float[Tensor, "n ..."],
        asked: Int64[Tensor, " n"],
    ) -> Float[Tensor, ""]:
        answers, outputs = watched(teacher.network, images)
        loss = F.cross_entropy(answers, asked)
        if self.statistics:
            loss = loss + self.statistics * teacher.statistics.distance(outputs)
        if self.adversarial:
            gap = (answers - student(images)).abs().mean()
            loss = loss - self.adversarial * torch.log1p(gap)
        return loss

    def _kept(
        self,
        teacher: Teacher,
        generator: Generator,
        form: Form,
        codes: torch.Generator,
        device: str,
    ) -> SyntheticDataset:
        """Images of the finished generator with the teacher's answers."""
        asked = labels(len(form.classes), self.images)
        made = generator.draw(asked, codes, device=device)
        return SyntheticDataset(
            made,
            asked,
            form.classes,
            soft_labels=StandardClassifier(teacher.network).logits(made).softmax(1),
            mirror=form.mirror,
            name=f"{form.name}-{self.method_name}",
            card={"recipe": recipe(self), "guarantee": None, "holds_real_records": False},
        )


def _student_loss(
    logits: Float[Tensor, "n classes"], answers: Float[Tensor, "n classes"]
) -> Float[Tensor, ""]:
    """Divergence of the student's from the teacher's probabilities, both at ``TEMPERATURE``."""
    theirs = F.log_softmax(answers / TEMPERATURE, 1)
    ours = F.log_softmax(logits / TEMPERATURE, 1)
    # Times its square: the gradient keeps its size at every temperature.
    return F.kl_div(ours, theirs, reduction="batchmean", log_target=True) * TEMPERATURE**2
