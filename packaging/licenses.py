"""Prints the licences of everything that is linked into piprio-backup for TARGET, with their texts, as JSON from
`cargo metadata` on standard input lists it. Fails if a package comes without a text.

    cargo metadata --format-version 1 --locked --filter-platform TARGET | licenses.py MUSL_COPYRIGHT
"""

import json
import os
import sys

NAMES = ("licen", "copying", "copyright", "notice", "unlicense")
RULE = "=" * 78


def linked(metadata):
    """The packages that piprio-backup links: what only builds or tests it is not in the file."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    waiting = [id for id, package in packages.items() if package["name"] == "piprio-backup"]
    seen = set(waiting)
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            is_linked = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if is_linked and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    others = (packages[id] for id in seen if packages[id]["source"] is not None)
    return sorted(others, key=lambda package: (package["name"], package["version"]))


def texts(package):
    """The files with licences in the package's source, those of code inside it too."""
    root = os.path.dirname(package["manifest_path"])
    for directory, directories, files in os.walk(root):
        directories.sort()
        for name in sorted(files):
            if name.lower().startswith(NAMES) and not name.endswith((".rs", ".py")):
                path = os.path.join(directory, name)
                with open(path, encoding="utf-8", errors="replace") as file:
                    yield os.path.relpath(path, root), file.read().strip()


def main():
    packages = linked(json.load(sys.stdin))
    if not packages:
        sys.exit("licenses.py: cargo metadata lists nothing that piprio-backup links")
    known = {}
    print("What piprio-backup links, each with its licence as its authors state it. The texts follow.\n")
    print("Rust standard library: MIT OR Apache-2.0")
    with open(sys.argv[1], encoding="utf-8") as file:
        known[file.read().strip()] = ["musl, COPYRIGHT"]
    print("musl, the C library: MIT")
    for package in packages:
        own = list(texts(package))
        if not own:
            sys.exit(f"licenses.py: {package['name']} {package['version']} comes without the text of its licence")
        print(f"{package['name']} {package['version']}: {package['license']}")
        for name, text in own:
            known.setdefault(text, []).append(f"{package['name']} {package['version']}, {name}")
    for text, owners in known.items():
        print(f"\n{RULE}")
        print("\n".join(owners))
        print(f"{RULE}\n\n{text}")


main()
