"""What synthetic images are before they are optimised, one file an initialisation.

An initialisation is written as its name, and its one option after a colon: ``noise``, ``real``,
``kaleidoscope:3``, ``public:photos/``. ``parse`` makes it of that text.
"""

import dataclasses
import json

from limbeck import registry
from limbeck.errors import OptionError
from limbeck.recipe import build
from limbeck.synthesize.initialise.base import Initialisation

__all__ = ["Initialisation", "parse"]


def parse(text: str) -> Initialisation:
    """The initialisation that ``name`` or ``name:value`` stands for.

    OptionError lists the names there are, or says what the value must be.
    """
    name, colon, value = text.partition(":")
    cls = registry.load(name, "initialisation")
    fields = [field.name for field in dataclasses.fields(cls)]
    if not colon:
        return _made(name, {})
    if not fields or not value:
        example = f"{name}:{fields[0].upper()}" if fields else name
        raise OptionError(f"init {text!r}: write {example}")
    try:
        known = json.loads(value)
    except json.JSONDecodeError:
        known = value
    return _made(name, {fields[0]: known})


def _made(name: str, values: dict[str, object]) -> Initialisation:
    made = build(name, values, "initialisation")
    assert isinstance(made, Initialisation)
    return made
