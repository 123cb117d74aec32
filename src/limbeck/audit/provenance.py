"""What an audit says of itself: its plan, its data, its machine and versions, in plain values."""

import os
import platform
import re
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import torch

from limbeck.audit import plan
from limbeck.data.dataset import LabeledDataset

# A quoted path, and the folders before a file's name up to a space, a quote or an equals sign.
_QUOTED = re.compile(r"""(["'])[^"']*[/\\]([^"'/\\]*)\1""")
_FOLDER = re.compile(r"""[^\s'"=/\\]*[/\\](?:[^\s'"=/\\]*[/\\])*""")


def summary(made: plan.Plan, delta: float) -> dict[str, Any]:
    """The sizes, roles, views and seed of a plan, without any record's part in it."""
    return {
        "preset": asdict(made.preset),
        "canary_kind": made.canary_kind,
        "roles": {
            "always": len(made.data) - len(made.observed),
            "canary": len(made.canary),
            "ordinary": len(made.ordinary),
            "control": len(made.control),
        },
        "views": [view.name for view in made.views],
        "seed": made.seed,
        "delta": delta,
    }


def form(data: LabeledDataset) -> dict[str, Any]:
    """Name, number of records, shape and classes of the private data."""
    return {
        "name": data.name,
        "records": len(data),
        "shape": list(data.shape),
        "classes": list(data.classes),
    }


def without_paths(recipe: Any) -> Any:
    """A recipe whose words name files without their folders: where they lie is nobody's business.

    A program of the user's is known by its hash, which is an option beside the command.
    """
    if isinstance(recipe, dict):
        return {name: without_paths(value) for name, value in recipe.items()}
    if isinstance(recipe, list):
        return [without_paths(value) for value in recipe]
    if isinstance(recipe, str):
        return _FOLDER.sub("", _QUOTED.sub(r"\1\2\1", recipe))
    return recipe


def versions() -> dict[str, str]:
    """What the figures of an audit depend on beside its plan."""
    packages = ("limbeck", "torch", "numpy", "scipy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def machine(device: str) -> str:
    """The machine in words."""
    if device != "cpu":
        return f"{torch.cuda.get_device_name(device)}, {os.cpu_count()} CPU cores"
    return f"{os.cpu_count()} CPU cores ({platform.machine()})"
