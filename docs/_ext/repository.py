"""Texts of the repository as pages of the site: links to pages, names in code as links to the API, notebooks."""

import ast
import dataclasses
import importlib
import re
from pathlib import Path
from typing import Any

import jupytext
import sources
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

INIT_ONLY = re.compile(r"(?:dataclasses\.)?InitVar\[([^\[\]]*)\]")
"""Annotation of an argument that is no field."""
COMMON = {"fit", "find", "match", "hold", "stream", "score", "sample", "predict", "update", "between", "train", "after"}
"""Public names that are words, too: they are links only with their room before them."""


def relink(app: Sphinx, relative_path: Path, parent: str, content: list[str]) -> None:
    """Make the links of an included file those of the page that includes it."""
    page = Path(app.env.doc2path(app.env.docname))
    source = (Path(app.srcdir) / relative_path).resolve()
    content[0] = sources.relinked(content[0], source, page, sources.page_of())


def write_notebooks(app: Sphinx) -> None:
    """Notebooks are kept as scripts: write what myst-nb reads, where it has changed."""
    for script in sorted(sources.NOTEBOOKS.glob("*.py")):
        text = jupytext.writes(jupytext.read(script), fmt="ipynb")
        path = sources.GALLERY / f"{script.stem}.ipynb"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def names(app: Sphinx) -> dict[str, tuple[str, str, str]]:
    """What may stand in code for a public name -> page, anchor and full name; what stands for two is left out."""
    found: dict[str, tuple[str, str, str] | None] = {}
    for full, entry in app.env.get_domain("py").objects.items():
        if entry.objtype == "module" or not full.startswith("neurodyn."):
            continue
        parts = full.split(".")
        place = (entry.docname, entry.node_id, full)
        for start in range(len(parts)):
            short = ".".join(parts[start:])
            alone = start == len(parts) - 1
            if alone and (entry.objtype in ("method", "attribute", "property") or short in COMMON):
                continue
            known = found.get(short)
            # A name that several rooms hand out is one thing: the page of the first is as good as that of the others.
            found[short] = place if short not in found else known if _same(known, full) else None
    return {short: place for short, place in found.items() if place}


def _same(known: tuple[str, str, str] | None, full: str) -> bool:
    return known is not None and _object(known[2]) is _object(full)


def _object(full: str) -> Any:
    parts = full.split(".")
    for size in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:size]))
        except ImportError:
            continue
        for part in parts[size:]:
            found = getattr(found, part, None)
        return found
    return None


def lookup(app: Sphinx, text: str) -> tuple[str, str, str] | None:
    """Where a name leads, as people and annotations write it: ``nd.to_bins``, ``binning.build.to_bins``."""
    known = app.env.__dict__.setdefault("_neurodyn_names", None) or names(app)
    app.env.__dict__["_neurodyn_names"] = known
    text = text.strip().split("(")[0].lstrip("~.")
    text = text.removeprefix("nd.").removeprefix("neurodyn.")
    parts = text.split(".")
    # A class is documented in its room, an annotation names the module that defines it.
    tries = [text, f"{parts[0]}.{parts[-1]}", parts[-1]] if len(parts) > 2 else [text]
    return next((known[name] for name in tries if name in known), None)


def forget_names(app: Sphinx, *_: Any) -> None:
    """Names are gathered once all pages are read, and not kept with the environment."""
    app.env.__dict__.pop("_neurodyn_names", None)


def missing_reference(app: Sphinx, env: Any, node: nodes.Element, content: nodes.Element) -> nodes.Element | None:
    """References of docstrings and annotations to public names."""
    if node.get("refdomain") != "py":
        return None
    place = lookup(app, node["reftarget"])
    return make_refnode(app.builder, node["refdoc"], place[0], place[1], content, place[2]) if place else None


class LinkNames(SphinxPostTransform):
    """Code in a text that is a public name leads to its page."""

    default_priority = 5

    def run(self, **kwargs: Any) -> None:
        """Wrap each such literal in a reference, unless it is in one, or in a title."""
        for node in list(self.document.findall(nodes.literal)):
            if _inside(node, (nodes.reference, nodes.title, nodes.term)) or "xref" in node.get("classes", []):
                continue
            place = lookup(self.app, node.astext())
            if place and place[0] != self.env.docname:
                node.replace_self(
                    make_refnode(self.app.builder, self.env.docname, place[0], place[1], node.deepcopy(), place[2])
                )


def _inside(node: nodes.Node, kinds: tuple[type, ...]) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, (*kinds, nodes.Element)) and (isinstance(node, kinds) or node.tagname == "pending_xref"):
            return True
    return False


def constant_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """A constant is documented by the text under it, in the module that the room imports it from."""
    if what == "data":
        lines[:] = _text_below(name).splitlines()


def plain_returns(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """A section ``Returns`` that is a text, and not a list of types, is read as one."""
    for start, line in enumerate(lines[:-2]):
        if line in ("Returns", "Yields") and lines[start + 1].startswith("---"):
            stop = next((row for row in range(start + 2, len(lines)) if not lines[row]), len(lines))
            text = lines[start + 2 : stop]
            if not any(one.startswith(" ") for one in text):
                lines[start + 2 : stop] = [":", *(f"    {one}" for one in text)]  # neither name nor type: a text
            return


def readable_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None] | None:
    """Defaults as one would write them: what is no Python, as ``<factory>``, would tear the whole signature apart."""
    if not signature:
        return None
    if dataclasses.is_dataclass(obj):
        for field in dataclasses.fields(obj):
            if field.default_factory is not dataclasses.MISSING:
                made = getattr(field.default_factory, "__name__", "<")
                signature = signature.replace("<factory>", "..." if "<" in made else f"{made}()", 1)
    return re.sub(r"<[^<>]*>", "...", INIT_ONLY.sub(r"\1", signature)), returns


def _text_below(full: str) -> str:
    room, _, name = full.rpartition(".")
    tree = _tree(room)
    for node in tree.body:
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and any((one.asname or one.name) == name for one in node.names)
        ):
            return _text_below(f"{node.module}.{name}")
    for node, following in zip(tree.body, tree.body[1:], strict=False):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        held = [one for target in targets for one in (target.elts if isinstance(target, ast.Tuple) else [target])]
        if any(getattr(one, "id", "") == name for one in held) and isinstance(following, ast.Expr):
            return str(getattr(following.value, "value", ""))
    return ""


def _tree(module: str) -> ast.Module:
    return ast.parse(Path(importlib.import_module(module).__file__ or "").read_text())


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect all this to the build."""
    app.connect("builder-inited", write_notebooks)
    app.connect("include-read", relink)
    app.connect("autodoc-process-signature", readable_signature)
    app.connect("autodoc-process-docstring", constant_docstring, priority=300)
    app.connect("autodoc-process-docstring", plain_returns, priority=400)  # before napoleon
    app.connect("env-updated", forget_names)
    app.connect("missing-reference", missing_reference)
    app.add_post_transform(LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
