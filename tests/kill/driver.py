"""``renderer``, killed by SIGKILL just before the n-th time that anything is appended to a record file.

Usage: driver.py N ARGUMENTS... An append is one write to the lockfile or to the ledger, so N runs through "before the
lockfile", "between lockfile and ledger", "after both" of each record. Where fewer appends happen, it ends normally.
"""

import os
import signal
import sys
from itertools import count

from renderer.cli.main import group
from renderer.state.lockfile import Appender

_append = Appender.append
_numbers = count(1)
_last = int(sys.argv[1])


def append(self: Appender, lines: bytes) -> None:
    """Die instead of the n-th append."""
    if next(_numbers) == _last:
        os.kill(os.getpid(), signal.SIGKILL)
    _append(self, lines)


Appender.append = append  # type: ignore[method-assign]  # this is the whole point
group.main(sys.argv[2:], prog_name="renderer")
