"""Images made elsewhere as a start: given the private form, and dealt out to the classes."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import interpolate

from limbeck import coins
from limbeck.data.sources.images import resize
from limbeck.errors import DatasetError
from limbeck.synthesize.form import Form


def deal(
    labels: Int64[Tensor, " n"],
    names: tuple[str, ...],
    form: Form,
    per_class: int,
    seed: int,
    where: str,
) -> Int64[Tensor, " images"]:
    """Which of ``n`` labelled images each class of ``form`` starts from, ``per_class`` of them.

    Where every class of the form is also one of ``names``, a class gets random images of its own
    name. Otherwise the labels mean something else and are ignored: every class gets random
    images, none of them twice while there are enough for all. DatasetError, beginning with
    ``where``, when there are too few for one class.
    """
    generator = coins.generator(seed, "init", "foreign")
    if not set(form.classes) <= set(names):
        if len(labels) < per_class:
            raise DatasetError(_too_few(where, len(labels), "", per_class))
        order = torch.randperm(len(labels), generator=generator)
        return order[torch.arange(len(form.classes) * per_class) % len(order)]
    chosen = []
    for name in form.classes:
        own = (labels == names.index(name)).nonzero()[:, 0]
        if len(own) < per_class:
            raise DatasetError(_too_few(where, len(own), f" of class {name!r}", per_class))
        chosen.append(own[torch.randperm(len(own), generator=generator)[:per_class]])
    return torch.cat(chosen)


def fit(images: Float[Tensor, "n ..."], form: Form, where: str) -> Float[Tensor, "n ..."]:
    """The records in the form's shape: images are stretched to its size and given its channels.

    DatasetError, beginning with ``where``, when the shapes differ and are not both of images.
    """
    shape = tuple(images.shape[1:])
    if shape == form.shape:
        return images
    if len(shape) != 3 or not form.is_images:
        raise DatasetError(
            f"{where}: its records have shape {shape}, those of {form.name} {form.shape}; only "
            "images are resized: give data of the same shape"
        )
    coloured = resize(images, None, form.shape[0])
    if coloured.shape[1] != form.shape[0]:
        raise DatasetError(
            f"{where}: its images have {shape[0]} channels, those of {form.name} {form.shape[0]}; "
            "give images of as many"
        )
    stretched = interpolate(coloured, form.shape[1:], mode="bilinear", antialias=True)
    return stretched.clamp(0, 1).contiguous()


def _too_few(where: str, there: int, of_class: str, per_class: int) -> str:
    return (
        f"{where}: {there} images{of_class} are fewer than the {per_class} per class to start "
        "from; lower ipc or give more"
    )
