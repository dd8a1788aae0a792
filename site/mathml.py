"""Formulas as MathML, for Sphinx: browsers draw it and readers read it, without any script."""

import latex2mathml.converter
from docutils.nodes import SkipNode


def visit_inline(translator, node):
    """A formula in a line."""
    translator.body.append(latex2mathml.converter.convert(node.astext()))
    raise SkipNode


def visit_block(translator, node):
    """A formula by itself."""
    translator.body.append(f'<div class="math">{latex2mathml.converter.convert(node.astext(), display="block")}</div>')
    raise SkipNode


def setup(app) -> None:
    """The renderer of both the site and the slides."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
