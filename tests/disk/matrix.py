"""``docs/never-twice.md``, made from what happens: a run dies at a point, the next one begins, and the market counts.

``python -m tests.disk.matrix`` writes it. What is on record and the state are read from the record files with
``renderer.state.lifecycle``; what the next run does, how it ends and what was sold is observed in the scripted world
of ``tests/run``, over the real packs. The diagram is drawn from the lifecycle's table.
"""

import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from renderer.manifest.job import Job
from renderer.plan.standing import JobState
from renderer.state.lifecycle import STRENGTH, TABLE, Fact, State, next_step, state_of
from tests.run.scripted import Scene

DOCUMENT = Path(__file__).parents[2] / "docs" / "never-twice.md"
COMMAND = "python -m tests.disk.matrix"
TUNING = {"rate": 1.1, "volume": 1.0, "pitch": 1.0}

KINDS: dict[str, tuple[str, Callable[[Scene], Job]]] = {
    "listed": (
        "A provider whose own list shows what was bought (Fliz: `video`)",
        lambda scene: scene.film("a", "fliz"),
    ),
    "unlisted": (
        "A provider without such a list (Fliz: `translate`, `duplicate`; Hifly's videos; YZX; FoxAPI)",
        lambda scene: scene.film("a", "yzx"),
    ),
    "keyed": (
        "A call that is its own poll, keyed by what it asks for (GEN_VIDEO)",
        lambda scene: scene.film("a", "gen_video"),
    ),
    "value": (
        "An asset that ends as a value (Hifly: avatars, voices)",
        lambda scene: scene.job("a", "hifly", "avatar-by-video", title="A", source="https://example.com/a.mp4"),
    ),
    "free": (
        "A free edit in place (Hifly: `voice-tuning`)",
        lambda scene: scene.job("a", "hifly", "voice-tuning", voice="v1", options=TUNING),
    ),
}
# Point -> the effect at which the run dies: its name, and which one of that name (from 0, -1 is the last).
POINTS: dict[str, tuple[str, int]] = {
    "before `intended` is written": ("before append to spring.lock", 0),
    "`intended` is in the lockfile, not yet in the ledger": ("before append to spring.ledger", 0),
    "`intended` is durable, nothing is sent": ("before (submit|edit)", 0),
    "the request is sent": ("during (submit|edit)", 0),
    "its answer is received, not recorded": ("after (submit|edit)", 0),
    "`accepted` is durable": ("before status", 0),
    "while it is polled": ("during status", 0),
    "the end is heard, not recorded": ("after status", -1),
    "the link that comes once is heard, not kept": ("before keep_link", 0),
    "that link is kept, `rendered` not recorded": ("after keep_link", 0),
    "`rendered` is durable": ("before fetch", 0),
    "downloaded and verified": ("after fetch", 0),
    "in the cache": ("after admit", 0),
    "at its output": ("after publish", 0),
    "`saved` is durable": ("after append to spring.ledger", -1),
}
DOES = {
    "submit": "sends it",
    "edit": "sends it",
    "list": "looks in the provider's list",
    "status": "polls",
    "fetch": "downloads",
    "publish": "publishes",
}


@dataclass(frozen=True)
class Row:
    """A point of a kind, and what it leads to."""

    point: str
    record: str
    state: State | None
    step: str
    does: Sequence[str]
    ends: JobState
    sold: int
    again: bool

    @property
    def cells(self) -> tuple[str, ...]:
        """What the table shows of it."""
        person = "yes" if self.ends is JobState.HELD else "no"
        # A call that may be made again after the provider has begun: whether that costs is up to its server.
        twice = "only where the server does not know the draft again" if self.again else "no"
        state = self.state or "nothing known"
        does = ", ".join(self.does) or "nothing"
        return (self.point, self.record or "nothing", f"{state}: {self.step}", does, str(self.ends), person, twice)


def effects(kind: str) -> list[str]:
    """Return what a run of a kind does that can be its last."""
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder))
        return scene.live([KINDS[kind][1](scene)]).fate.effects


def observe(kind: str, crash_at: int, point: str = "") -> Row:
    """Let a run die at its ``crash_at``-th effect (from 1), and see what the next one does."""
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder))
        job = KINDS[kind][1](scene)
        assert scene.live([job], crash_at=crash_at).crashed
        known = [submission.facts for submission in scene.submissions()] or [{}]
        began = len(scene.market.sold)
        life = scene.live([job])
        names = dict.fromkeys(name.partition(" ")[2] for name in life.fate.effects)
        does = [DOES[name] for name in names if name in DOES]
        keyed = scene.packs.operation(job.provider, job.operation).keyed is not None
        if "sends it" in does and began:
            does[does.index("sends it")] = "calls again"
        operation = scene.packs.operation(job.provider, job.operation)
        if operation.repeat and known != [{}] and "sends it" in does:
            does[does.index("sends it")] = "sends it again, free"
        return Row(
            point=point,
            record=", ".join(f"`{fact}`" for fact in Fact if fact in known[0]),
            state=state_of(known[0]),
            step=next_step(known[0]),
            does=does,
            ends=life.state("a"),
            sold=len(scene.market.bought()),
            again=keyed and bool(began) and "calls again" in does,
        )


def rows(kind: str) -> list[Row]:
    """Return the points that a kind has."""
    names = effects(kind)
    found = []
    for point, (pattern, which) in POINTS.items():
        places = [index for index, name in enumerate(names, 1) if re.fullmatch(pattern, name)]
        if places:
            found.append(observe(kind, places[which], point))
    return found


def diagram() -> str:
    """Return the lifecycle of one submission as a Mermaid state diagram, drawn from its table."""
    representative: dict[State, dict[str, dict[str, str]]] = {
        state: {Fact.INTENDED: {}, fact: {}} for fact, state in STRENGTH
    }
    representative[State.CLOSED] = {Fact.INTENDED: {}, Fact.CLOSED: {"state": State.DOUBTFUL}}
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, (facts, _) in TABLE.items():
        before = representative[state] if state is not None else {}
        for fact in sorted(facts, key=list(Fact).index):
            # A person closes what they see.
            after = state_of({**before, fact: before.get(fact, {"state": str(state)})})
            if after is not None and after is not state:
                arrows.setdefault((state or "[*]", after), []).append(fact)
    lines = [f"    {one} --> {two}: {', '.join(facts)}" for (one, two), facts in arrows.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def table(kind: str) -> str:
    """Return the points of a kind as a Markdown table."""
    head = ("the run dies when", "on record", "state: step", "the next run", "the job ends", "a person?", "twice?")
    lines = [head, tuple("---" for _ in head), *(row.cells for row in rows(kind))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def document() -> str:
    """Return the whole text."""
    tables = "\n\n".join(f"### {title}\n\n{table(kind)}" for kind, (title, _) in KINDS.items())
    return _TEXT.format(command=COMMAND, diagram=diagram(), tables=tables)


_TEXT = """\
# Never twice

<!-- Made by `{command}`; a test compares it with what is made. -->

Wherever a run dies (killed, powered off), the next `renderer apply` of the same manifest goes on from what is on
record. This page says, point by point, what it finds and what that leads to. The tables are made by letting a run die
at each point and watching the next one.

- Before a request that may cost leaves this machine, its `intended` is on disk, in the lockfile and in the ledger.
- Once it may have left, it is never sent again by itself. What is not known is looked up where the provider has a
  list, and otherwise waits for a person: the job is *held*, and `renderer resolve` decides.
- Once the provider has given a task, all the rest is free, and is repeated until the file is verified on this disk.

## The life of one submission

The state is derived from the facts on record, never stored; each arrow is a fact. What a person has closed opens again
by evidence that is stronger than what they saw. A call that is its own poll is never doubtful: its `intended` alone
counts as accepted. Facts of a merge only join.

{diagram}

## Where a run can die

"On record" is what the next run reads, and "state: step" what the lifecycle makes of it. "The next run" is what it was
seen to do. The provider had received the request at every point from "the request is sent" on. A job that ends held was
perhaps bought and perhaps not: look at the provider, then say which with `renderer resolve`.

{tables}

## The end of a run

Compaction writes a new lockfile beside the old one, syncs it and renames it. Whichever of the two a dead run leaves, it
is whole and says the same; the next run that writes overwrites what was left beside it.

## Beyond a dead run

| what happens | what it leads to |
| --- | --- |
| a record cannot be written or synced | nothing more is sent, exit 74; the record stands in the message |
| a video does not fit on the disk | its job stays rendered, others go on; the next run downloads it |
| two runs at once | the second exits 75 and has sent nothing |
| Ctrl-C, SIGTERM | nothing more is sent, answers to what was sent are recorded, exit 130; twice is as a kill |
| a job is edited while it renders | its purchase is fetched into the cache; going back to its text costs nothing |
| `git revert`, `checkout --`, `stash`, `reset --hard`, a switch | the ledger still knows: nothing is bought again |
| branches that each bought something are merged | with `merge=union` the lockfile is the join of both |
| an octopus merge, or a forge's merge button | these know no merge drivers: merge one branch after the other, locally |

## What cannot be closed

- A GEN_VIDEO call that is repeated after a crash may cost again at a server that does not know the draft again.
- `git clean -dx` (and removing `.renderer` together with a lockfile that was not committed) takes the lockfile and the
  ledger at once. Commit the lockfile after each run that bought something.
- A clone knows what was pushed. Two machines that buy the same job before either of them pushes both buy it.
"""


if __name__ == "__main__":
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT}\n")
