"""Which text of the repository is which page, and where its links lead; needs no Sphinx, so that a test can ask."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
NOTEBOOKS = ROOT / "notebooks"
GALLERY = DOCS / "gallery"
SECTIONS = {"README.md": "index.md", "neurodyn/README.md": "develop/map.md"}
"""Files that are shown in parts on several pages: where a link to the whole file leads."""
INCLUDE = re.compile(r"^```\{include\} (\S+)\n((?::.*\n)*)```", re.MULTILINE)
FENCE = re.compile(r"^(```+|~~~+).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
CODE_OR_LINK = re.compile(r"(?P<code>`+[^`\n]+`+)|(?P<mark>!?)\[(?P<text>[^\]\n]*)\]\((?P<target>[^)\s]+)\)")


def pages() -> list[Path]:
    """Every page that is written by hand, sorted; notebooks and the pages of single names are made by the build."""
    left_out = ("_build", "_ext", "_static", "_templates", "generated")
    found = (path for path in DOCS.rglob("*.md") if not set(left_out) & set(path.relative_to(DOCS).parts))
    return sorted(path for path in found if path != DOCS / "README.md")


def includes(page: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """What a page takes from other files: each with the options of the directive."""
    for target, options in INCLUDE.findall(page.read_text()):
        lines = (line.split(":", 2)[1:] for line in options.splitlines())
        yield (page.parent / target).resolve(), {key: value.strip().strip('"') for key, value in lines}


def page_of() -> dict[str, str]:
    """Path of each text in the repository -> path of its page below ``docs``, both with ``/``."""
    found = dict(SECTIONS)
    for page in pages():
        for source, options in includes(page):
            if "end-before" not in options and source.is_relative_to(ROOT):
                found.setdefault(source.relative_to(ROOT).as_posix(), page.relative_to(DOCS).as_posix())
    for notebook in sorted(NOTEBOOKS.glob("*.py")):
        found[notebook.relative_to(ROOT).as_posix()] = f"gallery/{notebook.stem}.ipynb"
    return found


def relinked(text: str, source: Path, page: Path, found: dict[str, str]) -> str:
    """A text as it reads on a page: its relative links lead to pages, to files, or are no links any more.

    Parameters
    ----------
    text
        Markdown, with links relative to the folder of ``source``.
    source, page
        The file that it is from, and the page that shows it.
    found
        What `page_of` returns.
    """

    def link(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        target, _, anchor = match["target"].partition("#")
        if "://" in target or target.startswith("mailto:") or not target:
            return match[0]
        there = (source.parent / target).resolve()
        name = there.relative_to(ROOT).as_posix() if there.is_relative_to(ROOT) else ""
        if name in found:
            to = os.path.relpath(DOCS / found[name], page.parent)
            return f"[{match['text']}]({to}{'#' + anchor if anchor else ''})"
        if there.is_file():
            if match.string[match.string.rfind("\n", 0, match.start()) + 1] == "#":
                return f"`{match['text']}`"  # a heading is in tables of contents, where there are no downloads
            to = os.path.relpath(there, page.parent)
            return f"![{match['text']}]({to})" if match["mark"] else f"{{download}}`{match['text']} <{to}>`"
        return match["text"] if there.is_dir() else match[0]

    return outside_of_code(text, lambda part: CODE_OR_LINK.sub(link, part))


def targets(text: str) -> list[str]:
    """Where the links of a Markdown text lead, as they are written."""
    found: list[str] = []

    def note(part: str) -> str:
        found.extend(match["target"] for match in CODE_OR_LINK.finditer(part) if match["target"])
        return part

    outside_of_code(text, note)
    return found


def outside_of_code(text: str, change) -> str:
    """A Markdown text changed everywhere but in fenced blocks of code."""
    parts, end = [], 0
    for block in FENCE.finditer(text):
        parts += [change(text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, change(text[end:])])
