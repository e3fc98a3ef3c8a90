"""How records name submissions and moments: ids that sort by time, RFC 3339 in UTC. Time and chance are arguments."""

import random
from datetime import UTC, datetime


def timestamp(now: datetime) -> str:
    """Return a moment as records write it: RFC 3339 in UTC, with milliseconds."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def new_id(now: datetime, chance: random.Random) -> str:
    """Return a new submission's id: 12 hex digits of milliseconds since the epoch, then 16 of chance."""
    return f"{int(now.timestamp() * 1000):012x}{chance.getrandbits(64):016x}"
