"""Running a program of the user's: no shell, a time limit, and one line about how it failed."""

import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from limbeck.errors import OptionError


def execute(words: Sequence[str], errors: Path, timeout: float) -> None:
    """Run the program to its end, with this process's environment, its errors in a file.

    errors: a new file for what it says on its error stream. timeout: seconds after which it is
    ended with all that it started. OptionError, in one line, where it cannot be started, fails
    (its exit code and the last line that it said) or takes too long.
    """
    # One thread, as everywhere in an audit, unless the user has said otherwise.
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    with errors.open("wb") as stderr:
        try:
            # The words are the user's own, and no shell reads them.
            process = subprocess.Popen(  # noqa: S603
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,  # a process group of its own, to be ended as a whole
                env=environment,
            )
        except OSError as error:
            raise OptionError(
                f"command: {words[0]} cannot be started ({error.strerror}); check its path and "
                "rights"
            ) from None
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise OptionError(
                f"command: {words[0]} was ended after {timeout:g} seconds; allow more with the "
                "option timeout"
            ) from None
        finally:
            _end(process)
    if code:
        how = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
        raise OptionError(f"command: {words[0]} {how}; {_last_line(errors)}")


def digest(words: Sequence[str]) -> str:
    """SHA-256 of the program and of every file that the words name, ``--config=FILE`` included.

    What the program imports or reads beyond those files is not seen. OptionError where there is
    no such program.
    """
    found = shutil.which(words[0])
    if found is None:
        raise OptionError(f"command: no program is called {words[0]!r}; check its path and rights")
    named = {part for word in words[1:] for part in (word, word.partition("=")[2])}
    files = [found, *sorted(part for part in named if part and Path(part).is_file())]
    whole = hashlib.sha256()
    for file in files:
        about = Path(file).stat()
        whole.update(_file_digest(file, about.st_mtime_ns, about.st_size, about.st_ino))
    return whole.hexdigest()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program that is still running, and all that it has started."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_line(errors: Path) -> str:
    lines = errors.read_bytes()[-4_000:].decode(errors="replace").splitlines()
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    plain = "".join(c if c.isprintable() else " " for c in said)
    return f"it last said: {plain:.300}" if plain else "it said nothing on its error stream"


@lru_cache(maxsize=64)
def _file_digest(path: str, *version: int) -> bytes:  # noqa: ARG001 (part of the cache key)
    """SHA-256 of a file; ``version`` tells its states apart."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise OptionError(f"command: {path} cannot be read ({error.strerror})") from None
