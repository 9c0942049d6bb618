"""Files for a bucket: objects.py DIR MEGABYTES SHAPE. The same every time.

few    6,000 of log-normal sizes in 600 directories, and six large ones in another, 64 of 598 bytes each
many   6,000 of log-normal sizes, each in a directory of its own
small  50 of log-normal sizes in one directory
"""

import math
import os
import random
import sys

base, total, shape = sys.argv[1], int(sys.argv[2]) * 1_000_000, sys.argv[3]
random.seed(7)
number_of_large, large = (6, total * 64 // 598) if shape == "few" else (0, 0)
noise = random.randbytes(max(large, 64_000_000))
count = 50 if shape == "small" else 6000
sizes = [random.lognormvariate(math.log(14000), 1.45) for _ in range(count)]
scale = (total - number_of_large * large) / sum(sizes)
for number, size in enumerate(sizes):
    folder = {"few": f"{number // 400:02d}", "many": f"{number:05d}", "small": ""}[shape]
    tenant = 0 if shape == "small" else number % 40
    folder = f"{base}/tenant_{tenant:04d}/documents/{folder}".rstrip("/")
    os.makedirs(folder, exist_ok=True)
    size = max(1, int(size * scale))
    start = random.randrange(0, len(noise) - size)
    with open(f"{folder}/{number:05d}.bin", "wb") as file:
        file.write(noise[start : start + size])
for number in range(number_of_large):
    os.makedirs(f"{base}/exports", exist_ok=True)
    with open(f"{base}/exports/{number}.tar", "wb") as file:
        file.write(random.randbytes(large))
