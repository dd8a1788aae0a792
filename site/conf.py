"""Sphinx's settings. The site is read without a network: nothing is loaded from elsewhere, formulas are MathML."""

import warnings

import latex2mathml.converter

warnings.filterwarnings("ignore", category=FutureWarning)

project, author, copyright = "plic", "The plic authors", "the plic authors; text and figures CC BY 4.0, code BSD 3-Clause"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme, html_title, html_static_path, html_css_files = "furo", "plic", ["static"], ["site.css"]
html_show_sphinx = False
pygments_style, pygments_dark_style = "friendly", "monokai"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_merge_streams = True
suppress_warnings = ["mystnb.unknown_mime_type", "ref.python"]  # two classes may have an attribute of one name

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring, napoleon_numpy_docstring, napoleon_use_ivar = True, False, True


def visit_inline(translator, node):
    """A formula in a line."""
    _write(translator, node, "inline")


def visit_block(translator, node):
    """A formula by itself."""
    translator.body.append('<div class="math">')
    _write(translator, node, "block")
    translator.body.append("</div>")


def _write(translator, node, display: str) -> None:
    from docutils.nodes import SkipNode

    translator.body.append(latex2mathml.converter.convert(node.astext(), display=display))
    if display == "inline":
        raise SkipNode


def setup(app) -> None:
    """Formulas become MathML, which browsers draw and readers read without any script."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
