"""A saved job's file stands where it belongs: kept, moved, downloaded again or restored, with its sidecar beside it."""

import asyncio

from renderer.plan.plan import Act, Action, Found, Look
from renderer.plan.standing import Standing
from renderer.run import asking, collecting
from renderer.run.bench import Bench, Errand, Trouble
from renderer.run.sidecar import sidecar


async def settle(bench: Bench, errand: Errand, action: Action, known: Standing) -> None:
    """Let a saved job's file stand where it belongs."""
    files, output = bench.world.files, errand.wanted.output if errand.wanted is not None else None
    sha256 = known.submission.sha256 if known.submission is not None else None
    if known.submission is None or sha256 is None or output is None:
        return
    if errand.operation.keyed and files.link(known.submission.id) is not None:
        # A run died between the record and this.
        files.drop_link(known.submission.id)
    match action.act:
        case Act.KEEP:
            bench.emit("kept", errand, action.reason)
        case Act.RENAME if action.source is not None:
            await asyncio.to_thread(files.rename, action.source, output)
            bench.emit("renamed", errand, f"{action.source} -> {output}")
        case Act.DOWNLOAD if files.cached(sha256) is None:
            await asking.fresh_link(bench, errand, known.submission.id)
            if known.submission.id in bench.rendered:
                await collecting.download(bench, errand, known.submission.id)
            else:
                bench.emit("kept", errand, "not on this machine, and the provider does not give it again")
        case _ if files.cached(sha256) is None:
            bench.troubles[errand.key] = Trouble("download", "its file is not on this machine", "apply again")
        case _:
            # Just downloaded, a twin's, or another version's time has come again.
            if await collecting.publish(bench, errand, sha256, output) and action.act is Act.RESTORE:
                bench.emit("restored", errand, output)
    if action.act is not Act.KEEP and files.at(output) == Found(Look.OURS, sha256):
        await asyncio.to_thread(files.annotate, output, sidecar(known.submission))
