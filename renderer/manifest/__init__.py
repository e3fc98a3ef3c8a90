"""YAML -> jobs: what was declared."""
