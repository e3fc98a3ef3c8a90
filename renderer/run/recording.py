"""What an answer says becomes a record, then an event: durable first, told second.

One function for each outcome that ends something. None of them decides what happens next.
"""

from dataclasses import replace
from urllib.parse import urlsplit

from renderer.errors import DiskError
from renderer.provider.outcome import ErrorClass, Fault, Rendered
from renderer.run.bench import Bench, Errand
from renderer.run.events import Kind


def bare(link: str) -> str:
    """Return a link without its query and fragment: all that may be recorded of it."""
    return urlsplit(link)._replace(query="", fragment="").geturl()


async def accepted(bench: Bench, errand: Errand, submission: str, task: str, *, found: bool = False) -> None:
    """Record the provider's id; ``found``: in the provider's own list, after a doubt."""
    fact: dict[str, object] = {"task": task, "at": bench.now()}
    if found:
        fact["found"] = True
    await bench.write(errand, submission, accepted=fact)
    bench.emit("accepted", errand, f"found in the provider's list: task {task}" if found else f"task {task}")


async def rendered(bench: Bench, errand: Errand, submission: str, done: Rendered) -> None:
    """Record that a submission is finished: a value is saved at once, a link that comes only once is kept first."""
    produced = {name: bare(value) if "://" in value else value for name, value in done.produced.items()}
    fact: dict[str, object] = {"produced": produced, "at": bench.now()}
    bench.rendered[submission] = done
    if errand.operation.keyed and done.link is not None:
        try:
            bench.world.files.keep_link(submission, done.link)
        except DiskError as error:
            # It goes on record all the same: what was delivered is never called for again.
            bench.emit("trouble", errand, f"its link could not be kept: {error.message}", error="disk")
    if errand.operation.makes == "value":
        await bench.write(errand, submission, rendered=fact, saved={"at": bench.now()})
        bench.emit("saved", errand, ", ".join(f"{name} {value}" for name, value in produced.items()))
    else:
        await bench.write(errand, submission, rendered=fact)
        bench.emit("rendered", errand)


async def refused(bench: Bench, errand: Errand, submission: str, fault: Fault) -> None:
    """Record that nothing was bought, and why."""
    bench.trouble(errand, fault)
    await bench.write(errand, submission, refused={"class": fault.kind.value, **_words(bench, fault)})
    # Busy, or not reached: the job may go again in its turn, so it is no verdict yet.
    event: Kind = "trouble" if fault.kind in (ErrorClass.BUSY, ErrorClass.UNSENT) else "refused"
    bench.emit(event, errand, _sentence(fault), error=fault.code or fault.kind)


async def failed(bench: Bench, errand: Errand, submission: str, fault: Fault, *, state: str = "") -> None:
    """Record the provider's verdict; where it gives no reason, its own ``state`` word has to do."""
    if not fault.message:
        fault = replace(fault, message=f"the provider says {state or 'failed'!r} and gives no reason")
    await bench.write(errand, submission, failed=_words(bench, fault))
    bench.emit("failed", errand, _sentence(fault), error=fault.code or fault.kind)


def _words(bench: Bench, fault: Fault) -> dict[str, object]:
    said = {"code": fault.code, "message": fault.message, "remedy": fault.remedy, "request_id": fault.request_id}
    return {**{name: text for name, text in said.items() if text or name in ("code", "message")}, "at": bench.now()}


def _sentence(fault: Fault) -> str:
    return ". ".join(text.rstrip(". ") for text in (fault.message, fault.remedy) if text)
