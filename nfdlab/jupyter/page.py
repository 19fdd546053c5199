"""An executed notebook as one HTML file that needs no network and no kernel.

The page of nbconvert is blank offline wherever a widget or a plotly figure was, and shows LaTeX as source. Here panels
become sliders over frames computed ahead, plotly's script is written into the page once (only where there is a figure),
formulas are MathML, and a content security policy forbids the page to fetch anything at all.
"""

import base64
import json
import re
from html import escape
from pathlib import Path

from bs4 import BeautifulSoup
from nbconvert.filters import Highlight2HTML, ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

from .mathml import mathml

SWEEP, PLOTLY = "application/vnd.nfdlab.sweep+json", "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
POLICY = ("default-src 'none'; img-src data: blob:; font-src data:; style-src 'unsafe-inline'; "
          "script-src 'unsafe-inline' 'unsafe-eval'; worker-src blob:")       # plotly compiles its 3D code
REMOTE = re.compile(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//|@import""", re.I)
ELSEWHERE = re.compile(r"\s*(https?:)?//", re.I)
LESSON = re.compile(r"""(<a\b[^>]*?\bhref=["'][^"':/]+)\.ipynb(["'])""", re.I)     # beside it: there a report, too
KINDS = {"svg": "image/svg+xml", "webp": "image/webp", "png": "image/png", "jpeg": "image/jpeg"}


class Prose(IPythonRenderer):
    """Markdown to HTML with formulas as MathML and pictures inside; a formula not understood shows its source."""

    def block_html(self, html: str) -> str:
        return self._inside(html)                  # nbconvert's own parses each piece, and so closes every <details>

    def inline_html(self, html: str) -> str:
        return self._inside(html)

    def _inside(self, html: str) -> str:
        source = re.compile(r"""(<img\b[^>]*?\bsrc=)(["'])([^"']+)\2""", re.I)
        return source.sub(lambda m: f'{m[1]}"{self._embed_image_or_attachment(m[3])}"', html)

    def inline_math(self, body: str) -> str:
        return formula(body)

    def block_math(self, body: str) -> str:
        return formula(body, block=True)

    def latex_environment(self, name: str, body: str) -> str:
        return formula(f"\\begin{{{name}}}{body}\\end{{{name}}}", block=True)


def formula(latex: str, block: bool = False) -> str:
    """MathML, or the LaTeX itself in a code font."""
    try:
        return mathml(latex, block)
    except ValueError:
        return f"<code>{escape(latex.strip())}</code>"


def markdown(source: str, folder: Path, attachments: dict | None = None) -> str:
    """Markdown to HTML, with the pictures of `folder` inside."""
    renderer = Prose(escape=False, embed_images=True, path=str(folder), attachments=attachments or {})
    return LESSON.sub(r"\1.html\2", offline(MarkdownWithMath(renderer=renderer).render(source)))


def offline(html: str) -> str:
    """HTML without scripts, styles or pictures from elsewhere; a picture becomes a link to it."""
    if not REMOTE.search(html):
        return html
    soup = BeautifulSoup(html, "html.parser")
    for tag in soup.find_all(["script", "link", "iframe"]):
        if ELSEWHERE.match(tag.get("src") or tag.get("href") or ""):
            tag.decompose()
    for tag in soup.find_all("img"):
        if ELSEWHERE.match(tag.get("src", "")):
            link = soup.new_tag("a", href=tag["src"])
            link.string = tag.get("alt") or "picture on the web"
            tag.replace_with(link)
    for tag in soup.find_all("style"):
        tag.string = re.sub(r"@import[^;]*;", "", tag.string or "")
    return str(soup)


def script_json(value) -> str:
    """JSON that is safe inside a script element: no "</script>" and no "<!--" can occur in it."""
    return '<script type="application/json">' + json.dumps(value).replace("<", "\\u003c") + "</script>"


def picture(kind: str, data: str, alt: str) -> str:
    """An `<img>` that carries its bytes, given in base64."""
    return f'<img src="data:{kind};base64,{data.strip()}" alt="{escape(alt, quote=True)}">'


def slider(sweep: dict, number: int) -> str:
    """A panel's frames, computed ahead, behind a range input: drag it, or focus it and use the arrow keys."""
    frames, values, kind = sweep["frames"], [str(v) for v in sweep["values"]], KINDS[sweep["fmt"]]
    start = min(max(int(sweep.get("start", 0)), 0), len(frames) - 1)
    label = escape(sweep["label"])
    return (f'<figure class="sweep" id="sweep-{number}">{picture(kind, frames[start], sweep["label"])}<figcaption>'
            f'<label for="range-{number}">{label}</label> <input type="range" id="range-{number}" min="0" '
            f'max="{len(frames) - 1}" step="1" value="{start}" aria-valuetext="{escape(values[start], quote=True)}"> '
            f'<output for="range-{number}">{escape(values[start])}</output></figcaption>'
            + script_json({"kind": kind, "values": values, "frames": frames}) + "</figure>")


class Writer:
    """Writes cells as HTML, and numbers sweeps and plots."""

    def __init__(self, folder: Path):
        self.folder, self.sweeps, self.plots = Path(folder), 0, 0
        self.highlight = Highlight2HTML(pygments_lexer="python")

    def bundle(self, data: dict) -> str:
        """One displayed result, in its most interactive form that works without a kernel."""
        plain = "".join(data.get("text/plain", ""))
        alt = "Figure" if plain.startswith("<") else plain        # not <Figure size 640x480 with 1 Axes>
        if SWEEP in data:
            self.sweeps += 1
            return slider(data[SWEEP], self.sweeps)
        if PLOTLY in data:
            self.plots += 1
            figure = {k: data[PLOTLY].get(k, {}) for k in ("data", "layout", "config")}
            return f'<figure class="plotly"><div id="plotly-{self.plots}"></div>{script_json(figure)}</figure>'
        if WIDGET in data and "image/png" not in data:
            note = "A live control: open the notebook to use it."
            return f'<p class="note">{note}</p><pre>{escape(plain)}</pre>'
        if "text/html" in data and WIDGET not in data:
            return f'<div class="wide">{offline("".join(data["text/html"]))}</div>'
        if "image/svg+xml" in data:
            return picture("image/svg+xml", base64.b64encode("".join(data["image/svg+xml"]).encode()).decode(), alt)
        for kind in ("image/png", "image/jpeg", "image/webp"):
            if kind in data:
                return picture(kind, "".join(data[kind]).replace("\n", ""), alt)
        if "text/latex" in data:
            return formula("".join(data["text/latex"]).strip().strip("$"), block=True)
        if "text/markdown" in data:
            return markdown("".join(data["text/markdown"]), self.folder)
        return f"<pre>{ansi2html(plain)}</pre>"

    def output(self, out: dict) -> str:
        if out["output_type"] == "stream":
            lines = [line.rsplit("\r", 1)[-1] for line in "".join(out["text"]).replace("\r\n", "\n").split("\n")]
            return f'<pre class="{out["name"]}">{ansi2html(chr(10).join(lines).rstrip())}</pre>'
        if out["output_type"] == "error":
            return f'<pre class="error">{ansi2html(chr(10).join(out["traceback"]))}</pre>'
        return self.bundle(out["data"])

    def cell(self, cell: dict) -> str:
        """One cell: prose, or code with what it showed."""
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            return f'<section class="prose">{markdown(cell.source, self.folder, cell.get("attachments"))}</section>'
        if cell.cell_type == "raw" or not cell.source.strip():
            return ""
        code = self.highlight(cell.source)
        title = {"injected-parameters": "Set for this run", "hide-input": "Code"}
        named = next((title[t] for t in tags if t in title), None)
        if named:
            code = f"<details{' open' if named != 'Code' else ''}><summary>{named}</summary>{code}</details>"
        shown = "".join(f'<div class="out">{self.output(o)}</div>' for o in cell.outputs)
        return f'<section class="cell"><div class="code">{code}</div>{shown}</section>'


def html(nb, folder: Path, about: str = "") -> str:
    """The page. `folder` is where the lesson's pictures are; `about` goes to the foot, as plain text."""
    writer = Writer(folder)
    body = "\n".join(writer.cell(cell) for cell in nb.cells)
    title = next((m[1] for c in nb.cells if c.cell_type == "markdown" and (m := re.search(r"^# (.+)", c.source, re.M))),
                 "Notebook")
    light, dark = (HtmlFormatter(style=s).get_style_defs(".highlight") for s in ("friendly", "github-dark"))
    parts = {"policy": POLICY, "title": escape(re.sub(r"[*_`$]", "", title)), "light": light, "dark": dark,
             "style": _file("page.css"), "body": body, "about": escape(about), "script": _file("page.js"),
             "plotly": f"<script>{_plotly()}</script>" if writer.plots else ""}
    return re.sub(r"{{(\w+)}}", lambda m: parts[m[1]], _file("page.html"))


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs  # 5 MB, and a second to import: only where there is a figure

    return get_plotlyjs()
