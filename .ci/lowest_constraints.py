"""Print the lowest version that pyproject.toml allows of each dependency, as a constraints file for pip."""

import re
import tomllib
from pathlib import Path


def lowest(project: dict) -> list[str]:
    """``name==version`` of every dependency, extras included, in order of name."""
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    found = {}
    for requirement in (text for group in groups for text in group):
        name, bound = re.match(r"([A-Za-z0-9_.-]+)", requirement), re.search(r">=\s*([0-9][^,;\s]*)", requirement)
        if name is not None and bound is not None:
            found[name[1]] = bound[1]
    return [f"{name}=={version}" for name, version in sorted(found.items(), key=lambda pair: pair[0].lower())]


if __name__ == "__main__":
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    print("\n".join(lowest(tomllib.loads(pyproject.read_text())["project"])))
