"""Whether every link inside the built site leads to a file and an anchor:  python check_links.py FOLDER."""

import os
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Anchors of a page, and what it points to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in one element."""
        for key, value in attrs:
            if value and (key == "id" or (tag == "a" and key == "name")):
                self.anchors.add(value)
            elif value and (key == "href" or (key == "src" and tag in ("img", "script"))):
                self.targets.add(value)


def broken(folder: Path) -> list[str]:
    """Each broken link as ``page: target``; links to elsewhere are left alone, but for what a page would load."""
    files = {str(path) for path in folder.rglob("*") if path.is_file()}
    html = sorted(name for name in files if name.endswith(".html") and not name.startswith(f"{folder}/_static"))
    pages = {name: Page(Path(name).read_text()) for name in html}
    found = []
    for name, page in pages.items():
        for target in sorted(page.targets):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or target == "#":
                continue
            there = os.path.normpath(f"{os.path.dirname(name)}/{unquote(parts.path)}") if parts.path else name
            anchor = unquote(parts.fragment)
            missing = there not in files or (anchor and there in pages and anchor not in pages[there].anchors)
            if missing:
                found.append(f"{name.removeprefix(f'{folder}/')}: {target}")
    return found


if __name__ == "__main__":
    site = Path(sys.argv[1]).resolve()
    if faults := broken(site):
        sys.exit("\n".join(["links that lead nowhere:", *faults]))
    print(f"{sum(1 for _ in site.rglob('*.html'))} pages, no link inside the site leads nowhere")
