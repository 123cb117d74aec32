"""Where the files of a named source may lie, and how they get there: cache and checked download."""

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

from limbeck.errors import DatasetError
from limbeck.files import write_bytes

_TIMEOUT = 30.0  # seconds without a byte


def cache_folder(name: str) -> Path:
    """``$LIMBECK_DATA/name``, else ``limbeck/name`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    own = os.environ.get("LIMBECK_DATA")
    if own:
        return Path(own) / name
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "limbeck" / name


def search(folders: Sequence[Path], files: Sequence[tuple[str, ...]]) -> list[Path] | None:
    """The first folder's paths that has one of each tuple of alternative file names."""
    for folder in folders:
        found = [
            next((folder / n for n in names if (folder / n).is_file()), None) for names in files
        ]
        if all(found):
            return [path for path in found if path is not None]
    return None


def fetch(url: str, sha256: str, target: Path, *, name: str) -> Path:
    """Download ``url`` to ``target`` if its SHA-256 is the published one; DatasetError otherwise.

    Nothing is written unless the checksum holds.
    """
    by_hand = f"place {target.name} in {target.parent} by hand"
    try:
        # Only addresses pinned in the sources come here, each with its checksum.
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310
            content: bytes = answer.read()
    except (urllib.error.URLError, HTTPException, OSError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = getattr(error, "reason", error)
        raise DatasetError(f"{name}: cannot download {url} ({reason}); {by_hand}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise DatasetError(
            f"{name}: {url} gave {len(content)} bytes with SHA-256 {digest[:12]}..., not "
            f"{sha256[:12]}...; nothing was kept: {by_hand}"
        )
    try:
        return write_bytes(target, content)
    except OSError as error:
        raise DatasetError(
            f"{name}: cannot write {target} ({error.strerror}); set LIMBECK_DATA to a writable "
            "folder"
        ) from None
