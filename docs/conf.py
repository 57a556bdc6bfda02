"""Settings of the docs site; `python3 -m workshop docs` builds it."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import run_notebooks  # noqa: E402

from workshop import VERSION  # noqa: E402

SIDEBAR = ["brand", "search", "language", "scroll-start", "navigation", "scroll-end"]

run_notebooks.put_into(DOCS / "notebooks")

project = "Quart WebSocket Workshop"
version = release = VERSION
copyright = f"the authors of the workshop. This is version {VERSION}."
language = "en"
extensions = ["myst_nb", "sphinx_design", "sphinx_copybutton", "sphinx_click"]
extensions += ["workshop_docs", "changes", "lists", "proofs", "drawings", "quiz", "live_page"]
extensions += ["translated"]
exclude_patterns = ["_build", "_templates", "live", "locale", "measured", "snippets"]
html_theme = "furo"
html_title = project
locale_dirs = ["locale"]
templates_path = ["_templates"]
# Those of the theme, and the switch of languages after the search.
html_sidebars = {"**": [f"sidebar/{name}.html" for name in SIDEBAR]}
html_static_path = ["_static"]
html_css_files = ["site.css", "code.css"]
html_favicon = "_static/logo.svg"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}
myst_enable_extensions = ["colon_fence", "deflist", "substitution"]
myst_heading_anchors = 3
nb_execution_mode = "off"
smartquotes_action = "qe"  # quotes and ellipses; two hyphens are those of an option
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, del"
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
nitpicky = True
