"""Whether what a command is to write can be written, asked before it works for it."""

import tempfile
from pathlib import Path

from limbeck.errors import OptionError


def require_folder(path: Path, force: bool) -> None:
    """OptionError when an output folder cannot be written, or holds something already."""
    if path.is_dir() and any(path.iterdir()) and not force:
        raise OptionError(f"-o {path}: the folder is not empty; choose another or add --force")
    require_folder_name(path)


def require_folder_name(path: Path) -> None:
    """OptionError when a folder to add files to cannot be written, or is a file."""
    if path.exists() and not path.is_dir():
        raise OptionError(f"-o {path}: this is a file; give a folder")
    require_writable(path)


def require_writable(path: Path) -> None:
    """OptionError when nothing can be written at ``path``, which need not exist yet."""
    # A file that is there is replaced, so it is its folder that must be writable.
    above = path.absolute().parents
    places = above if path.is_file() else (path, *above)
    nearest = next(p for p in places if p.exists())
    if not nearest.is_dir():
        raise OptionError(f"-o {path}: {nearest} is a file; give a path in a folder")
    try:
        # Tried, since rights alone do not say it: the superuser has all of them in /proc too.
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise OptionError(
            f"-o {path}: nothing can be written in {nearest} ({error.strerror})"
        ) from None
