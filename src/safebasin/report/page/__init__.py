"""One HTML file that shows runs: it works offline from the disk and asks nobody for anything."""

from __future__ import annotations

from safebasin.report.page.content import Measured
from safebasin.report.page.document import OWN_PAGE, PAGE, document, write_page

__all__ = ["OWN_PAGE", "PAGE", "Measured", "document", "write_page"]
