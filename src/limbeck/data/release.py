"""A release on disk: ``dataset.safetensors``, ``card.json`` and, for images, ``preview.png``.

The card (see ``limbeck.data.card``) is written last and holds the tensors' SHA-256, so that a
release cut short by a crash is recognised as such.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from limbeck.data.card import DERIVED, FORM, SCHEMA, TENSORS, describe
from limbeck.data.preview import png
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import DatasetError, StoreError
from limbeck.files import write_bytes, write_json

CARD = "card.json"
PREVIEW = "preview.png"

_FITS: Mapping[str, Callable[[Any], bool]] = {
    "name": lambda v: isinstance(v, str),
    "classes": lambda v: isinstance(v, list) and all(isinstance(name, str) for name in v),
    "mirror": lambda v: isinstance(v, bool),
    "shape": lambda v: isinstance(v, list) and all(type(size) is int for size in v),
    "records": lambda v: type(v) is int,
}
_FITS_WHERE_GIVEN: Mapping[str, Callable[[Any], bool]] = {
    "formation": lambda v: type(v) is int and v >= 1,
    "slots_per_class": lambda v: v is None or (type(v) is int and v >= 1),
}


def save(synthetic: SyntheticDataset, folder: Path) -> Path:
    """Write the release into ``folder`` (made when missing) and return it; files are replaced.

    StoreError, before anything is written, when the card holds what JSON cannot, or a seed:
    whoever knows the coins of a private choice can undo it.
    """
    seeded = _seeds(dict(synthetic.card))
    if seeded:
        raise StoreError(
            f"{synthetic.name}: the card holds {seeded[0]!r}; a release must not tell the coins of "
            "a private choice: remove it"
        )
    tensors = {"inputs": synthetic.inputs, "labels": synthetic.labels}
    if synthetic.soft_labels is not None:
        tensors["soft_labels"] = synthetic.soft_labels
    content = save_tensors({k: v.detach().cpu().contiguous() for k, v in tensors.items()})
    try:
        card = describe(synthetic, content)
        json.dumps(card, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"{synthetic.name}: the card cannot be written as JSON ({error}); correct it"
        ) from None
    preview = png(synthetic) if len(synthetic.shape) == 3 and len(synthetic) else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / TENSORS, content)
        if preview is not None:
            write_bytes(folder / PREVIEW, preview)
        write_json(folder / CARD, card)
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}); choose another folder"
        ) from None
    return folder


def load(folder: Path) -> SyntheticDataset:
    """The set that ``save`` wrote; StoreError when it is missing, damaged or of another schema."""
    card = read_card(folder)
    form, file = card["limbeck"], folder / TENSORS
    try:
        content = file.read_bytes()
    except OSError as error:
        raise StoreError(f"{file} cannot be read ({error.strerror}); condense again") from None
    if hashlib.sha256(content).hexdigest() != card["distribution"][0]["sha256"]:
        raise StoreError(f"{file} is not the file that {CARD} describes; condense again")
    try:
        tensors = load_tensors(content)
        synthetic = SyntheticDataset(
            inputs=_of(tensors, "inputs", torch.float32),
            labels=_of(tensors, "labels", torch.int64),
            classes=tuple(form["classes"]),
            soft_labels=tensors.get("soft_labels"),
            mirror=form["mirror"],
            name=form["name"],
            card={k: v for k, v in form.items() if k not in (*FORM, *DERIVED)},
        )
    except (SafetensorError, KeyError, DatasetError) as error:
        raise StoreError(f"{file} is damaged ({error}); condense again") from None
    if list(synthetic.shape) != form["shape"] or len(synthetic) != form["records"]:
        raise StoreError(
            f"{file} holds {len(synthetic)} records of shape {synthetic.shape}, its card says "
            f"{form['records']} of {tuple(form['shape'])}; condense again"
        )
    if len(synthetic) and not 0 <= int(synthetic.labels.min()) <= int(synthetic.labels.max()) < len(
        synthetic.classes
    ):
        raise StoreError(
            f"{file} holds labels up to {int(synthetic.labels.max())}, its card names "
            f"{len(synthetic.classes)} classes; condense again"
        )
    return synthetic


def read_card(folder: Path) -> dict[str, Any]:
    """The whole ``card.json``; StoreError when it is missing, damaged or of another schema."""
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(
            f"{folder} holds no {CARD}: it is not a release; give a folder that condense wrote"
        ) from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}); check its rights") from None
    except ValueError as error:
        raise StoreError(f"{path} is damaged ({error}); condense again") from None
    form = card.get("limbeck") if isinstance(card, dict) else None
    if not isinstance(form, dict) or "schema_version" not in form:
        raise StoreError(f"{path} is not a card of limbeck; give a folder that condense wrote")
    if form["schema_version"] != SCHEMA:
        raise StoreError(
            f"{path} has schema {form['schema_version']}, this limbeck reads {SCHEMA}; use the "
            "limbeck that wrote it, or condense again"
        )
    files = card.get("distribution")
    whole = (
        isinstance(files, list) and files and isinstance(files[0], dict) and "sha256" in files[0]
    )
    missing = [key for key in FORM if key not in form]
    if not whole or missing:
        what = f"limbeck.{missing[0]}" if missing else "distribution"
        raise StoreError(f"{path} lacks {what}; condense again")
    given = {k: fits for k, fits in _FITS_WHERE_GIVEN.items() if k in form}
    wrong = [key for key, fits in {**_FITS, **given}.items() if not fits(form[key])]
    if wrong:
        raise StoreError(
            f"{path} is damaged (limbeck.{wrong[0]} is {form[wrong[0]]!r:.60}); condense again"
        )
    return dict(card)


def _of(tensors: Mapping[str, Tensor], name: str, dtype: torch.dtype) -> Tensor:
    if tensors[name].dtype != dtype:
        raise DatasetError(f"{name} are {tensors[name].dtype}, not {dtype}")
    return tensors[name]


def _seeds(values: Any, path: str = "") -> list[str]:
    """Where a key named ``seed`` stands, at any depth."""
    if isinstance(values, Mapping):
        here = [f"{path}{key}" for key in values if key == "seed"]
        return here + [s for key, v in values.items() for s in _seeds(v, f"{path}{key}.")]
    if isinstance(values, (list, tuple)):
        return [s for i, v in enumerate(values) for s in _seeds(v, f"{path}{i}.")]
    return []
