"""Every page has its parts, is short, and is found from the map."""

import re

import pytest
from adding.plug_in import PAGES, ROOT, blocks, file_of


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_its_parts(page):
    text = (ROOT / PAGES[page]).read_text()
    headings = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert [heading.partition(" (")[0].partition(",")[0] for heading in headings] == [
        "What it must have", "The file", "The line", "What then works by itself",
    ]  # fmt: skip
    assert len(blocks(page)[-1][1].splitlines()) == 1
    assert not (ROOT / file_of(page)).exists()
    assert f"`tests/adding/test_{page}.py`" in text
    for link in re.findall(r"\]\(([\w./]+)\)", text):
        if "bin_width" not in link:
            assert ((ROOT / PAGES[page]).parent / link).exists(), link


def test_the_map_lists_every_page():
    links = re.findall(r"\]\(([\w./]*ADDING_\w+\.md)\)", (ROOT / "neurodyn/README.md").read_text())
    assert sorted((ROOT / "neurodyn" / link).resolve() for link in links) == sorted(
        (ROOT / page).resolve() for page in PAGES.values()
    )


def test_every_page_has_a_test():
    assert {path.stem.removeprefix("test_") for path in (ROOT / "tests/adding").glob("test_*.py")} == {
        *PAGES, "pages", "followed",
    }  # fmt: skip
