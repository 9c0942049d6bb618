"""Tables and plots of what bench-growth.sh has measured.

growth.py DIR    reads growth.tsv (what, command, size, seconds, bytes written, bytes of memory) in DIR, prints the tables, and
                 writes a plot of each to growth-WHAT.svg
"""

import math
import os
import sys

from chart import chart

TITLES = {
    "database": ("gigabytes of SQL", "By the size of the database"),
    "tenants": ("schemas", "By the number of schemas, with the same rows"),
    "objects": ("objects", "By the number of objects"),
}


def slope(points):
    """The exponent of the power of the size with which the time grows, between the first and the last point."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    return math.log(y1 / y0) / math.log(x1 / x0) if x1 > x0 else float("nan")


def main(out):
    with open(os.path.join(out, "growth.tsv")) as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    for what in dict.fromkeys(row[0] for row in rows):
        label, title = TITLES[what]
        commands = {}
        for _, command, size, seconds, size_bytes, memory in (row for row in rows if row[0] == what):
            commands.setdefault(command, []).append((float(size), float(seconds), size_bytes, float(memory) / 1e6))
        print(f"\n### {title}\n\n| {label} | command | seconds | MB written | memory MB |\n| ---: | --- | ---: | ---: | ---: |")
        sizes = sorted({size for runs in commands.values() for size, *_ in runs})
        for size in sizes:
            for command, runs in commands.items():
                for at, seconds, size_bytes, memory in runs:
                    if at == size:
                        written = f"{float(size_bytes) / 1e6:,.0f}" if size_bytes else "–"
                        print(f"| {at:,.10g} | `{command}` | {seconds:,.2f} | {written} | {memory:.0f} |")
        print("\n| command | time grows with the power | seconds for ten times as much |\n| --- | ---: | ---: |")
        for command, runs in commands.items():
            power = slope([(size, seconds) for size, seconds, *_ in runs])
            print(f"| `{command}` | {power:.2f} | {10**power:.1f} times |")
        series = {name: [(size, seconds, None) for size, seconds, *_ in runs] for name, runs in commands.items()}
        with open(os.path.join(out, f"growth-{what}.svg"), "w") as file:
            file.write(chart(title, label, "seconds", series, logarithmic=True))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
