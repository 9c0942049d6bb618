"""What bench-dedup.sh leaves to a program: members of dumps, tables, and the plot.

dedup.py changed FIRST SECOND   bytes of the members of tables' rows in SECOND that are not in FIRST
dedup.py tables DIR PATTERN     tables of nights.tsv and nights-plot.tsv in DIR, and dedup.svg; exit status 1 if
                                night two of PATTERN has added more than it may
"""

import gzip
import hashlib
import json
import os
import statistics
import struct
import sys

from chart import chart

NAMES = {
    "ours": "`pg-snap dump`",
    "gzip": "`pg_dump \\| gzip`",
    "rsyncable": "`pg_dump \\| gzip --rsyncable`",
    "plain": "`pg_dump`, uncompressed",
}
BOUND = 1.5


def length(dump, at):
    """The length of the member there, by the subfield PS of its header."""
    (extra,) = struct.unpack_from("<H", dump, at + 10)
    field, end = at + 12, at + 12 + extra
    while field < end:
        name = dump[field : field + 2]
        (size,) = struct.unpack_from("<H", dump, field + 2)
        if name == b"PS":
            return struct.unpack_from("<I", dump, field + 4)[0]
        field += 4 + size
    sys.exit(f"no length at {at}")


def members_of_rows(path):
    with open(path, "rb") as file:
        dump = file.read()
    locator = gzip.decompress(dump[-75:]).decode()
    index = int(locator.split(": ")[1])
    lines = gzip.decompress(dump[index:-75]).decode().splitlines()
    for line in lines:
        if not line.startswith("-- {"):
            continue
        section = json.loads(line[3:])
        if section["kind"] != "table-data":
            continue
        at, end = section["offset"], section["offset"] + section["length"]
        while at < end:
            size = length(dump, at)
            yield hashlib.sha256(dump[at : at + size]).digest(), size
            at += size


def changed(first, second):
    before = {digest for digest, _ in members_of_rows(first)}
    print(sum(size for digest, size in members_of_rows(second) if digest not in before))


def read(path):
    with open(path) as file:
        return [line.rstrip("\n").split("\t") for line in file]


def mb(number):
    return f"{number / 1e6:.1f}"


def night_two(rows):
    """Prints the table; gives what each pattern of ours has added of what it may, by the median."""
    print("\n| what changes | dump | MB | added MB, median | from … to | of the dump | of the changed members |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    shares = {}
    for pattern in dict.fromkeys(row[0] for row in rows):
        for method in NAMES:
            some = [[int(cell) for cell in row[3:]] for row in rows if row[:2] == [pattern, method]]
            size, _, objects, members = some[0]
            grown = sorted(added - objects for _, added, _, _ in some)
            middle = statistics.median(grown)
            ratio = "–"
            if method == "ours":
                ratio = f"{middle / members:.2f} ({mb(members)} MB)"
                shares[pattern] = (middle + objects) / (BOUND * members + objects)
            print(
                f"| {pattern} | {NAMES[method]} | {mb(size)} | {mb(middle)} | {mb(grown[0])} … {mb(grown[-1])} "
                f"| {middle / size:.0%} | {ratio} |"
            )
    print(f"\nNew objects, {mb(int(rows[0][5]))} MB, are not counted: they are the same for all.\n")
    return shares


def many_nights(rows, out):
    sizes = {}
    for night, method, size in rows:
        sizes.setdefault(method, {})[int(night)] = int(size)
    last = max(sizes["ours"])
    shown = sorted({1, 2, 3, 5, 10, 15, 20, 25, last} & set(sizes["ours"]))
    print("\n| repository after night, MB | " + " | ".join(str(night) for night in shown) + " | added a night |")
    print("| --- |" + " ---: |" * (len(shown) + 1))
    for method, name in NAMES.items():
        cells = [f"{sizes[method][night] / 1e6:.0f}" for night in shown]
        mean = (sizes[method][last] - sizes[method][1]) / max(1, last - 1)
        print(f"| {name} | " + " | ".join(cells) + f" | {mb(mean)} |")
    with open(os.path.join(out, "dedup.svg"), "w") as file:
        file.write(plot(sizes, last))


def plot(sizes, last):
    series = {}
    for method in sorted(sizes, key=lambda method: -sizes[method][last]):
        name = NAMES[method].replace("`", "").replace("\\", "")
        series[name] = [(night, size / 1e6, None) for night, size in sorted(sizes[method].items())]
    return chart("Size of a restic repository by nights", "night", "size of the repository, MB", series)


def tables(out, pattern):
    shares = night_two(read(os.path.join(out, "nights.tsv")))
    nights = read(os.path.join(out, "nights-plot.tsv"))
    if nights:
        many_nights(nights, out)
    for name, share in shares.items():
        verdict = "within" if share <= 1 else "above"
        print(f"\n{name}: {verdict} {BOUND} times the changed members and the new objects ({share:.2f} of it)")
    return shares[pattern] <= 1


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["changed", first, second]:
            changed(first, second)
        case ["tables", out, pattern]:
            sys.exit(0 if tables(out, pattern) else 1)
        case _:
            sys.exit(__doc__)
