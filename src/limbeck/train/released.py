"""A classifier on disk: ``model.safetensors`` and ``model.json``, which says how to rebuild it.

Reading one runs no code that the files hold: tensors come from safetensors, and only the kinds of
classifier that are listed here are made.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from limbeck.data.card import software
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import LimbeckError, OptionError, StoreError
from limbeck.files import write_bytes, write_json
from limbeck.privacy.claim import stated
from limbeck.privacy.classes import with_classes
from limbeck.privacy.statement import Statement
from limbeck.train.base import Classifier
from limbeck.types import Guarantee

SCHEMA = 1
MODEL = "model.safetensors"
CARD = "model.json"

KINDS: Mapping[str, str] = {
    "network": "limbeck.train.standard:StandardClassifier",
    "kernel-ridge": "limbeck.train.kernel_ridge:KernelRidgeClassifier",
    "private-ridge": "limbeck.train.private_ridge:PrivateRidgeClassifier",
}
"""Classifiers that can be read back: the name in ``architecture()`` and the class."""

_NEEDED: Mapping[str, type] = {
    "architecture": dict,
    "shape": list,
    "classes": list,
    "sha256": str,
}


@dataclass(frozen=True, eq=False)
class ReleasedClassifier:
    """A classifier with what its user must know.

    shape: of one record. classes: their names, in the order of the logits.
    card: JSON values: how it was trained ("recipe"), what is claimed ("guarantee", "ledger"), which
        ``classified`` says.
    OptionError where the card claims what the run that made the classifier did not spend: a
    classifier of ``fit_many`` has noise that can be repeated, and no claim.
    """

    classifier: Classifier
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    card: Mapping[str, Any]

    def __post_init__(self) -> None:
        said = self.card.get("guarantee")
        if said is None:
            return
        claimed = self.classifier.claimed
        if claimed is None:
            raise OptionError(
                "the card claims a guarantee that this classifier does not have: only fit() of a "
                "private trainer, on the private data, gives one; leave it out"
            )
        asked, spent = _own(said), _own(vars(claimed))
        if asked != spent:
            raise OptionError(
                f"the card claims {asked}, the run that made this classifier {spent}; state the "
                "run's (train.released.classified)"
            )

    def save(self, folder: str | Path) -> Path:
        """Write ``model.safetensors`` and ``model.json`` into ``folder`` and return it.

        OptionError where this kind of classifier cannot be read back.
        """
        return save(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> "ReleasedClassifier":
        """Read what ``save`` wrote; StoreError when it is missing, damaged or of another schema."""
        return load(Path(folder))


def classified(classifier: Classifier, private: LabeledDataset, name: str) -> dict[str, Any]:
    """What a card says is claimed of a classifier: what its own run spent, or nothing."""
    if classifier.claimed is None:
        return stated(None)
    said = stated(
        Statement.of(
            classifier.claimed,
            name=name,
            limit=private.limit,
            grouped=private.groups is not None,
        )
    )
    return with_classes(said, private.classes_from)


def save(released: ReleasedClassifier, folder: Path) -> Path:
    """Write the classifier; the card is written last and holds the tensors' SHA-256."""
    architecture = dict(released.classifier.architecture())
    if architecture.get("kind") not in KINDS:
        raise OptionError(
            f"a {type(released.classifier).__name__} cannot be released: it does not say how to "
            "rebuild it"
        )
    tensors = {name: value.contiguous() for name, value in released.classifier.state().items()}
    content = save_tensors(tensors)
    card = {
        **released.card,
        "schema_version": SCHEMA,
        "software": software(),
        "architecture": architecture,
        "shape": list(released.shape),
        "classes": list(released.classes),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    try:
        json.dumps(card, allow_nan=False)
        write_bytes(folder / MODEL, content)
        write_json(folder / CARD, card)
    except (TypeError, ValueError) as error:
        raise StoreError(f"the model's card cannot be written as JSON ({error})") from None
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}); choose another folder"
        ) from None
    return folder


def load(folder: Path) -> ReleasedClassifier:
    """The classifier that ``save`` wrote."""
    card = _card(folder / CARD)
    file = folder / MODEL
    try:
        content = file.read_bytes()
    except OSError as error:
        raise StoreError(f"{file} cannot be read ({error.strerror}); get it again") from None
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise StoreError(f"{file} is not the file that {CARD} describes; get both again")
    kind = str(card["architecture"].get("kind"))
    if kind not in KINDS:
        raise StoreError(
            f"{folder / CARD} is of a {kind!r:.40} classifier; this limbeck reads: "
            f"{', '.join(KINDS)}"
        )
    shape, classes = tuple(card["shape"]), tuple(card["classes"])
    module, name = KINDS[kind].split(":")
    try:
        made = getattr(import_module(module), name).restored(
            card["architecture"], shape, len(classes), load_tensors(content)
        )
        made.logits(torch.zeros(1, *shape))
    except (SafetensorError, LimbeckError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise StoreError(
            f"{file} does not fit its {CARD} ({reason:.120}); get both again"
        ) from None
    if isinstance(card.get("guarantee"), Mapping):
        try:
            own = _own(card["guarantee"])
            made.claimed = Guarantee(
                float(own["epsilon"]), float(own["delta"]), own["adjacency"], own["unit"]
            )
        except (TypeError, ValueError) as error:
            raise StoreError(
                f"{folder / CARD} is damaged (guarantee: {error!s:.80}); get it again"
            ) from None
    return ReleasedClassifier(made, shape, classes, card)


def _own(said: Mapping[str, Any]) -> dict[str, Any]:
    """The terms of the release's own guarantee: about the records that the trainer was given."""
    own = {**said, **(said.get("own") or {})}
    return {name: own.get(name) for name in ("epsilon", "delta", "adjacency", "unit")}


def _card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(
            f"{path.parent} holds no {CARD}: no classifier was released there; give a folder that "
            "`limbeck train` wrote"
        ) from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}); check its rights") from None
    except ValueError as error:
        raise StoreError(f"{path} is damaged ({error}); get it again") from None
    if not isinstance(card, dict) or card.get("schema_version") != SCHEMA:
        raise StoreError(f"{path} is no model's card of schema {SCHEMA}; use another limbeck")
    for key, kind in _NEEDED.items():
        if not isinstance(card.get(key), kind):
            raise StoreError(f"{path} is damaged ({key} is {card.get(key)!r:.60}); get it again")
    if not all(type(size) is int and size > 0 for size in card["shape"]):
        raise StoreError(f"{path} is damaged (shape is {card['shape']!r:.60}); get it again")
    return card
