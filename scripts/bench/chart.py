"""A chart as SVG, for a light and for a dark page: series of points, linear or logarithmic."""

import html
import math

LIGHT = ["#1b6e53", "#b3402a", "#8a5a00", "#3b4f9e", "#7a3b8f", "#4b5563"]
DARK = ["#5fd0a5", "#ff8d75", "#e8b04a", "#9db2ff", "#d59be8", "#aab4c0"]
DASHES = ["", "", "6 3", "2 3", "8 3 2 3", "1 4"]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 400, 70, 210, 36, 45


def style(page, text, grid, colors):
    rules = [f".page{{fill:{page}}}text{{fill:{text}}}.grid{{stroke:{grid}}}polyline{{fill:none;stroke-width:2}}"]
    for number, color in enumerate(colors):
        rules.append(f"polyline.c{number}{{stroke:{color}}}text.c{number},circle.c{number}{{fill:{color}}}")
    return "".join(rules)


def short(number):
    """With a unit for thousands, millions and so on."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= factor:
            return f"{number / factor:g}{unit}"
    return f"{number:g}"


class Axis:
    """Maps values to places between `begin` and `end`."""

    def __init__(self, values, begin, end, logarithmic, from_zero):
        self.begin, self.end, self.logarithmic = begin, end, logarithmic
        low, high = min(values), max(values)
        if logarithmic:
            self.low, self.high = math.floor(math.log10(low)), math.ceil(math.log10(high))
            self.high = max(self.high, self.low + 1)
            self.ticks = [10.0**power for power in range(self.low, self.high + 1)]
        else:
            low = 0 if from_zero else low
            step = next(s * 10.0**e for e in range(-3, 12) for s in (1, 2, 5) if (high - low) / (s * 10.0**e) <= 6)
            self.low, self.high = math.floor(low / step) * step, math.ceil(high / step) * step
            self.ticks = [self.low + step * n for n in range(round((self.high - self.low) / step) + 1)]

    def at(self, value):
        value = math.log10(value) if self.logarithmic else value
        return self.begin + (value - self.low) * (self.end - self.begin) / (self.high - self.low)


def free_offset(labels, x, y, text):
    """How far below a point its label has room; records the place."""
    width = 7 * len(text)
    for offset in (-6, 16, -20, 30, -34, 44, -48, 58):
        place = (x, x + width, y + offset)
        if all(b < place[0] or place[1] < a or abs(place[2] - at) >= 13 for a, b, at in labels):
            break
    labels.append(place)
    return offset


def chart(title, x_label, y_label, series, logarithmic=False, lines=True, from_zero=True):
    """`series` is a dictionary of names to lists of (x, y, label); a label of None is not drawn."""
    points = [point for some in series.values() for point in some]
    x_axis = Axis([x for x, _, _ in points], LEFT, WIDTH - RIGHT, logarithmic, from_zero)
    y_axis = Axis([y for _, y, _ in points], HEIGHT - BOTTOM, TOP, logarithmic, from_zero)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        f"<title>{html.escape(title)}</title>",
        f"<style>{style('#ffffff', '#24292f', '#d8dee4', LIGHT)}",
        f"@media (prefers-color-scheme: dark) {{{style('#0d1117', '#e6edf3', '#30363d', DARK)}}}</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
    ]
    for tick in y_axis.ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {y_axis.at(tick):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y_axis.at(tick) + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    for tick in x_axis.ticks:
        parts.append(f'<text x="{x_axis.at(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{short(tick)}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 8}">{html.escape(x_label)}</text>')
    parts.append(f'<text x="8" y="{TOP - 16}">{html.escape(y_label)}</text>')
    ends, labels = [], []
    for number, (name, some) in enumerate(series.items()):
        kind = f"c{number % len(LIGHT)}"
        places = [(x_axis.at(x), y_axis.at(y), label) for x, y, label in some]
        if lines:
            dash = DASHES[number % len(DASHES)]
            dash = f' stroke-dasharray="{dash}"' if dash else ""
            drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
            parts.append(f'<polyline class="{kind}" points="{drawn}"{dash}/>')
        for x, y, label in places if not lines or len(places) <= 8 else []:
            parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
            if label:
                below = y + free_offset(labels, x + 7, y, label)
                parts.append(f'<text class="{kind}" x="{x + 7:.1f}" y="{below:.1f}">{html.escape(label)}</text>')
        if lines:
            x, y, _ = places[-1]
            wanted = y + 4
            while any(abs(wanted - end) < 16 for end in ends):
                wanted += 4
            ends.append(wanted)
            parts.append(f'<text class="{kind}" x="{x + 10:.1f}" y="{wanted:.1f}">{html.escape(name)}</text>')
        else:
            parts.append(f'<circle class="{kind}" cx="{WIDTH - RIGHT + 16}" cy="{TOP + 18 * number}" r="3.5"/>')
            parts.append(f'<text class="{kind}" x="{WIDTH - RIGHT + 26}" y="{TOP + 18 * number + 4}">{html.escape(name)}</text>')
    return "\n".join(parts + ["</svg>", ""])
