"""Drawings as inline SVG: content is escaped here, colours come from the CSS of the page."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """Return an element; ``class_`` names the class, ``_`` in names becomes ``-``.

    Children that are not :class:`markupsafe.Markup` are text and get escaped, as do all values.
    """
    parts = [
        f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for name, value in attributes.items()
        if value is not None
    ]
    body = "".join(escape(child) for child in children)
    return Markup(f"<{tag}{''.join(parts)}>{body}</{tag}>")


def _number(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def drawing(width: float, height: float, *children: str, label: str) -> Markup:
    """Return a drawing that scales with the page; ``label`` says what it shows."""
    return element(
        "svg",
        element("title", label),
        *children,
        viewBox=f"0 0 {_number(float(width))} {_number(float(height))}",
        role="img",
        width=float(width),
        height=float(height),
    )


def text(x: float, y: float, content: str, *, anchor: str = "start", kind: str = "label") -> Markup:
    """Return a text with its baseline at ``y``."""
    return element("text", content, x=float(x), y=float(y), text_anchor=anchor, class_=kind)


def raster(
    values: NDArray[np.generic], *, label: str, width: float = 240, colour: int = 1
) -> Markup:
    """Draw the non-zero entries of ``values`` (timestep, neuron): time right, neurons down.

    One path however many spikes there are; a small layer gets taller rows than a large one.
    """
    n_steps, n = values.shape
    height = float(min(max(n * 9, 30), 220))
    left, bottom = 34.0, 16.0
    column, row = (width - left - 4) / max(n_steps, 1), height / max(n, 1)
    stroke = max(row * 0.8, 0.7)
    path = "".join(
        f"M{left + t * column + column * 0.1:.1f} {i * row + row / 2 + 2:.2f}h{column * 0.8:.1f}"
        for i, t in np.argwhere(values.T != 0)
    )
    frame = element(
        "rect", x=left, y=2.0, width=column * n_steps, height=height, class_="frame", rx=2
    )
    marks = element("path", d=path, class_=f"mark c{colour}", stroke_width=stroke)
    axis = [
        text(left - 4, 11, "0", anchor="end", kind="tick"),
        text(left - 4, height + 2, str(n - 1), anchor="end", kind="tick"),
        *(
            text(
                left + (t + 0.5) * column, height + bottom - 1, str(t), anchor="middle", kind="tick"
            )
            for t in ticks(n_steps)
        ),
    ]
    return drawing(width, height + bottom + 2, frame, marks, *axis, label=label)


def ticks(count: int, at_most: int = 6) -> list[int]:
    """Return at most about ``at_most`` round positions of ``count`` timesteps, from 0."""
    step = 1
    while count / step > at_most:
        step = next(s for s in (2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**9) if s > step)
    return list(range(0, count, step))


def potential(
    v: Sequence[float],
    threshold: float | None,
    spikes: Sequence[bool],
    *,
    label: str,
    title: str,
    bounds: tuple[float, float],
    highlight: bool = False,
) -> Markup:
    """Draw one neuron's potential over time, its threshold, and a mark where it fired."""
    width, height, top = 132.0, 70.0, 22.0
    low, high = bounds
    span = (high - low) or 1.0
    step = (width - 8) / max(len(v) - 1, 1)

    def place(t: int, value: float) -> tuple[float, float]:
        return 4 + t * step, top + (height - top - 4) * (1 - (value - low) / span)

    points = " ".join("{:.1f},{:.1f}".format(*place(t, value)) for t, value in enumerate(v))
    parts = [
        element(
            "rect",
            x=1.0,
            y=1.0,
            width=width - 2,
            height=height - 2,
            rx=3,
            class_="frame best" if highlight else "frame",
        )
    ]
    if threshold is not None:
        y = place(0, threshold)[1]
        parts.append(element("line", x1=4.0, x2=width - 4, y1=y, y2=y, class_="threshold"))
    parts.append(element("polyline", points=points, class_="line c3"))
    for t, fired in enumerate(spikes):
        if fired:
            x, y = place(t, v[t])
            parts.append(element("circle", cx=x, cy=y, r=2.6, class_="dot c3"))
    fired_times = sum(bool(s) for s in spikes)
    parts.append(text(6, 12, title, kind="label strong" if highlight else "label"))
    if fired_times:
        parts.append(
            text(
                width - 6,
                12,
                f"{fired_times} spikes" if fired_times > 1 else "1 spike",
                anchor="end",
                kind="tick",
            )
        )
    return drawing(width, height, *parts, label=label)


def bar(used: float, available: float, *, label: str, width: float = 90) -> Markup:
    """Draw how much of something is used."""
    share = min(used / available, 1.0) if available else 0.0
    return drawing(
        width,
        10,
        element("rect", x=0.0, y=2.0, width=width, height=6.0, rx=3, class_="track"),
        element(
            "rect",
            x=0.0,
            y=2.0,
            width=width * share,
            height=6.0,
            rx=3,
            class_="fill full" if share > 0.9 else "fill",
        ),
        label=label,
    )


def mesh(
    columns: int,
    rows: int,
    shares: Mapping[tuple[int, int], float],
    texts: Mapping[tuple[int, int], Sequence[str]],
    *,
    label: str,
) -> Markup:
    """Draw the array: each core at its place, shaded by ``shares`` (0 to 1), with short texts."""
    tile, gap, left = 84.0, 14.0, 52.0
    pitch = tile + gap
    width, height = left + columns * pitch, rows * pitch - gap + 8
    parts: list[Markup] = []
    for y in range(rows):
        middle = 4 + y * pitch + tile / 2
        parts.append(
            element(
                "line",
                x1=left,
                x2=left + columns * pitch - gap,
                y1=middle,
                y2=middle,
                class_="link",
            )
        )
    for x in range(columns):
        middle = left + x * pitch + tile / 2
        parts.append(
            element("line", x1=middle, x2=middle, y1=4.0, y2=rows * pitch - gap + 4, class_="link")
        )
    first = 4 + tile / 2
    parts += [
        element("line", x1=38.0, x2=left, y1=first, y2=first, class_="link host"),
        element("rect", x=1.0, y=first - 14, width=38.0, height=28.0, rx=5, class_="host"),
        text(20, first + 4, "host", anchor="middle"),
    ]
    for y in range(rows):
        for x in range(columns):
            parts.append(
                _tile(
                    left + x * pitch,
                    4 + y * pitch,
                    tile,
                    shares.get((x, y)),
                    y * columns + x,
                    texts.get((x, y), ()),
                )
            )
    return drawing(width, height, *parts, label=label)


def _tile(
    x: float, y: float, size: float, share: float | None, core: int, lines: Iterable[str]
) -> Markup:
    used = share is not None
    parts = [
        element(
            "rect", x=x, y=y, width=size, height=size, rx=7, class_="core used" if used else "core"
        )
    ]
    if share is not None:
        parts.append(
            element(
                "rect",
                x=x,
                y=y,
                width=size,
                height=size,
                rx=7,
                class_="heat",
                fill_opacity=0.08 + 0.5 * min(max(share, 0.0), 1.0),
            )
        )
    parts.append(text(x + 8, y + 17, str(core), kind="label strong" if used else "tick"))
    for number, line in enumerate(lines):
        short = line if len(line) <= 13 else line[:12] + "…"
        parts.append(
            element(
                "text",
                element("title", line),
                short,
                x=x + 8,
                y=y + 35 + 14 * number,
                class_="holds",
            )
        )
    return element("g", *parts)


def picture(pixels: NDArray[np.uint8], *, label: str, scale: int = 4) -> Markup:
    """Draw a grey picture (rows, columns), dark ink on light ground, each pixel a square."""
    rows, columns = pixels.shape
    uri = "data:image/png;base64," + base64.b64encode(png(255 - pixels)).decode()
    image = element("image", href=uri, width=columns, height=rows, class_="pixels")
    return element(
        "svg",
        element("title", label),
        image,
        viewBox=f"0 0 {columns} {rows}",
        width=columns * scale,
        height=rows * scale,
        role="img",
        class_="picture",
    )


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return an 8-bit grey picture as a PNG file."""
    rows, columns = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    lines = b"".join(b"\0" + row.astype(np.uint8).tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines, 9))
        + chunk(b"IEND", b"")
    )
