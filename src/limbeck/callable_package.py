"""Packages that are also their main function, so that ``limbeck.audit(...)`` works.

``limbeck.audit`` is a package, and the import system binds its name to the package as soon as
anything in it is imported. Calling the package then calls its function, in whatever order the
parts of limbeck were imported.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    __wrapped__: Callable[..., Any]  # where inspect.signature finds the true signature

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)


def make_callable(package: str, function: Callable[..., Any]) -> None:
    """Make the imported package of this name call ``function``; its last statement, usually."""
    module = sys.modules[package]
    module.__class__ = _CallablePackage
    module.__wrapped__ = function  # type: ignore[attr-defined]
