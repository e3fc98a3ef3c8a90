"""What ``.renderer/`` keeps between runs, and how finished files reach their place (``disk`` makes them whole).

========================  =========================================================================================
``part/<submission>``     a download that is under way; ``part/<submission>.etag`` beside it is ``run/download``'s
``links/<submission>``    one URL and a newline, mode 0600: a link that its provider gives only once
``answers/<name>``        an answer that could not be used, mode 0600, without queries of URLs, at most 64 KiB
``cache/<aa>/<sha256>``   finished files by content; ``aa`` are the first two digits
``outputs.json``          where each output stands now (``run/outputs``)
========================  =========================================================================================

An output is a copy of the cache's file, a clone where the file system can (btrfs, XFS), never a hard link: people
edit outputs in place, and an edit must not reach the cache, from which the same video is restored. On other file
systems a video takes its space twice. This module knows nothing of jobs, providers or states; who calls it decides
whether a target may be written. Its methods block: long ones (``publish``, ``hash_file``, ``at`` unknown files)
belong into a thread.
"""

import re
import stat
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from renderer.errors import DiskError
from renderer.plan.plan import Files, Found, Look
from renderer.project import PathError, Project
from renderer.run.disk import (
    DiskFull,
    check_writable,
    copy_whole,
    disk_errors,
    hash_file,
    make_folder,
    move_whole,
    write_whole,
)
from renderer.run.outputs import Outputs, Placed
from renderer.run.sidecar import is_sidecar
from renderer.state.lockfile import sync_folder

__all__ = ["Cleaned", "DiskFull", "Store", "check_writable", "hash_file"]

_NAME = re.compile(r"[\w][\w.-]{0,199}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ANSWER = 64 << 10
# The slashes of a URL inside JSON may be escaped; the query ends where a string or a tag does.
_QUERY = re.compile(r"(https?:(?:\\?/){2}[^\s\"'<>?]*)\?[^\s\"'<>]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A file that was removed, and how many bytes it had."""

    path: Path
    bytes: int


class Store:
    """The files of one project's home."""

    def __init__(self, project: Project, *, known: Container[str] = (), secrets: Collection[str] = ()) -> None:
        """Take the project; nothing is read or made yet.

        ``known`` are hashes that records name: by them a file of ours is recognised where ``outputs.json`` is lost.
        ``secrets`` are taken out of whatever is kept of answers.
        """
        self._project = project
        self._known = known
        self._secrets = frozenset(filter(None, secrets))
        self._parts = project.state / "part"
        self._links = project.state / "links"
        self._answers = project.state / "answers"
        self._cache = project.state / "cache"
        self._outputs = Outputs(project.state / "outputs.json")

    def part(self, submission: str) -> Path:
        """Return where a submission's download grows. Raises :class:`DiskError` where its folder cannot be made."""
        with disk_errors(self._parts):
            make_folder(self._parts)
        return self._parts / _name(submission)

    def keep_link(self, submission: str, url: str) -> None:
        """Keep a link that will not be given again; durable when this returns. Raises :class:`DiskError`."""
        write_whole(self._links / _name(submission), f"{url}\n".encode(), mode=0o600)

    def link(self, submission: str) -> str | None:
        """Return the link that was kept, byte for byte. Raises :class:`DiskError`."""
        path = self._links / _name(submission)
        with disk_errors(path):
            try:
                return path.read_bytes().decode().removesuffix("\n")
            except FileNotFoundError:
                return None

    def drop_link(self, submission: str) -> None:
        """Forget a link: its file is saved, or it is found lost. Raises :class:`DiskError`."""
        path = self._links / _name(submission)
        with disk_errors(path):
            path.unlink(missing_ok=True)

    def save_answer(self, name: str, body: bytes) -> str:
        """Keep an answer that could not be used, for people to look at; return where, relative to the root.

        Secrets and the queries of URLs are taken out first. Raises :class:`DiskError`.
        """
        text = body.decode("utf-8", "replace")
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        text = _QUERY.sub(r"\1?[query]", text)
        path = self._answers / _name(name)
        write_whole(path, text.encode()[:_ANSWER], mode=0o600)
        return self._project.relative(path)

    def admit(self, part: Path, sha256: str) -> Path:
        """Move a verified download, already durable, into the cache; return where it is. Raises :class:`DiskError`."""
        path = self._cached(sha256)
        move_whole(part, path)
        return path

    def cached(self, sha256: str) -> Path | None:
        """Return the cache's file with this content, if it has it."""
        path = self._cached(sha256)
        return path if path.is_file() else None

    def publish(self, sha256: str, output: str, *, submission: str | None = None) -> None:
        """Put the cache's file at ``output`` (relative to the home); whole or not at all. What stood there is replaced.

        Raises :class:`DiskError`, also where the target is or goes through a symlink.
        """
        target = self._target(output)
        copy_whole(self._cached(sha256), target)
        self._place(output, sha256, submission)

    def at(self, output: str) -> Found:
        """Tell what stands at ``output``. Writes nothing. Raises :class:`DiskError` where it cannot be read.

        Size and modification time decide; where they differ, or nothing is recorded, the content does.
        """
        path = self._project.output(output)
        placed = self._outputs.get(output)
        try:
            self._project.check_target(output)
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return Found(Look.ABSENT)
        except PathError:
            return Found(Look.FOREIGN)
        if not stat.S_ISREG(status.st_mode):
            return Found(Look.FOREIGN)
        if placed is not None:
            same_size = status.st_size == placed.size
            if same_size and (status.st_mtime_ns == placed.mtime_ns or hash_file(path) == placed.sha256):
                return Found(Look.OURS, placed.sha256)
            return Found(Look.CHANGED, placed.sha256)
        sha256 = hash_file(path)
        ours = sha256 in self._known or self.cached(sha256) is not None
        return Found(Look.OURS, sha256) if ours else Found(Look.FOREIGN)

    def files(self) -> Files:
        """Return what a plan asks about the disk."""
        return Files(at=self.at, cached=lambda sha256: self.cached(sha256) is not None, placed=self.placed())

    def placed(self) -> Mapping[str, str]:
        """Return where outputs stand (path -> SHA-256), as far as it is recorded."""
        return {path: placed.sha256 for path, placed in self._outputs.all().items()}

    def rename(self, old: str, new: str) -> None:
        """Move an output. What stands at ``new`` is replaced. Raises :class:`DiskError`."""
        source, target = self._target(old), self._target(new)
        placed = self._outputs.get(old)
        sha256 = placed.sha256 if placed is not None else hash_file(source)
        move_whole(source, target)
        beside = self._target(f"{old}.json")
        with disk_errors(source):
            if beside.is_file() and is_sidecar(beside.read_bytes()):
                beside.unlink()
            sync_folder(source.parent)
        self._place(new, sha256, placed.submission if placed is not None else None)
        self._outputs.drop(old)

    def annotate(self, output: str, sidecar: bytes) -> None:
        """Write a sidecar beside an output, unless a file that is none stands there. Raises :class:`DiskError`."""
        path = self._target(f"{output}.json")
        with disk_errors(path):
            if path.exists() and not is_sidecar(path.read_bytes()):
                return
        write_whole(path, sidecar)

    def save(self) -> None:
        """Write ``outputs.json`` where it has changed: at the end of a run. Raises :class:`DiskError`."""
        self._outputs.save()

    def check_writable(self, folders: Iterable[Path] = ()) -> None:
        """Prove that ``.renderer/`` and ``folders`` take files. Raises :class:`DiskError` naming all that do not."""
        own = (self._project.state, self._parts, self._links, self._cache)
        check_writable((*own, *folders))

    def clean(self, keep_parts: Collection[str], keep_hashes: Collection[str], *, dry: bool = False) -> list[Cleaned]:
        """Remove partial downloads of submissions that are not in ``keep_parts`` and cached files that no record names.

        ``dry`` only tells what would go. For the one writer alone. Links and answers stay. Raises :class:`DiskError`.
        """
        parts = {_name(submission) for submission in keep_parts}
        hashes = set(keep_hashes)
        cleaned = []
        for path in (*_regular(self._parts, "*"), *_regular(self._cache, "*/*")):
            is_part = path.parent == self._parts
            if path.name.removesuffix(".etag") in parts if is_part else path.name in hashes:
                continue
            with disk_errors(path):
                size = path.stat().st_size
                if not dry:
                    path.unlink()
            cleaned.append(Cleaned(path, size))
        return cleaned

    def _cached(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is not a SHA-256")
        return self._cache / sha256[:2] / sha256

    def _target(self, output: str) -> Path:
        try:
            self._project.check_target(output)
        except PathError as error:
            raise DiskError(f"nothing is written there: {error}", hint="replace the link by a real folder") from None
        return self._project.output(output)

    def _place(self, output: str, sha256: str, submission: str | None) -> None:
        path = self._project.output(output)
        with disk_errors(path):
            status = path.lstat()
        self._outputs.put(output, Placed(sha256, status.st_size, status.st_mtime_ns, submission))


def _name(name: str) -> str:
    """Return ``name`` where it is a plain file name, so that no id can lead out of its folder."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name for a file")
    return name


def _regular(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file() and not path.is_symlink())
