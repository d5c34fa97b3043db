"""Equations as MathML, which browsers draw by themselves: no script, nothing that has to be fetched."""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

ACCENTS = re.compile(r"(\\(?:hat|tilde|bar|overline))(?:\s+([^{}\s\\])|\{([^{}\s\\])\})")
SIZES = re.compile(r"\\[Bb]igg?(?![A-Za-z])")
LOGGER = logging.getLogger(__name__)


def _mathml(node: nodes.Element, block: bool) -> str:
    # Blank lines separate paragraphs of an equation in Sphinx; sizes of delimiters MathML finds by itself.
    # An index behind an accent belongs to the letter: docutils sets it below the accent unless braces say so.
    text = SIZES.sub("", node.astext().replace("\n\n", "\n").strip())
    text = ACCENTS.sub(r"{\1{\2\3}{}}", text)
    try:
        return tex2mathml(text, as_block=block)
    except MathError as error:
        LOGGER.warning("cannot set %r: %s", text, error, location=node)
        return f"<code>{text}</code>"


def inline(translator, node: nodes.math) -> None:
    """An equation within a line."""
    translator.body.append(_mathml(node, block=False))
    raise nodes.SkipNode


def block(translator, node: nodes.math_block) -> None:
    """An equation of its own."""
    translator.body.append(f'<div class="equation">{_mathml(node, block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer ``mathml``."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
