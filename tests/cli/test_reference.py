"""``docs/cli.md`` is what ``docs/cli.py`` writes, and has every command and option."""

import subprocess
import sys

from helpers.paths import ROOT


def test_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "cli.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
