"""``python -m renderer``: the same as the program ``renderer``."""

from renderer.cli.main import main

main()
