"""Sphinx's settings. The site is read without a network: nothing is loaded from elsewhere, formulas are MathML."""

import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # mathml

warnings.filterwarnings("ignore", category=FutureWarning)

project, author, copyright = "plic", "The plic authors", "the plic authors; text and figures CC BY 4.0, code BSD 3-Clause"
extensions = ["myst_nb", "mathml", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
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
