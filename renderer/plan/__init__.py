"""Jobs and history -> actions with reasons."""
