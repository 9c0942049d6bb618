"""Files for a bucket: objects.py DIR MEGABYTES. The same every time.

6,000 of log-normal sizes in 600 directories, and six large ones of a ninth of all bytes each.
"""
import math
import os
import random
import sys

directory, total = sys.argv[1], int(sys.argv[2]) * 1_000_000
random.seed(7)
large = total // 9
noise = random.randbytes(max(large, 64_000_000))
sizes = [random.lognormvariate(math.log(14000), 1.45) for _ in range(6000)]
scale = (total - 6 * large) / sum(sizes)
for number, size in enumerate(sizes):
    folder = f"{directory}/tenant_{number % 40:04d}/documents/{number // 400:02d}"
    os.makedirs(folder, exist_ok=True)
    size = max(1, int(size * scale))
    start = random.randrange(0, len(noise) - size)
    with open(f"{folder}/{number:05d}.bin", "wb") as file:
        file.write(noise[start : start + size])
os.makedirs(f"{directory}/exports")
for number in range(6):
    with open(f"{directory}/exports/{number}.tar", "wb") as file:
        file.write(random.randbytes(large))
