"""From paths on the command line to jobs, and from jobs to what is known of them.

Everything that several commands need before they do their own thing: which files are meant, whose project they are
in, all that is wrong with them at once, and each job with its pack, its fingerprint and its origin. Nothing here is
sent, written or shown.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from renderer.cli.environment import origin
from renderer.cli.options import Context
from renderer.errors import InvalidError, Problem, UsageError
from renderer.manifest.document import Manifest, Settings, is_manifest, manifest_schema, open_manifest, parse_manifest
from renderer.manifest.expand import Expansion, check_batch, expand
from renderer.manifest.schema import Schema
from renderer.plan.money import amount
from renderer.plan.standing import Standing, Wanted, stand
from renderer.project import Project
from renderer.provider.check import check, twins
from renderer.provider.pacing import Pacing
from renderer.provider.pack import Packs, paced
from renderer.provider.packfile import load_packs
from renderer.provider.request import fingerprints, unbuildable
from renderer.run.purse import Limit
from renderer.state import lockfile
from renderer.state.history import History

SUFFIXES = (".yaml", ".yml")
_JOB = re.compile(r"\$\.(?:assets|videos)(?:\.[^.\[]+|\['[^']*'\])")
"""The beginning of a problem's path that names its job."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The manifests of one command: valid, expanded, and with every warning that was found."""

    project: Project
    packs: Packs
    expansions: tuple[Expansion, ...]
    wanted: tuple[Wanted, ...]
    warnings: tuple[Problem, ...] = ()
    origins: Mapping[str, str | None] = field(default_factory=dict)
    brought: frozenset[str] = frozenset()
    """Providers of packs that were brought along: the sandbox does not play them."""

    @property
    def manifests(self) -> list[Manifest]:
        """The manifests' declarations."""
        return [expansion.manifest for expansion in self.expansions]

    @property
    def pacing(self) -> dict[str, Pacing]:
        """Each provider's pacing; where the manifests that use it disagree, the gentler word counts."""
        users = {(wanted.job.manifest, wanted.job.provider) for wanted in self.wanted}
        found: dict[str, Pacing] = {}
        for name, pack in self.packs.items():
            told = [m.providers.get(name) for m in self.manifests if (m.file, name) in users]
            options = [paced(pack, settings) for settings in told] or [pack.pacing]
            found[name] = min(options, key=lambda p: (p.in_flight, -p.apart, -p.first))
        return found

    @property
    def budgets(self) -> dict[str, Limit]:
        """What each manifest allows to spend in one run."""
        return {m.file: Limit(m.submits, amount(m.cost)) for m in self.manifests}

    def standings(self, history: History, *, alive: bool) -> dict[str, Standing]:
        """Return what is known of each job."""
        return {wanted.key: stand(wanted, history, alive=alive) for wanted in self.wanted}


@dataclass(slots=True)
class Findings:
    """What is wrong with a batch, while it is being read."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, problems: Iterable[Problem]) -> None:
        """Take problems."""
        self.problems.extend(problems)

    def add_more(self, problems: Iterable[Problem]) -> None:
        """Take problems, but for those at places that are known to be wrong: they follow from it."""
        known = {(problem.file, problem.line, problem.column) for problem in self.errors}
        self.add(problem for problem in problems if (problem.file, problem.line, problem.column) not in known)

    @property
    def errors(self) -> list[Problem]:
        """The problems that are more than warnings."""
        return [problem for problem in self.problems if problem.severity == "error"]

    def wrong_jobs(self) -> set[tuple[str, str]]:
        """Return file and place of each asset and video in which something is wrong."""
        places = ((problem.file, _JOB.match(problem.path)) for problem in self.errors)
        return {(file, found[0]) for file, found in places if found is not None}


def load(context: Context, paths: Sequence[Path], *, sandboxed: bool = False, environment: Mapping[str, str]) -> Batch:
    """Return the batch that ``paths`` name.

    Raises :class:`UsageError` where the paths themselves are wrong, :class:`InvalidError` with every problem of every
    file.
    """
    packs = load_packs(context.packs)
    files = list(_files(paths))
    project = _project(context, files, paths)
    target = project.sandbox() if sandboxed else project
    findings = Findings()
    manifests = _read(files, target, paths, findings)
    offers = packs.offers()
    expansions = tuple(expand(manifest, target, offers) for manifest in manifests)
    for expansion in expansions:
        findings.add(expansion.problems)
    findings.add(check_batch(expansions))
    jobs = [job for expansion in expansions for job in expansion.jobs]
    partial = frozenset(key for expansion in expansions for key in expansion.partial)
    findings.add_more(check(jobs, packs, partial=partial))
    if findings.errors:
        wrong = findings.wrong_jobs()
        sound = [
            job for job in jobs if job.key not in partial and (job.manifest, job.problem((), "", "").path) not in wrong
        ]
        findings.add(unbuildable(sound, packs))
        raise InvalidError(sorted(set(findings.problems)))
    identities = fingerprints(jobs, packs)
    findings.add(twins(jobs, identities))
    names = {f"{m.release}/{new}": f"{m.release}/{old}" for m in manifests for old, new in m.moved}
    former = {job.key: job for expansion in expansions for job in expansion.former.values()}
    earlier = fingerprints([former.get(job.key, job) for job in jobs], packs) if former else identities
    if not manifests and not findings.problems:
        raise UsageError("there is no manifest in what was named", hint="a manifest is a YAML file with `version: 1`")
    origins = {name: origin(pack, environment, sandboxed=sandboxed) for name, pack in packs.items()}
    settings = {m.release: m.providers for m in manifests}
    wanted = tuple(
        Wanted(
            job=job,
            pack=packs[job.provider],
            operation=packs.operation(job.provider, job.operation),
            request=identities[job.key].request,
            fingerprint=identities[job.key].fingerprint,
            declared=identities[job.key].declared,
            formerly=earlier[job.key].fingerprint,
            was=names.get(job.key, ""),
            origin=origins[job.provider],
            output=job.output,
            price=_price(settings[job.release], job.provider, job.operation),
        )
        for job in jobs
    )
    brought = frozenset(packs) - frozenset(load_packs()) if context.packs else frozenset()
    return Batch(target, packs, expansions, wanted, tuple(sorted(set(findings.problems))), origins, brought)


def _price(settings: Mapping[str, Settings], provider: str, operation: str) -> str | float | None:
    """Return what a manifest says that one submit costs, as it says it."""
    price = settings[provider].price if provider in settings else {}
    return price.get(operation, price.get(""))


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield each named file, and each YAML file of a named folder (not below), each once."""
    seen: set[Path] = set()
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
            if not inside:
                raise UsageError(f"{path} has no YAML file in it", hint="manifests end in .yaml or .yml")
        else:
            inside = [path]
        for file in inside:
            if (real := file.resolve()) not in seen:
                seen.add(real)
                yield file


def _project(context: Context, files: Sequence[Path], paths: Sequence[Path]) -> Project:
    """Return the one project of a batch. Raises :class:`UsageError` where there are several."""
    projects = {context.find(file) for file in files}
    if len(projects) > 1:
        roots = ", ".join(sorted(str(project.root) for project in projects))
        raise UsageError(f"these manifests are of several projects: {roots}", hint="run each project on its own")
    project = projects.pop() if projects else context.find(paths[0])
    outside = [file for file in files if not file.resolve().is_relative_to(project.root)]
    if outside:
        raise UsageError(f"{outside[0]} is not inside the project {project.root}")
    return project


def _read(files: Sequence[Path], project: Project, paths: Sequence[Path], findings: Findings) -> list[Manifest]:
    """Return the manifests; what a folder holds beside them is skipped with a warning."""
    schema: Schema = manifest_schema()
    named = {path.resolve() for path in paths if path.is_file()}
    manifests = []
    for file in files:
        try:
            document = open_manifest(file, project)
            if file.resolve() not in named and not is_manifest(document):
                said = "skipped: it has no `version`, so it is no manifest"
                findings.add([Problem(document.file, 1, 1, "$", "no-manifest", said, severity="warning")])
                continue
            manifests.append(parse_manifest(document, schema=schema))
        except InvalidError as error:
            findings.add(error.problems)
    return manifests


def manifests(project: Project) -> Iterator[Path]:
    """Yield every manifest of a project that has a lockfile."""
    for lock in lockfile.lockfiles(project):
        beside = project.root / lock.relative_to(project.home)
        yield from (path for suffix in SUFFIXES if (path := beside.with_suffix(suffix)).is_file())
