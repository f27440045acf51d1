"""Notebooks of the pages of tutorials: their code cells as a Python script that runs in a folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

from helpers.pages import blocks

CELL = "{code-cell} python"
TIMEOUT = 240
"""Seconds that a tutorial may take on a busy machine."""


def script_of(page: Path) -> str:
    """Return the code cells of a page as a script; a line that begins with ``!`` is a command of the shell."""
    cells = []
    for block in blocks(page, CELL):
        lines = [_shell_call(line) for line in block.text.replace("\\\n", " ").splitlines()]
        cells.append(f"# line {block.line}\n" + "\n".join(lines))
    assert cells, f"{page} has no code cells"
    return "import subprocess\n\n" + "\n\n".join(cells) + "\n"


def _shell_call(line: str) -> str:
    return re.sub(
        r"^(\s*)!(.*)$", lambda match: f"{match[1]}subprocess.run({match[2]!r}, shell=True, check=True)", line
    )


def run_page(page: Path, folder: Path) -> str:
    """Run the code cells of a page in a folder, and return what they print."""
    script = folder / f"{page.stem}.py"
    script.write_text(script_of(page), encoding="utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "SPLITNEST_HOME": str(folder / "home")}
    done = subprocess.run(
        [sys.executable, script.name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
