"""Local files that a provider must have. A file is sent once within its lifetime there: having it is a fact.

Uploads are free, so they are tried again; how often is bounded. The address to put a file at is asked for each time,
used byte for byte, and kept nowhere.
"""

import asyncio
import hashlib
from datetime import datetime
from pathlib import Path

from renderer.provider import answer, request
from renderer.provider.outcome import ErrorClass, Fault, Refused, Ticket, Unclear
from renderer.provider.pack import UploadCall
from renderer.run.bench import Bench, Errand, NotReady, Trouble
from renderer.run.transport import Forbidden, Lost, Unsent

_TRIES = 4
_MARGIN = 60.0
_PUT_SECONDS = 1800.0
_TOO_MANY = 429
_SERVER = 500


async def upload(bench: Bench, errand: Errand, path: Path, *, sha256: str, extension: str) -> str:
    """Return the provider's id for a file, sending it only where the provider does not have it.

    Raises :class:`NotReady`.
    """
    call = errand.pack.upload
    if call is None or errand.origin is None:
        raise NotReady(Trouble("upload", f"{errand.provider} takes no uploads"))
    key = (errand.provider, errand.origin, sha256)
    async with bench.uploading.setdefault(key, asyncio.Lock()):
        known = bench.history.upload(*key)
        if known is not None and _fresh(bench, call, str(known["at"])):
            return str(known["file_id"])
        file_id = await _send(bench, errand, path, sha256=sha256, extension=extension)
        fact = {"provider": key[0], "origin": key[1], "sha256": sha256, "file_id": file_id, "at": bench.now()}
        await bench.world.journal.write(errand.release, {"upload": fact})
        return file_id


def _fresh(bench: Bench, call: UploadCall, at: str) -> bool:
    """Return whether a file is still at the provider; a clock that went back says nothing, so it counts as gone."""
    age = (bench.world.clock.now() - datetime.fromisoformat(at)).total_seconds()
    return 0 <= age < call.lifetime - min(_MARGIN, call.lifetime / 10)


async def _send(bench: Bench, errand: Errand, path: Path, *, sha256: str, extension: str) -> str:
    why = ""
    for attempt in range(1, _TRIES + 1):
        if attempt > 1:
            await bench.world.clock.sleep(2.0**attempt)
        bench.emit("uploading", errand, path.name, attempt=attempt)
        try:
            if await asyncio.to_thread(_hash, path) != sha256:
                raise NotReady(Trouble("upload", f"{path.name} changed since it was planned", "apply again"))
            done = await _try(bench, errand, path, extension)
        except (Unsent, Lost) as error:
            why = error.message
            continue
        except (Forbidden, OSError) as error:
            raise NotReady(Trouble("upload", f"{path.name} could not be uploaded: {error}")) from None
        match done:
            case str():
                return done
            case Unclear():
                why = done.why
            case Refused(fault=Fault(kind=ErrorClass.BUSY) as fault):
                why = fault.message
            case Refused(fault=fault):
                if fault.kind in (ErrorClass.AUTH, ErrorClass.CREDITS):
                    bench.stop_provider(errand, fault)
                said = f"{path.name} could not be uploaded: {fault.message}"
                raise NotReady(Trouble(fault.code or fault.kind, said, fault.remedy))
        bench.emit("trouble", errand, why, attempt=attempt)
    raise NotReady(Trouble("upload", f"{path.name} could not be uploaded: {why}", "apply again"))


async def _try(bench: Bench, errand: Errand, path: Path, extension: str) -> str | Refused | Unclear:
    """Ask for an address and put the file there; return its id."""
    ask = request.upload_request(errand.pack, extension)
    timeout = bench.gates[errand.provider].lane.pacing.call
    reply = await bench.world.api.call(errand.provider, ask, timeout=timeout)
    ticket = answer.read_ticket(errand.pack, reply, now=bench.world.clock.now().timestamp())
    if not isinstance(ticket, Ticket):
        return ticket
    put = await bench.world.api.put(
        errand.provider, ticket.url, path=path, content_type=ticket.content_type, timeout=_PUT_SECONDS
    )
    if put.status in range(200, 300):
        return ticket.file_id
    why = f"the upload address answered with HTTP {put.status}"
    if put.status == _TOO_MANY or put.status >= _SERVER:
        return Unclear(why)
    return Refused(Fault(kind=ErrorClass.INPUT, code=str(put.status), message=why))


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
