"""Settings of the site: Sphinx, the pydata theme, MyST.  How it is built and where what is: README.md beside this."""

import os
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE / "_ext"), str(ROOT)]

project = "neurodyn"
author = "The neurodyn developers"
copyright = author
release = version = re.search(r'^__version__ = "(.+)"', (ROOT / "neurodyn/__init__.py").read_text(), re.MULTILINE)[1]

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
    "repository",  # texts of the repository as pages: links, names in code, notebooks
    "mathml",  # equations without a network
]
exclude_patterns = ["README.md", "_build", "_ext"]
templates_path = ["_templates"]
default_role = "py:obj"
nitpicky = False  # annotations name types of other packages, whose indices a build without a network cannot read

# API: every page is made of docstrings.
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # types of fields stand in the signature
napoleon_use_rtype = False
napoleon_custom_sections = [("Reference", "references")]

# Markdown and notebooks.
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 4
nb_execution_mode = "force" if os.environ.get("EXECUTE") == "1" else "off"
nb_execution_timeout = 1800
nb_execution_raise_on_error = True
nb_merge_streams = True

# Looks. Nothing is fetched from elsewhere: the site reads the same without a network.
html_theme = "pydata_sphinx_theme"
html_title = "neurodyn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"
html_sidebars = {"index": [], "start": []}
html_theme_options = {
    "logo": {"text": "neurodyn"},
    "navigation_with_keys": False,
    "header_links_before_dropdown": 8,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "github-dark",
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
