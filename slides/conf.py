"""Sphinx's settings for the slides. No network is needed: reveal.js comes with the package sphinx-revealjs, formulas are MathML."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "site"))  # mathml

project, author, copyright = "plic", "The plic authors", "the plic authors; CC BY 4.0"
extensions = ["myst_parser", "sphinx_revealjs", "mathml"]
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "dollarmath"]
html_title, html_copy_source, html_use_index = "A file of a few kilobytes", False, False

revealjs_static_path, revealjs_style_theme, revealjs_css_files = ["static"], "white", ["slides.css"]
revealjs_script_plugins = [{"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"}]
revealjs_script_conf = {
    "width": 1280,
    "height": 720,
    "margin": 0.02,
    "center": False,
    "display": "flex",
    "hash": True,
    "slideNumber": "c/t",
    "defaultTiming": 120,  # seconds of a slide that states none; with it the speaker's view shows whether one is ahead or behind
    "transition": "fade",
    "transitionSpeed": "fast",
}
