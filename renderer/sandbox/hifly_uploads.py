"""Hifly's uploads: an address that is good once it is signed, and what was put there.

The address is an object store's: it must be used byte for byte, with exactly the media type that
was given with it, and refuses in XML.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .desk import Desk
from .files import store_error
from .gate import Endpoint
from .media import measure
from .wire import Answer, Call, Refused

VIDEO = frozenset({"mp4", "mov", "webm"})
AUDIO = frozenset({"mp3", "m4a", "wav"})
PICTURE = frozenset({"jpg", "jpeg", "png", "webp"})
_TYPES: Mapping[str, str] = MappingProxyType({
    "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm", "mp3": "audio/mpeg", "m4a": "audio/mp4",
    "wav": "audio/wav", "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp",
})  # fmt: skip
_LARGEST = 512 * 1024 * 1024
_LIFETIME = 3600.0
_UNSUPPORTED = 2012


@dataclass(frozen=True, slots=True)
class Material:
    """A file that something is made from; ``seconds`` is None if it is no media after all."""

    extension: str
    size: int
    seconds: float | None


class Uploads:
    """The upload tool."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self) -> Sequence[Endpoint]:
        """List what it can do outside the API's own paths."""
        path = "/_/upload/hifly/{file:path}"
        return (Endpoint("PUT", path, "upload", self._put, guarded=False, largest=_LARGEST),)

    def offer(
        self, call: Call, body: Mapping[str, Any], *, ignored: tuple[str, ...], refuse: Callable[[int], Refused]
    ) -> Answer:
        """Answer with an address to upload to; no ``code`` and no ``message``, as the documents show it."""
        extension = body["file_extension"].lower()
        if extension not in _TYPES:
            raise refuse(_UNSUPPORTED)
        file_id = f"file_{uuid.uuid4().hex[:16]}"
        name = f"{file_id}.{extension}"
        self._desk.order(call, task=file_id, body=body, seconds=(1, 1), paid=False, facts={"name": name})
        target = self._desk.files.links.sign(f"/_/upload/hifly/sandbox%2F{name}", lifetime=_LIFETIME)
        data = {
            "upload_url": call.origin + target,
            "content_type": _TYPES[extension],
            "file_id": file_id,
            "request_id": f"req{uuid.uuid4().hex[:16]}",
        }
        return Answer.of(data, task=file_id, ignored=ignored)

    def find(self, file_id: str) -> Material | None:
        """Find what was uploaded, if anything was."""
        task = self._desk.find(file_id)
        if task is None or task.operation != "upload-url" or "size" not in task.notes:
            return None
        extension = task.facts["name"].rpartition(".")[2]
        return Material(extension=extension, size=task.notes["size"], seconds=task.notes["seconds"])

    async def _put(self, call: Call) -> Answer:
        self._desk.files.check_link(call)
        name = call.params["file"].removeprefix("sandbox/")
        task = self._desk.find(name.partition(".")[0])
        if task is None:
            raise Refused(store_error("NoSuchKey", status=404))
        if call.headers.get("content-type") != _TYPES[name.rpartition(".")[2]]:
            raise Refused(store_error("SignatureDoesNotMatch", status=403, message="Content-Type was not signed so."))
        self._desk.files.keep_upload(name, call.body)
        seconds = measure(self._desk.files.upload_path(name))
        self._desk.tasks.note(task, size=len(call.body), seconds=seconds)
        return Answer(task=task.id)
