"""A real browser for pages, where there is one."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no headless Chromium is installed")


def dom_and_complaints(path: Path) -> tuple[str, str]:
    """The page after its scripts have run, and what the browser complained about."""
    # A browser of the superuser, as in a container, has no sandbox of its own.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--disable-gpu",
            f"--user-data-dir={path.parent / 'profile'}",
            "--enable-logging=stderr",
            *sandbox,
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def with_script(page: str, script: str) -> str:
    """The page with a script of a test's; only then may it run: the policy is taken out."""
    return page.replace("Content-Security-Policy", "none").replace(
        "</body>", f"<script>{script}</script></body>"
    )


# Lists what a reader who hears the page, or uses the keyboard alone, would miss; after WCAG 2.
_FAULTS = """
{
  const all = (selector) => [...document.querySelectorAll(selector)];
  const named = (e) => e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length ||
    document.getElementById(e.getAttribute("aria-labelledby"))?.textContent.trim();
  const nameOf = (e) => e.getAttribute("aria-label") ||
    document.getElementById(e.getAttribute("aria-labelledby"))?.textContent;
  const faults = [];
  if (!document.documentElement.lang || !document.title) faults.push("no language or title");
  for (const e of all("button, input, select, a, summary, svg[role=img], [role=region]")) {
    if (!named(e)) faults.push(`no name: ${e.outerHTML.slice(0, 80)}`);
  }
  const twice = (list) => list.filter((one, place) => list.indexOf(one) !== place);
  for (const id of twice(all("[id]").map((e) => e.id))) faults.push(`twice: #${id}`);
  for (const name of twice(all("section, nav, [role=region]").map(nameOf))) {
    faults.push(`two landmarks are called ${name}`);
  }
  const levels = all("h1, h2, h3, h4").map((e) => Number(e.tagName[1]));
  levels.forEach((level, k) => {
    if (level > (levels[k - 1] ?? 0) + 1) faults.push(`heading ${k} skips a level`);
  });
  for (const e of all("table")) {
    if (!e.caption && !e.closest("[aria-label]")) faults.push("a table without a caption");
    if (e.tHead && !e.querySelector("th[scope]")) faults.push("heads without a direction");
  }
  for (const e of all(".scroll")) if (e.tabIndex < 0) faults.push("the keyboard cannot scroll");
  document.body.dataset.faults = JSON.stringify(faults);
}
"""


def accessibility_faults(page: str, folder: Path) -> list[str]:
    """What of a page, after its scripts have run, cannot be heard or reached by the keyboard."""
    file = folder / "audited.html"
    file.write_text(with_script(page, _FAULTS))
    dom, complaints = dom_and_complaints(file)
    assert complaints == ""
    return json.loads(html.unescape(re.search(r'data-faults="(.*?)"', dom)[1]))
