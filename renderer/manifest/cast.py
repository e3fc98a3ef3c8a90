"""Who makes a job, and from which fields: profile, provider and operation chosen, levels merged, templates compiled.

A declaration is cast once for each choice, and the cast is used for every row that chooses the same. Knows of
providers only what an ``Offer`` says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from renderer.manifest.document import Manifest
from renderer.manifest.expression import has_syntax
from renderer.manifest.job import Kind
from renderer.manifest.levels import Level, merge
from renderer.manifest.notes import Notes, Place
from renderer.manifest.offer import Offer, Operations
from renderer.manifest.position import Mark, Path, nearest
from renderer.manifest.spelling import suggest
from renderer.manifest.template import TemplateError, compile_tree
from renderer.manifest.values import Recipe, prepare

FACTS = frozenset({"take", "output", "tags", "priority"})
"""Keys of every job that are no fields of a request."""
_SHAPE = frozenset({"for_each", "id", "profile", "provider", "operation"})


class Skip(Exception):
    """This job cannot be made; the reason is written down."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One asset or video as it was written: its id, its map, and whether it becomes several."""

    kind: Kind
    name: str
    tree: Mapping[str, Any] = field(repr=False)

    @property
    def origin(self) -> Path:
        """Where it stands in the manifest."""
        return (f"{self.kind}s", self.name)


@dataclass(frozen=True, slots=True)
class Choice:
    """What one job is made by; ``profile`` is None where it has none."""

    profile: str | None
    provider: str
    operation: str


@dataclass(frozen=True, slots=True)
class Cast:
    """A declaration under one choice. ``marks`` are by path inside the job, ``()`` being the job's own key.

    ``whole``: nothing that it is made of lacks a field that was given.
    """

    declaration: Declaration
    choice: Choice
    offer: Offer
    uploads: bool
    recipe: Recipe
    marks: Mapping[Path, Mark] = field(repr=False)
    whole: bool = field(default=True, kw_only=True)

    def place(self, file: str, path: Path, who: str = "") -> Place:
        """Return where a path inside the job was written."""
        return Place(file, nearest(self.marks, path), (*self.declaration.origin, *path), who)


@dataclass(frozen=True, slots=True)
class Casting:
    """Chooses and casts for one manifest; what is wrong goes to ``notes``."""

    manifest: Manifest
    operations: Operations
    notes: Notes

    def is_fixed(self, declaration: Declaration) -> bool:
        """Whether all rows of a declaration make the same choice: no template has a say in it."""
        trees = (declaration.tree, self.manifest.defaults, *self.manifest.profiles.values())
        names = (tree.get(key) for tree in trees for key in ("profile", "provider", "operation"))
        return not any(isinstance(name, str) and has_syntax(name) for name in names)

    def choose(self, declaration: Declaration, context: Mapping[str, Any], who: str) -> Choice:
        """Return who makes one job. Raises :class:`Skip` where that cannot be said."""
        own: Level = (declaration.tree, declaration.origin)
        defaults: Level = (self.manifest.defaults, ("defaults",))
        levels = [own]
        profile, place = self._pick("profile", [own, defaults], context, who)
        if profile is not None:
            if profile not in self.manifest.profiles:
                if self.manifest.gaps.has_profile(profile):
                    raise Skip
                self._refuse(place, "profile", f"there is no profile `{profile}`", profile, self.manifest.profiles)
            levels.append((self.manifest.profiles[profile], ("profiles", profile)))
        provider, place = self._pick("provider", [*levels, defaults], context, who)
        if provider is None:
            if ("defaults",) in self.manifest.gaps.levels:
                raise Skip  # perhaps it stood where something was taken out
            place = self.notes.at(declaration.origin, key=True, who=who)
            self._refuse(place, "provider", f"`{declaration.name}` needs a `provider`", "", self.operations)
        if provider not in self.operations:
            self._refuse(place, "provider", f"there is no provider `{provider}`", provider, self.operations)
        known = self.operations[provider]
        operation, place = self._pick("operation", levels, context, who)
        if operation is None:
            # What the defaults say was said of the default provider; of another one it may mean nothing.
            said, place = self._pick("operation", [defaults], context, who)
            operation = said if said is not None and said in known.operations else known.default
        if operation not in known.operations:
            message = f"{provider} has no operation `{operation}`"
            self._refuse(place, "operation", message, operation, known.operations)
        return Choice(profile, provider, operation)

    def word(self, path: Path, given: Any, context: Mapping[str, Any], who: str) -> str:
        """Return a name that may be a template (of a provider, an id...). Raises :class:`Skip`."""
        try:
            value = compile_tree(given, omit=False).render(context)
        except TemplateError as error:
            for finding in error.findings:
                if not finding.follows:
                    self.notes.add(self.notes.at(path, who=who), "template", finding.message)
            raise Skip from None
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            self.notes.add(self.notes.at(path, who=who), "type", f"`{path[-1]}` must become text")
            raise Skip
        return value

    def cast(self, declaration: Declaration, choice: Choice) -> Cast:
        """Return a declaration under one choice, merged and compiled."""
        known = self.operations[choice.provider]
        offer = known.operations[choice.operation]
        levels: list[Level] = [(declaration.tree, declaration.origin)]
        if choice.profile is not None:
            levels.append((self.manifest.profiles[choice.profile], ("profiles", choice.profile)))
        kept: list[Level] = []
        for tree, origin in levels:
            fields = {key: value for key, value in tree.items() if key not in _SHAPE}
            for key in fields.keys() - FACTS - offer.fields:
                self._unfit((*origin, key), declaration, choice, offer)
            kept.append((fields, origin))
        fitting = {key: value for key, value in self.manifest.defaults.items() if key in offer.fields | FACTS}
        merged, marks = merge([*kept, (fitting, ("defaults",))], self.manifest.document.locate)
        marks[()] = self.manifest.document.locate(declaration.origin, key=True)
        whole = self.manifest.gaps.levels.isdisjoint({*(origin for _, origin in levels), ("defaults",)})
        return Cast(declaration, choice, offer, known.uploads, prepare(merged), marks, whole=whole)

    def _pick(
        self, key: str, levels: Sequence[Level], context: Mapping[str, Any], who: str
    ) -> tuple[str | None, Place]:
        """Return what the highest level that has ``key`` says, and where; null is as good as nothing."""
        for tree, origin in levels:
            if key in tree:
                path = (*origin, key)
                given = tree[key]
                value = None if given is None else self.word(path, given, context, who)
                return value, self.notes.at(path, who=who)
        return None, self.notes.at(levels[0][1], who=who)

    def _refuse(self, place: Place, code: str, message: str, word: str | None, known: Mapping[str, Any]) -> NoReturn:
        hint = suggest(word or "", known) or (f"known: {', '.join(known)}" if known else "")
        self.notes.add(place, code, message, hint)
        raise Skip

    def _unfit(self, path: Path, declaration: Declaration, choice: Choice, offer: Offer) -> None:
        key, operation = str(path[-1]), f"{choice.provider} {choice.operation}"
        if path[0] == "profiles":
            message = f"the profile `{path[1]}` sets `{key}`, which {operation} (`{declaration.name}`) does not have"
        else:
            message = f"{operation} has no `{key}`"
        hint = suggest(key, offer.fields) or f"it has: {', '.join(sorted(offer.fields))}"
        self.notes.add(self.notes.at(path, key=True), "unfit-key", message, hint)
