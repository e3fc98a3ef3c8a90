"""``python -m renderer.sandbox``: the sandbox as a process of its own.

Prints one line, ``ready http://127.0.0.1:PORT``, when it can be used. With ``--parent`` it ends by
itself when that process is gone or closes our standard input, so that a killed run leaves nothing
behind.
"""

import argparse
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from .server import serve

_LOOK = 0.5  # seconds between looks at the parent
_EX_USAGE = 64


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; return the process's exit code."""
    options = _options(arguments)
    if options.parent is not None:
        _follow(options.parent)
    try:
        serve(
            home=options.home,
            port=options.port,
            speed=options.speed,
            seed=options.seed,
            faults=options.faults,
            ready=_say_ready,
        )
    except (ValueError, OSError) as error:  # a bad faults file or home, a port that is taken
        sys.stderr.write(f"{error}\n")
        return _EX_USAGE
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m renderer.sandbox", description="Serve the five providers' APIs.")
    parser.add_argument("--home", type=Path, required=True, help="folder for everything that lasts")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--speed", type=_speed, default=1.0, help="provider seconds per second")
    parser.add_argument("--seed", type=int, default=0, help="decides what the documents leave open")
    parser.add_argument("--faults", type=Path, help="YAML file of what shall go wrong")
    parser.add_argument("--parent", type=int, help="process to end with")
    return parser.parse_args(arguments)


def _speed(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def _say_ready(port: int) -> None:
    sys.stdout.write(f"ready http://127.0.0.1:{port}\n")
    sys.stdout.flush()


def _follow(parent: int) -> None:
    """End with the parent: watch its process, and standard input where that is a pipe."""
    threading.Thread(
        target=_watch_process, args=(parent,), kwargs={"is_ours": os.getppid() == parent}, daemon=True
    ).start()
    if sys.stdin is None:
        return
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):  # a closed /dev/null would say nothing about the parent
        threading.Thread(target=_watch_input, daemon=True).start()


def _watch_process(parent: int, *, is_ours: bool) -> None:
    # A parent that has died but was not yet waited for still answers signals; it is not our parent any more.
    while _is_alive(parent) and (not is_ours or os.getppid() == parent):
        time.sleep(_LOOK)
    _stop()


def _watch_input() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    _stop()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
