"""Thousands of schedules, each a seed; the market's own list of what it sold is the judge.

``SIMULATION_SEEDS=20000`` makes it a campaign, ``SIMULATION_FROM=100000`` begins elsewhere, and ``SIMULATION_SEED=N``
replays the one that failed.
"""

import os
from pathlib import Path

import pytest

from tests.simulation.schedule import run

_CHUNK = 25


def _chunks() -> list[range]:
    if (one := os.environ.get("SIMULATION_SEED")) is not None:
        return [range(int(one), int(one) + 1)]
    first = int(os.environ.get("SIMULATION_FROM", "0"))
    last = first + int(os.environ.get("SIMULATION_SEEDS", "300"))
    return [range(start, min(start + _CHUNK, last)) for start in range(first, last, _CHUNK)]


@pytest.mark.parametrize("seeds", _chunks(), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_nothing_is_bought_twice_and_nothing_bought_is_lost(seeds: range, tmp_path: Path) -> None:
    """Whatever goes wrong, and wherever it crashes: one purchase a request, and each ends saved, failed or held."""
    for seed in seeds:
        try:
            run(seed, tmp_path / str(seed))
        except BaseException as error:
            error.add_note(f"replay it alone: SIMULATION_SEED={seed} python -m pytest {Path(__file__).name}")
            raise
