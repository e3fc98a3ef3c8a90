"""Renderer: version-controlled YAML manifests become finished video files.

The folders are the flow: ``manifest`` (what was declared), ``state`` (what is known), ``provider`` (what the
services are), ``plan`` (what should happen), ``run`` (making it happen), ``cli`` (showing it).
"""

__version__ = "0.1.0"
