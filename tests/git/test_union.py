r"""DESIGN 3 as arithmetic: whatever merges do to lines, replay is the join of what was written.

Thousands of small histories of branches, runs, compactions, merges and losses; no git here (``test_real_git``), but
every freedom that git's merge takes: any order, lines twice, deleted lines that stay or go, markers, ``\r``.
``RENDERER_CAMPAIGN=10000`` tries so many.
"""

import os
import random
import tempfile
from collections.abc import Iterable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from renderer.run.compact import kept
from renderer.state.history import History, Record
from tests.git.buyer import Buyer, counting, facts, history, line, read

HEADER = b'{"renderer-lock":1}'
# A million small files are nothing for a disk to remember.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
TIMES = int(os.environ.get("RENDERER_CAMPAIGN", "0")) or 300
MARKERS = (b"<<<<<<< HEAD", b"||||||| 1a2b3c4", b"=======", b">>>>>>> other (more: of it)", b"", HEADER)
OPS = st.sampled_from(["run", "run", "run", "compact", "branch", "switch", "merge", "merge", "revert", "mess"])


class Machine:
    """A clone: branches of one lockfile, and the ledger that git does not know."""

    def __init__(self, chance: random.Random, folder: Path) -> None:
        self.place = folder / "spring.lock"
        self.chance = chance
        self.buyer = Buyer(chance)
        self.branches: dict[str, list[bytes]] = {"main": [HEADER]}
        self.stood: dict[str, set[bytes]] = {"main": set()}
        """Every line that ever stood in a branch, by which a merge tells a deletion from what was never there."""
        self.undone: set[str] = set()
        """Branches on which purchases were taken out of the lockfile: of them, only the ledger knows everything."""
        self.past: list[list[bytes]] = []
        self.ledger: list[Record] = []
        self.here = "main"

    @property
    def lines(self) -> list[bytes]:
        """The lockfile as it is checked out."""
        return self.branches[self.here]

    @lines.setter
    def lines(self, lines: list[bytes]) -> None:
        self.past.append(self.lines)
        self.branches[self.here] = lines
        self.stood[self.here] |= set(lines)

    def read(self, lines: Iterable[bytes], *, end: bytes = b"\n") -> list[Record]:
        """Return the records of a lockfile with these lines."""
        return read(b"".join(text + end for text in lines), self.place)

    def known(self) -> History:
        """What replay says."""
        return history(self.read(self.lines), self.ledger)

    def run(self) -> None:
        """Buy something: as a run does, into both files; perhaps killed before it compacts."""
        records = self.buyer.run(self.known())
        self.ledger += records
        self.lines = [*self.lines, *(line(record).rstrip() for record in records)]
        if self.chance.random() < 0.5:
            self.compact()

    def compact(self) -> None:
        """Fold the lockfile: nothing that counts changes."""
        before = history(self.read(self.lines))
        after = history(kept(before))
        assert facts(after, refusals=False) == facts(before, refusals=False)
        assert counting(after) == counting(before)
        assert list(kept(after)) == list(kept(before)), "compacting it again changes something"
        self.lines = [HEADER, *(line(record).rstrip() for record in kept(before))]

    def branch(self) -> None:
        """Begin a branch here and go on there."""
        name = f"branch{len(self.branches)}"
        self.branches[name] = list(self.lines)
        self.stood[name] = set(self.stood[self.here])
        self.undone |= {name} if self.here in self.undone else set()
        self.here = name

    def switch(self) -> None:
        """Go on with another branch."""
        self.here = self.chance.choice(sorted(self.branches))

    def merge(self) -> None:
        """Merge another branch into this one, as a three-way merge of lines may: both orders know the same."""
        other = self.chance.choice(sorted(self.branches))
        ours, theirs = self.lines, self.branches[other]
        base = self.stood[self.here] & self.stood[other]
        both = history(self.read(ours), self.read(theirs))
        one, two = self._merged(ours, theirs, base), self._merged(theirs, ours, base)
        if {self.here, other} & self.undone:
            self.undone.add(self.here)
        else:
            for lines in (one, two):
                known = history(self.read(lines))
                assert facts(known, refusals=False) == facts(both, refusals=False)
                assert counting(known) == counting(both)
        self.lines = one
        self.stood[self.here] |= self.stood[other]

    def _merged(self, ours: list[bytes], theirs: list[bytes], base: set[bytes]) -> list[bytes]:
        lines = []
        for text in dict.fromkeys([*ours, *theirs]):
            deleted = text in base and (text not in ours or text not in theirs)
            # What one side has deleted goes, unless it stood in a conflict.
            if not deleted or self.chance.random() < 0.3:
                lines += [text] * self.chance.choice([1, 1, 2])
        if self.chance.random() < 0.3:
            self.chance.shuffle(lines)
        # All sides have it in common, so no merge moves it.
        return [HEADER, *lines]

    def revert(self) -> None:
        """Let the lockfile be as it was at some time: reset, checkout, revert, stash."""
        if self.past:
            self.branches[self.here] = list(self.chance.choice(self.past))
            self.undone.add(self.here)

    def mess(self) -> None:
        """Leave markers and headers in it, as people do."""
        before = facts(history(self.read(self.lines)))
        for _ in range(3):
            self.lines.insert(self.chance.randint(0, len(self.lines)), self.chance.choice(MARKERS))
        assert facts(history(self.read(self.lines))) == before
        assert facts(history(self.read(self.lines, end=b"\r\n"))) == before


@settings(max_examples=TIMES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(OPS, max_size=25), st.randoms(use_true_random=False))
def test_replay_is_the_join_of_all_that_was_ever_written(ops: list[str], chance: random.Random) -> None:
    """After each of any steps this machine knows everything, a merge all of both sides; nothing is bought twice."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        machine = Machine(chance, Path(folder))
        for op in ops:
            getattr(machine, op)()
            everything = history(machine.buyer.written)
            assert facts(machine.known()) == facts(everything)
            assert counting(machine.known()) == counting(everything)
    _each_bought_once(machine.buyer)


def _each_bought_once(buyer: Buyer) -> None:
    """Without a person's word no fingerprint has two purchases, refused and closed ones aside."""
    known = history(buyer.written)
    bought = [
        s
        for s in known.submissions.values()
        if s.intended and not s.intended.get("over") and not {"refused", "closed"} & s.facts.keys()
    ]
    assert len({s.fingerprint for s in bought}) == len(bought)
