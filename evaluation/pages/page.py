"""The shell of every page: one HTML file that needs nothing else, and how text gets into it safely.

Names in a page come from files that somebody else wrote. Text is escaped, embedded data cannot end
its element, and a content security policy lets only our own script run, so that a mistake in the
first two would still not execute anything.
"""

import base64
import dataclasses
import hashlib
import html
import importlib.resources
import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

# Characters that a file of text cannot hold, or that change how what follows is read.
_UNSEEN = ("Cc", "Cs")


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
      anchor: its `id`, a word that no other section has.
      title: what the contents call it, as plain text.
      body: HTML.
    """

    anchor: str
    title: str
    body: str


def page(
    title: str,
    sections: Sequence[Section],
    *,
    lead: str = "",
    embedded: Mapping[str, Any],
    assets: Sequence[str] = (),
) -> str:
    """A page of sections with contents, both themes, sortable tables, and its data.

    Args:
      title: plain text.
      sections: in their order.
      lead: HTML under the title.
      embedded: what a program finds in the element `page-data`, as strict JSON.
      assets: names of more style sheets (`.css`) and scripts (`.js`) of this package.

    Raises:
      ValueError: a number to be embedded is not finite.
    """
    style = "\n".join(_asset(file) for file in ("page.css", *assets) if file.endswith(".css"))
    scripts = [_asset(file) for file in ("page.js", *assets) if file.endswith(".js")]
    allowed = " ".join(map(_hash_source, scripts))
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )
    contents = "".join(
        f'<li><a href="#{section.anchor}">{text(section.title)}</a></li>' for section in sections
    )
    program = "\n".join(f"<script>{script}</script>" for script in scripts)
    parts = "\n".join(
        f'<section id="{section.anchor}" aria-labelledby="{section.anchor}-title">\n'
        f'<h2 id="{section.anchor}-title">{text(section.title)}</h2>\n{section.body}\n</section>'
        for section in sections
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(title)}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<h1>{text(title)}</h1>
{lead}
<nav aria-label="Contents"><ul>{contents}</ul></nav>
<button type="button" id="theme" hidden>Theme</button>
</header>
<main id="main">
{parts}
</main>
<p id="announcement" class="unseen" role="status" aria-live="polite"></p>
<script type="application/json" id="page-data">{embedded_json(embedded)}</script>
{program}
</body>
</html>
"""


def text(words: object) -> str:
    """Plain text as HTML, also inside attributes; characters that no text file holds are marked."""
    return html.escape(seen(str(words)))


def name(words: str) -> str:
    """A name that came with the data: escaped, and unable to turn the direction of what follows."""
    return f"<bdi>{text(words)}</bdi>"


def seen(words: str) -> str:
    """The text with control characters and lone surrogates replaced by the sign for such."""
    return "".join("\ufffd" if unicodedata.category(c) in _UNSEEN else c for c in words)


def embedded_json(content: Mapping[str, Any]) -> str:
    """Strict JSON that cannot end the script element around it, whatever its strings are.

    Raises:
      ValueError: a number is not finite.
    """
    plain = json.dumps(content, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        plain = plain.replace(sign, f"\\u{ord(sign):04x}")
    return plain


def _hash_source(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _asset(file: str) -> str:
    return importlib.resources.files("evaluation.pages").joinpath(file).read_text("utf-8")
