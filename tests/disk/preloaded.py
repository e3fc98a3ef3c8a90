"""What the server of forks imports once: all that ``renderer apply`` needs. Importing it is its whole purpose.

The codecs are those that Python would look for at their first use, which a process that became nobody may not find.
"""

from importlib import import_module

NEEDED = (
    "encodings.idna",
    "encodings.unicode_escape",
    "encodings.utf_16_be",
    "renderer.cli.apply",
    "renderer.cli.status",
    "renderer.run.transport",
    "tests.disk.processes",
)

for name in NEEDED:
    import_module(name)
