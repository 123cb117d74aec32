"""What synthetic images are before they are optimised, one file an initialisation.

An initialisation is written as its name, and its one option after a colon: ``noise``, ``real``,
``kaleidoscope:3``, ``public:photos/``. ``parse`` makes it of that text.
"""

import contextlib
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
    fields = dataclasses.fields(registry.load(name, "initialisation"))
    if not colon and all(field.default is not dataclasses.MISSING for field in fields):
        return _made(name, {})
    if not fields or not value:
        example = f"{name}:{fields[0].name.upper()}" if fields else name
        raise OptionError(f"init {text!r}: write {example}")
    known: object = value
    if fields[0].type is not str:  # a folder may be called 2024
        with contextlib.suppress(json.JSONDecodeError):
            known = json.loads(value)
    return _made(name, {fields[0].name: known})


def _made(name: str, values: dict[str, object]) -> Initialisation:
    made = build(name, values, "initialisation")
    assert isinstance(made, Initialisation)
    return made
