"""Run the commands in a page's console blocks and put what they print beneath them.

    python docs/record.py docs/commands.md

A line that begins with "$ " is run, in order, in one temporary folder; what it prints (stdout and
stderr) replaces what stood beneath it. Blocks marked ```console norun are left alone.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)
LONGEST = 40


def recorded(block: str, folder: str) -> str:
    """The block with fresh output."""
    lines = []
    for line in block.splitlines():
        if not line.startswith("$ "):
            continue
        command = line[2:].partition("   #")[0]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PATH": path, "COLUMNS": "100"},
            check=False,
        )
        shown = [text.rstrip() for text in done.stdout.splitlines()]
        if len(shown) > LONGEST:
            shown = [*shown[:LONGEST], "..."]
        lines += [line, *shown]
        print(f"{done.returncode}  {command}", file=sys.stderr)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Record each page that is named."""
    for name in sys.argv[1:]:
        page = Path(name)
        with tempfile.TemporaryDirectory() as folder:
            text = BLOCK.sub(lambda found: recorded(found[0], folder), page.read_text())
        page.write_text(text)


if __name__ == "__main__":
    main()
