"""Open a page in Chromium without a window, and take measurements in it."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

# Runs in the page: notes what could not be loaded, and how wide things are once all is there.
_PROBE = """
<script>
const failed = [];
addEventListener('error', e => failed.push(e.target.src || e.target.href || e.message), true);
addEventListener('securitypolicyviolation', e => failed.push('blocked ' + e.blockedURI));
addEventListener('load', () => {
  document.querySelectorAll('details').forEach(each => each.open = true);
  const fetched = performance.getEntriesByType('resource').map(each => each.name);
  const limit = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll('body *')].filter(each =>
    each.getBoundingClientRect().right > limit + 0.5 && !each.closest('.scroll') &&
    !each.closest('svg'));
  parent.postMessage({
    dom: document.documentElement.outerHTML,
    failed, fetched: fetched.filter(name => !name.startsWith('data:')),
    window: innerWidth, scroll: document.documentElement.scrollWidth, client: limit,
    wide: wide.map(each => each.tagName + '.' + each.className),
    broken: [...document.images].filter(each => !each.naturalWidth).length,
    images: document.images.length,
    drawings: [...document.querySelectorAll('svg.plot')].map(each =>
      each.getBoundingClientRect().height),
    background: getComputedStyle(document.body).backgroundColor,
  }, '*');
});
</script>
"""

# Holds the page in a frame, because a window cannot be as narrow as a telephone, and keeps what
# the probe says where --dump-dom finds it.
_HOLDER = """<!doctype html>
<script>
addEventListener('message', said => {
  const note = document.createElement('script');
  note.type = 'application/json';
  note.id = 'measured';
  note.textContent = JSON.stringify(said.data).replaceAll('<', '\\\\u003c');
  document.body.append(note);
});
</script>
<body style="margin: 0"><iframe src="%s" style="border: 0; width: %dpx; height: 900px"></iframe>
"""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A page after it was loaded.

    Attributes:
        dom: its HTML then.
        measured: what the probe noted.
    """

    dom: str
    measured: dict[str, Any]


def open_page(page: str, folder: Path, *, width: int, dark: bool = False) -> Opened:
    """Open a page in a window of some width; skips the test where there is no Chromium."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no Chromium to open the report in (looked for {', '.join(NAMES)})")
    allowed = page.replace(
        "default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';"
    )
    assert allowed != page, "the page does not forbid outside requests"
    file = folder / "page.html"
    holder = folder / "holder.html"
    holder.write_text(_HOLDER % (file.as_uri(), width), encoding="utf-8")
    file.write_text(allowed.replace("<head>", "<head>" + _PROBE, 1), encoding="utf-8")
    command = [
        program,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={max(width, 800)},900",
        *(["--blink-settings=preferredColorScheme=0"] if dark else []),
        "--virtual-time-budget=5000",
        "--dump-dom",
        holder.as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r'<script type="application/json" id="measured">(.*?)</script>', dom, re.S)
    assert found, f"the page did not finish loading: {dom[-300:]}"
    measured = json.loads(found[1])
    return Opened(dom=measured.pop("dom"), measured=measured)
