# SPDX-License-Identifier: Apache-2.0
"""Plots as SVG: lines and bars, readable on a light and on a dark page."""
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 960, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 56, 64
COLOURS = {"davit": "#1f6feb", "davit-builtin": "#79c0ff", "containerd": "#8250df", "crio": "#bf8700",
           "floor": "#2da44e"}
OTHERS = ("#cf222e", "#57606a", "#0a7ea4")
STYLE = ("text{font:13px sans-serif;fill:#1f2328}.title{font-size:16px;font-weight:bold}"
         ".small{font-size:11px;fill:#59636e}.grid{stroke:#d1d9e0;stroke-width:1}")


def colour_of(name, index):
    return COLOURS.get(name, OTHERS[index % len(OTHERS)])


def step_for(top):
    """A round distance of grid lines, of which there are 4 to 10."""
    step = 1.0
    while top / step > 10:
        step *= 10
    while top / step < 1:
        step /= 10
    for part in (0.1, 0.2, 0.5, 1, 2, 5):
        if top / (step * part) <= 8:
            return step * part
    return step


class Picture:
    """The frame: title, axis of values, legend."""

    def __init__(self, title, unit, note, top):
        self.step = step_for(top or 1)
        self.top = self.step * (int((top or 1) / self.step) + 1)
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            f"<title>{escape(title)}</title><style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#ffffff"/>',
            f'<text class="title" x="{LEFT}" y="24">{escape(title)}</text>',
            f'<text class="small" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(note)}</text>',
            f'<text class="small" x="{LEFT}" y="{TOP - 14}">{escape(unit)}</text>']
        value = 0.0
        while value <= self.top * 1.0001:
            y = self.y(value)
            self.parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            self.text(LEFT - 8, y + 4, f"{value:g}" if self.step >= 1 else f"{value:.3g}", "end")
            value += self.step

    def y(self, value):
        return HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)

    def text(self, x, y, text, anchor="middle", kind="small"):
        self.parts.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
                          f"{escape(text)}</text>")

    def legend(self, names):
        x = WIDTH - RIGHT - sum(30 + 8 * len(name) for name in names)
        for index, name in enumerate(names):
            self.parts.append(f'<rect x="{x}" y="{TOP - 24}" width="12" height="12" '
                              f'fill="{colour_of(name, index)}"/>')
            self.text(x + 17, TOP - 14, name, "start")
            x += 30 + 8 * len(name)

    def done(self):
        return "\n".join(self.parts + ["</svg>"]) + "\n"


def bars(title, unit, note, groups, series):
    """series: {server: [a value or None for each group]}; a label of a group may have lines"""
    top = max((value for values in series.values() for value in values if value is not None), default=1)
    picture = Picture(title, unit, note, top)
    picture.legend(list(series))
    room = (WIDTH - LEFT - RIGHT) / max(len(groups), 1)
    width = room * 0.8 / max(len(series), 1)
    for group, label in enumerate(groups):
        left = LEFT + group * room + room * 0.1
        for index, (name, values) in enumerate(series.items()):
            value = values[group]
            if value is None:
                continue
            x, y = left + index * width, picture.y(value)
            picture.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width * 0.92:.1f}" '
                                 f'height="{HEIGHT - BOTTOM - y:.1f}" fill="{colour_of(name, index)}">'
                                 f"<title>{escape(name)}: {value:.4g}</title></rect>")
            picture.text(x + width * 0.46, y - 3, f"{value:.0f}" if value >= 10 else f"{value:.1f}")
        for line, part in enumerate(label.split("\n")):
            picture.text(left + room * 0.4, HEIGHT - BOTTOM + 16 + 13 * line, part)
    return picture.done()


def lines(title, unit, note, x_label, series):
    """series: {server: [(x, y), …]}"""
    points = [point for some in series.values() for point in some]
    picture = Picture(title, unit, note, max((y for _, y in points), default=1))
    picture.legend(list(series))
    right = max((x for x, _ in points), default=1)

    def place(x):
        return LEFT + 10 + x / right * (WIDTH - LEFT - RIGHT - 30)

    last = None
    for x in sorted({x for x, _ in points}):
        if last is None or place(x) - last > 28:
            picture.text(place(x), HEIGHT - BOTTOM + 16, f"{x:g}")
            last = place(x)
    picture.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 34, x_label)
    for index, (name, some) in enumerate(series.items()):
        colour = colour_of(name, index)
        path = " ".join(f"{place(x):.1f},{picture.y(y):.1f}" for x, y in some)
        picture.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y in some:
            picture.parts.append(f'<circle cx="{place(x):.1f}" cy="{picture.y(y):.1f}" r="3.5" '
                                 f'fill="{colour}"><title>{escape(name)}, {x:g}: {y:.4g}</title></circle>')
    return picture.done()
