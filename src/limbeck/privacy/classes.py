"""What a card says of the names of the classes: known beforehand, or read off the records."""

from collections.abc import Mapping
from typing import Any

from limbeck.types import ClassesFrom

READ_OFF = (
    "the names of the classes were read off the data and are published: neighbours are datasets "
    "with the same classes, and a {unit} that is alone in its class is not protected"
)
"""The sentence for a guarantee on classes that no list named beforehand."""

_NAMES = "names of the classes"


def with_classes(card: Mapping[str, Any], origin: ClassesFrom) -> dict[str, Any]:
    """A card whose guarantee, if it has one, says where the names of the classes come from.

    ``classes_from`` is "list", "source" or "data"; of "data" it is said in words too, and among
    the quantities that are not protected.
    """
    claimed = card.get("guarantee")
    if claimed is None:
        return dict(card)
    said = {**card, "classes_from": origin}
    if origin != "data":
        return said
    known = card["deployment"]["unprotected_quantities"]
    read_off = [f"{_NAMES}, which were read off the data" if q == _NAMES else q for q in known]
    return {
        **said,
        "in_words": [*card["in_words"], READ_OFF.format(unit=claimed["unit"])],
        "deployment": {**card["deployment"], "unprotected_quantities": read_off},
    }
