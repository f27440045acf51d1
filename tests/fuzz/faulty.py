"""Cases that break every rule, to test the watch over the others."""

import os
import random
import signal
from itertools import count
from pathlib import Path

from helpers.fuzzing import Case


def start(folder: Path) -> Case:
    """Return a function that breaks one rule after the other, from the first one on."""
    number = count()

    def run(rng: random.Random) -> None:
        match next(number):
            case 0:
                raise ZeroDivisionError
            case 1:
                os.system("true")
            case 2:
                (folder.parent / "outside.txt").write_text("x")
            case _:
                os.kill(os.getpid(), signal.SIGKILL)

    return run
