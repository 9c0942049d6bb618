"""The tables of bench-whole.sh: whole.py RUNS.TSV CORES."""
import statistics
import sys

rows = {}
for line in list(open(sys.argv[1]))[1:]:
    what, seconds, client, server = line.rstrip("\n").split("\t")
    rows.setdefault(what, []).append((float(seconds), float(client), float(server) / 100))


def median(what, column):
    return statistics.median(run[column] for run in rows[what])


def table(script, parts):
    parts = [part for part in parts if part in rows]
    wholes = [what for what in rows if what.startswith(script)]
    if not parts or not wholes:
        return
    slowest = max(parts, key=lambda part: median(part, 0))
    print("| command | median s | lowest to highest | of the slowest part | client s | server s | both, by the cores |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for what in parts + wholes:
        times = [run[0] for run in rows[what]]
        # Of the same round: a machine that is busier is so for both.
        ratios = [run[0] / part[0] for run, part in zip(rows[what], rows[slowest])]
        ratio = f"{statistics.median(ratios):.2f}" if what in wholes else ""
        client, server = median(what, 1), median(what, 2)
        floor = (client + server) / int(sys.argv[2])
        print(f"| {what} | {median(what, 0):.1f} | {min(times):.1f} to {max(times):.1f} | {ratio} "
              f"| {client:.1f} | {server:.1f} | {floor:.1f} |")
    print()


table("backup.sh", ["dump", "mirror"])
table("restore.sh", ["verify", "load", "push"])
