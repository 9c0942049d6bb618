"""Compares two mirrors and prints a table line for each kind of object."""
import json, sys

def read(mirror):
    with open(f"{mirror}/.obj-mirror/index.jsonl", newline="\n") as file:
        return {entry["key"]: entry for entry in map(json.loads, file.read().split("\n")[:-1])}

NAMES = ["sha256", "content_type", "content_encoding", "content_disposition", "content_language", "cache_control",
         "expires", "metadata", "tags"]
sent, back = read(sys.argv[1]), read(sys.argv[2])
kinds = {}
for key, entry in sent.items():
    kind = key.split("/")[0]
    there = back.get(key)
    wrong = "not taken" if there is None else next((n for n in NAMES if entry.get(n) != there.get(n)), None)
    kinds.setdefault(kind, []).append((key, wrong))
for kind, objects in kinds.items():
    good = sum(wrong is None for _, wrong in objects)
    named = [f"{key[:40]!a} ({wrong})" for key, wrong in objects if wrong]
    print(f"{kind}: {good} of {len(objects)}" + (": " + ", ".join(named) if named else ""))
for key in back.keys() - sent.keys():
    print(f"UNDER ANOTHER NAME: {key!a}")
