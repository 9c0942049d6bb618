"""golden.py MIRROR SEED [LONGEST]: writes a mirror as docs/FORMAT.md specifies it, with objects that
are known to cause trouble between servers, and with random ones. LONGEST: bytes that a name between slashes may have."""
import hashlib, json, os, random, sys

mirror = sys.argv[1]
random.seed(int(sys.argv[2]))
KEYS = ["a", "a/", "a/b", "a//b", "/a", "..", "../x", "a/../b", "%2e%2e/x", ".", "./x", "x/.", "//", "/",
        "\x01", "\n", "\r\n", "\t", " ", "  x  ", "+", "a+b", "%", "%00", "&amp;", "<x>\"'", "\x7f",
        "\u0085", "\u2028", "\ufffe", "\ufeff", "ü", "u\u0308", "🙂", "b\\s", "!*'();:@,[]{}|^`$", "A", "A/b",
        "k" * 1014, "k" * 1016, "d/" * 507 + "xy", "s" * 256 + "/x"]
HEADERS = {"content_type": "text/x-test; charset=utf-8", "content_encoding": "gzip",
           "content_disposition": "attachment; filename=\"a b.txt\"", "content_language": "de",
           "cache_control": "max-age=7, public", "expires": "Wed, 21 Oct 2026 07:28:00 GMT"}
PLAIN = {"who": "someone; with = signs", "n": "1"}

objects = [(f"keys/{n:02}/{key}", f"under {key}".encode(), {}) for n, key in enumerate(KEYS)]
objects += [("headers/" + name, b"x", {name: value}) for name, value in HEADERS.items()]
objects += [("headers/metadata", b"x", {"metadata": PLAIN}), ("headers/blanks", b"x", {"metadata": {"two": "a  b"}}),
            ("headers/unicode", b"x", {"metadata": {"who": "Jürgen 漢字"}}),
            ("tags/plain", b"x", {"tags": {"state": "final", "owner": "a b"}}),
            ("tags/unicode", b"x", {"tags": {"größe": "a=b&c/+é"}}),
            ("size/empty", b"", {}), ("size/100 MB", bytes(range(256)) * 390625, {})]
objects += [(f"beside/{key}", key.encode(), {}) for key in ["a", "a/", "a/b", "a//b", "/a"]]

def letters(least, most):
    """Of every plane but the surrogates."""
    ranges = [(1, 0x80), (0x80, 0x800), (0x800, 0xD800), (0xE000, 0x10000), (0x10000, 0x110000)]
    return "".join(chr(random.randrange(*random.choice(ranges))) for _ in range(random.randint(least, most)))

def key():
    names = ["", ".", "..", "a", "%2e%2e", "A", "s" * random.randint(240, 300)]
    segments = [random.choice([random.choice(names), letters(1, 20)]) for _ in range(random.randint(1, 5))]
    return "/".join(segments)

def headers():
    text = "".join(chr(random.randrange(0x21, 0x7F)) for _ in range(random.randint(1, 40)))
    some = {name: value for name, value in HEADERS.items() if random.random() < 0.3}
    return {**some, **random.choice([{}, {"metadata": {"who": text}}, {"tags": {"state": "a-b_c.1"}}])}

for number in range(200):
    body = random.randbytes(random.choice([0, 1, random.randint(2, 300_000)]))
    objects.append((f"random/{number:03}/{key()}", body, headers()))
if len(sys.argv) > 3:
    objects = [o for o in objects if all(len(name.encode()) <= int(sys.argv[3]) for name in o[0].split("/"))]
lines, sums = [], []
os.makedirs(f"{mirror}/.obj-mirror/objects")
for key, body, attributes in sorted(objects, key=lambda o: o[0].encode()):
    path = ".obj-mirror/objects/" + hashlib.sha256(key.encode()).hexdigest()
    digest = hashlib.sha256(body).hexdigest()
    with open(f"{mirror}/{path}", "wb") as file:
        file.write(body)
    entry = {"key": key, "path": path, "size": len(body), "etag": "none", "sha256": digest,
             "last_modified": "2026-04-21T02:00:00.000Z", "content_type": "text/plain", **attributes}
    lines.append(json.dumps(entry, ensure_ascii=False) + "\n")
    sums.append((path, digest))
with open(f"{mirror}/.obj-mirror/index.jsonl", "w", newline="\n") as file:
    file.writelines(lines)
with open(f"{mirror}/.obj-mirror/SHA256SUMS", "w") as file:
    file.writelines(f"{digest}  {path}\n" for path, digest in sorted(sums))
