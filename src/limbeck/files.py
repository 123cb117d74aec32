"""Atomic writers: a reader finds the old file or the whole new one, never a part of either.

Content goes to a temporary name in the same folder, is flushed to the disk, and is then renamed
over the target, which POSIX makes atomic. A process killed half-way leaves a ``.tmp-`` file behind
and nothing else.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_bytes(path: str | Path, content: bytes, *, private: bool = False) -> Path:
    """Write ``content`` to ``path`` atomically, making the folder if missing; returns the path.

    private: for the eyes of its owner alone (mode 0600).
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".tmp-{target.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private to their owner; a release is read by others.
        if not private:
            temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)
    return target


def write_text(path: str | Path, text: str, *, private: bool = False) -> Path:
    """Write ``text`` as UTF-8 atomically; returns the path. private: as in ``write_bytes``."""
    return write_bytes(path, text.encode("utf-8"), private=private)


def write_json(path: str | Path, value: Any, *, private: bool = False) -> Path:
    """Write ``value`` as JSON atomically: sorted keys, so that equal values give equal bytes.

    private: as in ``write_bytes``.
    Raises ValueError for NaN and infinity, which JSON does not know.
    """
    text = json.dumps(value, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False)
    return write_text(path, text + "\n", private=private)


def write_safetensors(
    path: str | Path,
    tensors: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
    *,
    private: bool = False,
) -> Path:
    """Write named torch tensors in the safetensors format atomically; returns the path.

    private: as in ``write_bytes``.
    """
    # Imported here: commands that write only JSON or HTML do without torch.
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(plain, metadata=dict(metadata) if metadata else None)
    return write_bytes(path, content, private=private)


def _umask() -> int:
    # Reading the mask means setting it; both calls are immediate neighbours on purpose.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _flush_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system lets a folder be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
