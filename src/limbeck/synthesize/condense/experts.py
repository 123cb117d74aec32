"""Expert trajectories: the parameters that networks trained on private data pass through.

They are private data in another form, and nothing of them stays on disk unless a folder is named.
There, one file holds one expert under a key of everything that determines it, so that a changed
record or option never finds the experts of another.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import StoreError
from limbeck.files import write_safetensors
from limbeck.nn import augment, networks
from limbeck.nn.fit import MomentumSGD

_SCHEMA = 1

Trajectory = dict[str, Tensor]
"""Parameters by name, each of shape (epochs + 1, *shape): before training and after each epoch."""


@dataclass(frozen=True)
class Course:
    """How an expert is trained: plain SGD on the cross-entropy of the labels.

    batch: records in a step. augmented: one siamese transform a batch, parameters a record.
    """

    network: str
    width: int | None
    epochs: int
    learning_rate: float
    batch: int
    augmented: bool


def trajectories(
    data: LabeledDataset,
    course: Course,
    count: int,
    *,
    public_coins: int,
    folder: str | Path | None = None,
    device: str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> list[Trajectory]:
    """``count`` experts of ``data``, on ``device``; read from ``folder`` where they are there.

    Raises StoreError where the folder cannot be written or an expert in it is damaged.
    """
    store = None if folder is None else _Store(Path(folder), data.fingerprint(), device)
    found = []
    for i in range(count):
        seed = coins.derive(public_coins, "expert", i)
        expert = None if store is None else store.read(course, seed)
        if expert is None:
            expert = train(data, course, seed=seed, device=device)
            if store is not None:
                store.write(course, seed, expert)
        # In one order, whether trained or read: sums over parameters depend on it in the last bits.
        found.append({name: expert[name].to(device) for name in sorted(expert)})
        if progress is not None:
            progress((i + 1) / count)
    return found


def train(data: LabeledDataset, course: Course, *, seed: int, device: str = "cpu") -> Trajectory:
    """One expert. Initial weights, batches and augmentation are drawn from the seed alone."""
    network = networks.make(
        course.network, data.shape, len(data.classes), width=course.width, seed=seed
    ).to(device)
    named = dict(network.named_parameters())
    inputs, labels = data.inputs.to(device), data.labels.to(device)
    order, transforms = coins.generator(seed, "batches"), coins.generator(seed, "augment")
    descent = MomentumSGD(named.values())
    passed = [{name: values.detach().clone() for name, values in named.items()}]
    for _ in range(course.epochs):
        for at in torch.randperm(len(inputs), generator=order).split(course.batch):
            chosen = at.to(device)
            images = inputs[chosen]
            if course.augmented:
                images = augment.draw(transforms, data.shape, mirror=data.mirror, count=len(at))(
                    images
                )
            loss = F.cross_entropy(network(images), labels[chosen])
            descent.minimise(loss, course.learning_rate)
        passed.append({name: values.detach().clone() for name, values in named.items()})
    return {name: torch.stack([stop[name] for stop in passed]) for name in named}


class _Store:
    """A folder of experts of one dataset on one kind of device."""

    def __init__(self, folder: Path, fingerprint: str, device: str) -> None:
        self.folder = folder
        # What is read must be what training here again would give: hence device and version.
        self._origin = {
            "schema": _SCHEMA,
            "data": fingerprint,
            "device": torch.device(device).type,
            "torch": str(torch.__version__),
        }
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def read(self, course: Course, seed: int) -> Trajectory | None:
        path = self._path(course, seed)
        if not path.exists():
            return None
        try:
            expert: Trajectory = load_file(path)
        except (OSError, SafetensorError) as error:
            raise StoreError(f"{path} cannot be read ({error}); delete it and run again") from None
        return expert

    def write(self, course: Course, seed: int, expert: Trajectory) -> None:
        path = self._path(course, seed)
        try:
            write_safetensors(path, expert)
            path.chmod(0o600)
        except OSError as error:
            raise self._unwritable(error) from None

    def _path(self, course: Course, seed: int) -> Path:
        text = json.dumps({**self._origin, **asdict(course), "seed": seed}, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()}.safetensors"

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"experts cannot be kept in {self.folder} ({error.strerror}); name another folder, or "
            "none to keep them in memory"
        )
