"""Time of ``splitnest list`` and ``import splitnest`` beyond that of Python's start. Bound: 0.3 s for the list.

python benchmarks/startup.py
"""

import statistics
import subprocess
import sys
import time

RUNS = 10
COMMANDS = {
    "python": ["-c", "pass"],
    "import splitnest": ["-c", "import splitnest"],
    "splitnest list": ["-m", "splitnest", "list"],
}


def seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    times = {name: [] for name in COMMANDS}
    for _ in range(RUNS + 1):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    medians = {name: statistics.median(of_command[1:]) for name, of_command in times.items()}
    for name, median in medians.items():
        print(f"{name}: median {median:.3f} s, {median - medians['python']:.3f} s beyond Python's own start")
