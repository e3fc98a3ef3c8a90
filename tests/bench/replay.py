"""How long replay takes, beside ``json.loads`` line by line over the same file, and the memory of each.

``python tests/bench/replay.py [SUBMISSIONS]``: 250,000 submissions of four records are a lockfile of a million. Three
forms are measured: a line for each record, as a run that was killed leaves it; compacted, a line for each submission;
and compacted beside the ledger of the same purchases, which is what a project replays from its second run on.

Each figure is from a process of its own that does nothing else: the least CPU time of a few rounds, the two readers by
turns, and the peak of its resident memory, its imports included. What counts is the ratio: it says the same on other
machines. ``replay`` ends where a plan can begin, so a second line shows the first questions that a plan asks.
"""

import argparse
import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from renderer.project import Project
from renderer.run.journal import replay
from renderer.state.lockfile import HEADER, encode

ROUNDS = 3
IN_FLIGHT = 40
ASKED = 1000


def sha(text: str) -> str:
    """Return a hash as records hold them."""
    return hashlib.sha256(text.encode()).hexdigest()


def purchases(count: int) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield submissions and their facts, as a release of many products has them."""
    for n in range(count):
        at = f"2026-01-{1 + n % 28:02}T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}.{n % 1000:03}Z"
        yield (
            f"{1767225600000 + n * 40:012x}{sha(f'id{n}')[:16]}",
            {
                "intended": {
                    "job": f"spring/product-{n:06}", "kind": "video", "provider": "acme", "operation": "video",
                    "fingerprint": sha(f"f{n}"), "declared": sha(f"d{n}"), "pack": 3, "at": at,
                    "origin": "https://api.acme.example", "marks": sha(f"m{n}"),
                },
                "accepted": {"task": str(100000 + n), "at": at},
                "rendered": {"produced": {"url": f"https://cdn.acme.example/{sha(f'u{n}')[:32]}/final.mp4"}, "at": at},
                "saved": {
                    "sha256": sha(f"s{n}"), "bytes": 12345678 + n, "duration": 31.25,
                    "path": f"renders/spring/product-{n:06}.mp4", "at": at,
                },
            },
        )  # fmt: skip


def write_long(path: Path, count: int) -> None:
    """Write a line for each record, in the order in which a run with jobs in flight would."""
    chance = random.Random(1)
    waiting: list[tuple[str, list[tuple[str, object]]]] = []

    def next_line() -> bytes:
        at = chance.randrange(len(waiting))
        id_, facts = waiting[at]
        name, fact = facts.pop(0)
        if not facts:
            waiting[at] = waiting[-1]
            waiting.pop()
        return encode({"submission": id_, name: fact})

    with path.open("wb") as file:
        file.write(HEADER + b"\n")
        for id_, facts in purchases(count):
            (name, fact), *rest = facts.items()
            file.write(encode({"submission": id_, name: fact}))
            waiting.append((id_, rest))
            while len(waiting) > IN_FLIGHT:
                file.write(next_line())
        while waiting:
            file.write(next_line())


def write_short(path: Path, count: int) -> None:
    """Write a line for each submission, as compaction does."""
    with path.open("wb") as file:
        file.write(HEADER + b"\n")
        file.writelines(encode({"submission": id_, **facts}) for id_, facts in purchases(count))


def measure_json(root: Path) -> dict[str, float]:
    """Decode every line of the record files, and keep nothing."""
    start = time.process_time()
    for path in (*root.glob("specs/*.lock"), *root.glob(".renderer/ledger/*.jsonl")):
        with path.open("rb") as file:
            for line in file:
                json.loads(line)
    return {"seconds": time.process_time() - start}


def measure_replay(root: Path) -> dict[str, float]:
    """Replay the project; then ask what a plan of a thousand jobs asks."""
    start = time.process_time()
    known = replay(Project(root, root), {"specs/spring.yaml": "spring"})
    replayed = time.process_time()
    paid = sum(row.state is not None for row in known.history.rows())
    found = sum(len(known.history.of_fingerprint(sha(f"f{n}"))) for n in range(min(ASKED, paid)))
    asked = time.process_time()
    if found != min(ASKED, paid):
        raise SystemExit("replay lost what was bought")
    return {"seconds": replayed - start, "asked": asked - replayed}


MEASURES = {"json": measure_json, "replay": measure_replay}


def measure(name: str, root: Path) -> dict[str, float]:
    """Return what a fresh process finds."""
    command = [sys.executable, __file__, "--measure", name, str(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compare(title: str, root: Path) -> None:
    """Measure both readers by turns, and print the ratio."""
    rounds = [{name: measure(name, root) for name in MEASURES} for _ in range(ROUNDS)]
    least = {name: min(found[name]["seconds"] for found in rounds) for name in MEASURES}
    most = {name: max(found[name]["peak"] for found in rounds) for name in MEASURES}
    asked = min(found["replay"]["asked"] for found in rounds)
    print(f"\n{title}")
    for name in MEASURES:
        print(f"  {name:<8}{least[name]:7.2f} s {most[name]:7.0f} MB  {least[name] / least['json']:6.2f} of json")
    print(f"  a plan's first look at all, and {ASKED} jobs: {asked:.2f} s")


def main() -> None:
    """Write the files and compare, or measure one reader for the process that compares."""
    parser = argparse.ArgumentParser(description="Measure replay beside json.loads.")
    parser.add_argument("submissions", nargs="?", type=int, default=250_000)
    parser.add_argument("--measure", nargs=2, metavar=("READER", "ROOT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, root = options.measure
        found = MEASURES[name](Path(root))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
        print(json.dumps({**found, "peak": peak}))
        return
    count = options.submissions
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lock, ledger = root / "specs" / "spring.lock", root / ".renderer" / "ledger" / "spring.jsonl"
        lock.parent.mkdir()
        ledger.parent.mkdir(parents=True)
        write_long(lock, count)
        compare(f"{4 * count:,} records, a line each", root)
        lock.replace(ledger)
        write_short(lock, count)
        compare("the same, compacted, and the ledger beside it", root)
        ledger.unlink()
        compare("compacted alone", root)


if __name__ == "__main__":
    main()
