"""What is known right now: the batch, its history, the disk, and the plan that follows. Read-only.

``plan``, ``status``, ``verify`` and ``apply`` all look at this one picture, so that they never disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from renderer.cli.options import Target
from renderer.cli.session import Batch, manifests
from renderer.errors import InvalidError
from renderer.manifest.document import open_manifest
from renderer.plan.plan import Options, Plan, make_plan
from renderer.plan.select import choose, named
from renderer.plan.standing import Standing, Wanted
from renderer.run.journal import Records, homes, replay
from renderer.run.store import Store
from renderer.state.history import History, SavedHashes


@dataclass(frozen=True, slots=True)
class Picture:
    """A batch and what is known of it.

    ``unlocked`` are records that the lockfiles of the batch lack, ``unledgered`` those that its ledgers lack, by
    release: the next run that holds the lock evens them out.
    """

    batch: Batch
    history: History
    unlocked: Mapping[str, Records]
    unledgered: Mapping[str, Records]
    store: Store
    standings: Mapping[str, Standing]
    chosen: Sequence[Wanted]

    @property
    def whole(self) -> bool:
        """Whether every job was chosen."""
        return len(self.chosen) == len(self.batch.wanted)

    @property
    def several(self) -> bool:
        """Whether jobs of more than one manifest are meant, so that an id alone does not name one."""
        return len(self.batch.expansions) > 1

    def choose(self, select: Sequence[str]) -> list[Wanted]:
        """Return the jobs of the batch that selectors name, without what they refer to."""
        return [w for w in self.batch.wanted if w.key in named(select, self.batch.wanted, self.standings)]

    def plan(self, *, alive: bool = False, only_new: bool = False, again: frozenset[str] = frozenset()) -> Plan:
        """Return what would be done about the chosen jobs; those in ``again`` are bought once more."""
        options = Options(only_new=only_new, alive=alive, whole=self.whole, again=again, origins=self.batch.origins)
        options = replace(options, elsewhere=elsewhere(self.batch))
        return make_plan(self.chosen, self.history, self.store.files(), options=options)


def look(batch: Batch, target: Target | None = None, *, alive: bool = False, secrets: Sequence[str] = ()) -> Picture:
    """Return what is known of a batch; without a target every job is chosen.

    ``secrets`` are taken out of whatever is kept of answers. Raises :class:`~renderer.errors.DiskError` for a damaged
    lockfile, :class:`~renderer.errors.UsageError` for a selector that matches nothing.
    """
    releases = {manifest.file: manifest.release for manifest in batch.manifests}
    known = replay(batch.project, releases)
    history = known.history
    store = Store(batch.project, known=SavedHashes(history), secrets=secrets)
    standings = batch.standings(history, alive=alive)
    chosen = list(batch.wanted)
    if target is not None:
        chosen = choose(batch.wanted, standings, select=target.select, exclude=target.exclude)
    used = {
        standing.submission.id: wanted.job.release
        for wanted in batch.wanted
        if (standing := standings[wanted.key]).submission is not None
    }
    unlocked = homes(known.unlocked, set(releases.values()), used)
    unledgered = homes(known.unledgered, set(releases.values()), {})
    return Picture(batch, history, unlocked, unledgered, store, standings, chosen)


def elsewhere(batch: Batch) -> frozenset[str]:
    """Return the releases of the project's other manifests that have a lockfile."""
    here = {manifest.file for manifest in batch.manifests}
    found = set()
    for path in manifests(batch.project):
        file = batch.project.relative(path)
        if file in here:
            continue
        try:
            data = open_manifest(path, batch.project).data
        except InvalidError:
            data = None
        release = data.get("release") if isinstance(data, dict) else None
        found |= {path.stem, *([release] if isinstance(release, str) else [])}
    return frozenset(found)


def bought_elsewhere(picture: Picture) -> list[str]:
    """Return the submissions that only a ledger knows: bought on another branch, or before a lockfile was lost."""
    found = {id_ for records in picture.unlocked.values() for id_ in records.submissions()}
    return sorted(found - {""})
