"""The card of a release: all that somebody who was only handed the folder must know to use it.

It is a Croissant 1.0 description (JSON-LD, mlcommons.org/croissant) with an object ``limbeck`` that
says how the set was made, what may be claimed of it, and how its worth is measured.
"""

import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import torch

from limbeck.data.synthetic import SyntheticDataset

SCHEMA = 1
TENSORS = "dataset.safetensors"

FORM = ("schema_version", "name", "shape", "records", "classes", "labels", "mirror", "scaling")
"""What the card says of the tensors themselves, and must say."""

DERIVED = ("records_per_class", "usage")
"""What it says besides, worked out from them; all else is ``SyntheticDataset.card``."""

_UNKNOWN: Mapping[str, Any] = {
    "recipe": None,
    "guarantee": None,
    "ledger": [],
    "holds_real_records": None,
    "interrupted": None,
}
_USAGE = (
    "import limbeck as lb",
    'dataset = lb.SyntheticDataset.load("release/").torch()',
)
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "limbeck": "https://github.com/limbeck/limbeck#",
    "conformsTo": "dct:conformsTo",
    "column": "cr:column",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "recordSet": "cr:recordSet",
    "source": "cr:source",
}


def describe(synthetic: SyntheticDataset, content: bytes) -> dict[str, Any]:
    """The card of ``synthetic``, whose tensors file holds ``content``, in JSON values.

    What ``synthetic.card`` leaves out is filled in where it follows from the set (evaluation,
    slots_per_class, software) and otherwise unknown (null). ValueError for what it cannot mean.
    """
    known = synthetic.card.get("holds_real_records")
    if known not in (True, False, None):
        raise ValueError(f"holds_real_records is {known!r:.60}, not true, false or null")
    real = "unknown" if known is None else "yes" if known else "no"
    factor = synthetic.card.get("formation", 1)
    if type(factor) is not int or factor < 1:
        raise ValueError(f"formation is {factor!r:.60}, not a whole number from 1 on")
    counts = torch.bincount(synthetic.labels.cpu(), minlength=len(synthetic.classes)).tolist()
    slots = synthetic.card.get("slots_per_class")
    if slots is None and factor == 1 and len(set(counts)) == 1:
        slots = counts[0]
    labels = "hard" if synthetic.soft_labels is None else "soft"
    share = synthetic.card.get("interrupted")
    partly = "" if share is None else f" Interrupted when {share:.0%} of the work was done."
    several = f" Multi-formation: {factor**2} images share the pixels of one." if factor > 1 else ""
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": synthetic.name,
        "description": (
            f"{len(synthetic)} synthetic records of shape {'x'.join(map(str, synthetic.shape))} in "
            f"{len(synthetic.classes)} classes, with {labels} labels, condensed by limbeck."
            f"{several}{partly} Holds real records: {real}."
        ),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": TENSORS,
                "name": TENSORS,
                "description": _tensors(synthetic),
                "contentUrl": TENSORS,
                "contentSize": f"{len(content)} B",
                "encodingFormat": "application/octet-stream",
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "classes",
                "name": "classes",
                "field": [
                    _field("classes/label", "label", "sc:Integer"),
                    _field("classes/name", "name", "sc:Text"),
                ],
                "data": [
                    {"classes/label": i, "classes/name": name}
                    for i, name in enumerate(synthetic.classes)
                ],
            }
        ],
        "limbeck": {
            **_UNKNOWN,
            "software": software(),
            **synthetic.card,
            "formation": factor,
            "slots_per_class": slots,
            "evaluation": synthetic.card.get("evaluation") or evaluation(synthetic.shape),
            "schema_version": SCHEMA,
            "name": synthetic.name,
            "shape": list(synthetic.shape),
            "records": len(synthetic),
            "records_per_class": counts,
            "classes": list(synthetic.classes),
            "labels": labels,
            "mirror": synthetic.mirror,
            "scaling": _scaling(synthetic.shape, synthetic.card.get("value_range")),
            "usage": list(_USAGE),
        },
    }


def evaluation(shape: Sequence[int]) -> dict[str, Any]:
    """How the worth of a set of records of this shape is measured, unless its maker says another.

    The published training ("reference") of the published network, or of the deepest one that the
    shape allows; the quicker recipes rank sets alike, but their accuracies are not comparable.
    """
    depth = min(3, min(shape[1:]).bit_length() - 1) if len(shape) == 3 else 0
    network = f"convnet{depth}" if depth else "mlp"
    words = f"--network {network} --recipe reference --networks 3"
    return {
        "trainer": "standard",
        "network": network,
        "recipe": "reference",
        "networks": 3,
        "quicker_recipes": ["confirm", "search"],
        "command": f"limbeck evaluate release/ --test DATA {words}",
    }


def _tensors(synthetic: SyntheticDataset) -> str:
    soft, words = synthetic.soft_labels, ""
    if soft is not None:
        words = "; soft_labels: float32 (records, classes), rows sum to 1"
        if bool(((soft < 0) | (soft > 1)).any()):
            words += ", targets of a regression that lie outside [0, 1] in part"
    return f"inputs: float32 (records, *shape) in [0, 1]; labels: int64 (records,){words}"


def _scaling(shape: tuple[int, ...], value_range: Any) -> str:
    if value_range is not None:
        low, high = value_range
        how = f"0 stands for {low:g} and 1 for {high:g}"
    elif len(shape) == 3:
        how = "1 stands for the highest value of the images' format, which for 8 bits is 255"
    else:
        how = "each column by its public range"
    return f"float32 in [0, 1], {how}; no mean or standard deviation is taken out"


def software() -> dict[str, str]:
    """The versions that a release was made with."""
    return {
        "limbeck": version("limbeck"),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def _field(identity: str, name: str, kind: str) -> dict[str, str]:
    return {"@type": "cr:Field", "@id": identity, "name": name, "dataType": kind}
