"""Published protocols of a scan, as settings that belong together."""

from __future__ import annotations
