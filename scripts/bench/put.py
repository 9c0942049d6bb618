"""What bench-put.sh leaves to a program: put.py FILE prints the tables of runs-put.tsv.

Ratios are of the runs of one round, which had the same load of the machine; the tables show their medians.
"""

import statistics
import sys

OURS = "obj-mirror put"
# What each row of two destinations is compared with.
ONE = {
    "two directories": ["a directory"],
    "two buckets": ["a bucket"],
    "a bucket and a directory": ["a bucket"],
}


def read(path):
    """The runs of each table and row, by round: seconds, processor seconds, kilobytes."""
    tables = {}
    with open(path) as file:
        for line in list(file)[1:]:
            table, row, number, *figures = line.rstrip("\n").split("\t")
            rows = tables.setdefault(table, {})
            rows.setdefault(row, {})[int(number)] = [float(figure) for figure in figures]
    return tables


def median(runs, figure):
    return statistics.median(run[figure] for run in runs.values())


def ratio(over, under, figure):
    """The median of the rounds' ratios, and their range."""
    ratios = [over[number][figure] / under[number][figure] for number in over if number in under]
    return f"{statistics.median(ratios):.2f} | {min(ratios):.2f} … {max(ratios):.2f}" if ratios else "– | –"


def put(title, rows):
    size = int(title.split()[1]) * 1024 * 1024
    peers = [row for row in rows if row != OURS]
    best = min(peers, key=lambda row: median(rows[row], 0), default=OURS)
    print(f"\n| {title} | median s | MB/s | throughput, of the faster peer's | from … to | processor s | peak MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row, runs in rows.items():
        seconds, processor = median(runs, 0), median(runs, 1)
        peak = max(run[2] for run in runs.values()) * 1024 / 1e6
        print(
            f"| `{row}` | {seconds:.2f} | {size / seconds / 1e6:.0f} | {ratio(rows[best], runs, 0)} "
            f"| {processor:.2f} | {peak:.0f} |"
        )


def ship(rows):
    print("\n| destinations | processor s, median | of one | from … to | seconds |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for row, runs in rows.items():
        compared = "1.00 | –"
        for one in ONE.get(row, []):
            if one in rows:
                compared = ratio(runs, rows[one], 1)
        print(f"| {row} | {median(runs, 1):.2f} | {compared} | {median(runs, 0):.2f} |")


def main():
    for title, rows in read(sys.argv[1]).items():
        if title == "ship":
            ship(rows)
        elif OURS in rows:
            put(title, rows)


if __name__ == "__main__":
    main()
