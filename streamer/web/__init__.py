"""Room: the browser page, its modules, and the word table that Python reads too.

Only ``manifest`` may be imported: the files are read once, no path is made from a request.
"""

from __future__ import annotations

from importlib.resources import files

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".svg": "image/svg+xml",
}


def manifest() -> dict[str, tuple[str, bytes]]:
    """Content type and body by URL path; the page itself is at ``/``."""
    pages: dict[str, tuple[str, bytes]] = {}
    for file in files(__name__).iterdir():
        suffix = file.name[file.name.rfind(".") :]
        if suffix in CONTENT_TYPES and file.is_file():
            path = "/" if file.name == "index.html" else f"/{file.name}"
            pages[path] = (CONTENT_TYPES[suffix], file.read_bytes())
    return pages
