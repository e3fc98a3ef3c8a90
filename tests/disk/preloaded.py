"""What the server of forks imports once: all that ``renderer apply`` needs. Importing it is its whole purpose.

The codecs are those that Python would look for at their first use, which a process that became nobody may not find.
"""

import encodings.idna
import encodings.unicode_escape
import encodings.utf_16_be

import renderer.cli.apply
import renderer.cli.main
import renderer.cli.status
import renderer.run.transport
import tests.disk.processes  # noqa: F401 (the target of each fork)
