"""What the exit code of a command means."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; 0, 1 and 3 answer the limits given to ``limbeck audit``."""

    OK = 0  # done; any limits given hold
    EXCEEDED = 1  # a limit does not hold, or the installation is not healthy
    USAGE = 2  # bad input or usage; nothing was written
    UNCLEAR = 3  # the evidence is too weak to tell
    DEFECT = 70  # limbeck itself failed
    INTERRUPTED = 130  # stopped by Ctrl-C; condense keeps its last state, an audit goes on later
