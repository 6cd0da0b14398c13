"""Reports as Markdown, LaTeX and HTML: templates, and text that means itself in each of them."""

from __future__ import annotations

import base64
import functools
import html
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

KINDS = {"md": ("png", "svg"), "tex": ("pdf", "png"), "html": ("svg", "png")}  # of figures, the best first
MATH = {  # what LaTeX has in formulas alone
    "λ": r"\lambda", "η": r"\eta", "Σ": r"\Sigma", "±": r"\pm", "−": "-", "×": r"\times", "‖": r"\|", "²": "^2",
    "<": "<", ">": ">", "|": "|",
}  # fmt: skip
TEX = str.maketrans(
    {letter: f"\\{letter}" for letter in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", '"': "''", "…": r"\ldots{}"}
    | {sign: f"${command}$" for sign, command in MATH.items()}
)
MARKDOWN = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_{}[]<>#|~$"} | {"&": "&amp;"})
POWER = re.compile(r"(?<![\w.-])(\d(?:\.\d+)?)e\+?(-?)0*(\d{1,2})(?![\w-])")  # a word of its own: no label, no commit
LATIN = 0x17F  # letters up to here are in every font of LaTeX


def markdown(value: Any) -> str:
    return " ".join(str(value).split()).translate(MARKDOWN)


def tex(value: Any) -> str:
    """Return text for LaTeX, with n_s, η_min, 10^l and powers of ten as formulas; a font's missing letter becomes ?."""
    words = " ".join(str(value).split())
    known = "".join(letter if ord(letter) <= LATIN or letter in "…" or letter in MATH else "?" for letter in words)
    found = known.translate(TEX)
    found = re.sub(r"\$\\eta\$\\_(min|max)", r"$\\eta_{\\\1}$", found)
    found = re.sub(r"(?<![\w-])n\\_s(?![\w-])", "$n_s$", found)
    found = POWER.sub(r"$\1 \\cdot 10^{\2\3}$", found).replace(r"$1 \cdot 10", "$10")
    return re.sub(r"10\\textasciicircum\{\}(\w+)", r"$10^{\1}$", found)


def marked(value: Any) -> str:
    return html.escape(str(value)).replace(" %", "\N{NO-BREAK SPACE}%")


ESCAPES: Mapping[str, Callable[[Any], str]] = {"md": markdown, "tex": tex, "html": marked}


def fill(to: str, content: Mapping[str, Any]) -> bytes:
    """Fill the template of a form: all that is put into it is escaped."""
    return environment(to).get_template(f"handin.{to}.j2").render(content).encode(errors="replace")


@functools.cache
def environment(to: str) -> Environment:
    """Return where templates are found; <% and << are marks that no form has for itself."""
    import jinja2

    marks: dict[str, Any] = {
        "block_start_string": "<%", "block_end_string": "%>", "variable_start_string": "<<",
        "variable_end_string": ">>", "comment_start_string": "<#", "comment_end_string": "#>",
    }  # fmt: skip
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("cifarnet.export", "."),
        undefined=jinja2.StrictUndefined,
        finalize=ESCAPES[to],
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        **marks,
    )
    found.globals["uri"] = uri
    return found


def uri(picture: Any) -> str:
    """Return a picture as an address within a page."""
    kind = "svg+xml" if picture.kind == "svg" else picture.kind
    return f"data:image/{kind};base64,{base64.b64encode(picture.content).decode()}"
