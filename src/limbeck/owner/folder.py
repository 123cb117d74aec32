"""The folder of budgets: where it lies, its lock, and its key; for the eyes of its owner alone."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from limbeck.errors import StoreError
from limbeck.files import write_text

_KEY, _LOCK = "key", "lock"
_KEY_BYTES = 32


def default_folder() -> Path:
    """``$LIMBECK_BUDGETS``, else ``limbeck/budgets`` in ``$XDG_DATA_HOME`` or ``~/.local/share``.

    Data and not cache: what is lost here cannot be computed again.
    """
    own = os.environ.get("LIMBECK_BUDGETS")
    if own:
        return Path(own).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "limbeck" / "budgets"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder alone, among all processes; it is made (mode 0700) where there is none.

    The lock is the system's (``flock``): it goes with a process that dies. StoreError where the
    folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unusable(folder, error) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # which lets go of the lock


def key(folder: Path, *, first: bool) -> bytes:
    """The key of content hashes; drawn where there is none. Call it under the lock.

    first: whether there is no dataset yet. StoreError where the key of some is gone or damaged: a
    new one would recognise none of them.
    """
    path = folder / _KEY
    try:
        if not path.exists() and first:
            write_text(path, secrets.token_hex(_KEY_BYTES) + "\n", private=True)
        found = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        raise StoreError(
            f"{path} is gone, by which copies of the data are recognised; restore it from a backup"
        ) from None
    except ValueError:
        found = b""
    except OSError as error:
        raise unusable(path, error) from None
    if len(found) != _KEY_BYTES:
        raise StoreError(f"{path} is damaged; restore it from a backup")
    return found


def unusable(path: Path, error: OSError) -> StoreError:
    """The error of a path that the system does not let be read or written."""
    return StoreError(
        f"{path}: the record of budgets cannot be used ({error.strerror}); mend its permissions, "
        "or set LIMBECK_BUDGETS to another folder"
    )
