"""The plot of what bench.sh has measured of dumps: time and size of each, by medians.

curve.py RUNS TABLE    reads RUNS (runs.tsv), prints the SVG of the rows of TABLE that have a size
"""

import statistics
import sys

from chart import chart


def main(path, table):
    runs = {}
    with open(path) as file:
        for line in file:
            of, role, name, seconds, size, *_ = line.rstrip("\n").split("\t")
            if of == table and seconds and size:
                runs.setdefault((role, name), []).append((float(seconds), float(size) / 1e6))
    series = {"pg-snap dump": [], "pg_dump": []}
    for (role, name), some in runs.items():
        seconds, megabytes = (statistics.median(numbers) for numbers in zip(*some))
        label = name.removeprefix("pg-snap dump --level ").removeprefix("pg_dump").removeprefix(" | ").strip()
        series["pg-snap dump" if role == "ours" else "pg_dump"].append((seconds, megabytes, label))
    shown = {name: points for name, points in series.items() if points}
    print(chart("Time and size of a dump", "seconds", "MB", shown, lines=False, from_zero=False), end="")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
