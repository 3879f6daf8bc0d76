"""Pictures for TensorBoard, drawn with Pillow: a confusion matrix, and a sheet of examples with captions."""

import math
import unicodedata
from collections import Counter
from itertools import filterfalse
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from components.core.page.numbers import NO_BREAK_SPACE, page_percent
from components.core.pictures.thumbnail import as_image

CELL = 44
LONGEST_NAME = 200  # pixels
AXES = "Rows: true class; columns: predicted class."
MOST_CLASSES = 40
SHADES = 800
INK, PAPER, ACCENT = (30, 32, 36), (255, 255, 255), (26, 94, 184)
GOOD, BAD = (22, 110, 60), (176, 36, 36)


class Shown(NamedTuple):
    """A picture of a sheet, uint8 [h, w, 1 or 3]; the class that was answered, its probability, and the true class."""

    pixels: np.ndarray
    answer: str
    probability: float
    truth: str


def drawn_names(class_names: list[str]) -> tuple[list[str], str]:
    """The names as Pillow's own font can draw them, which has ASCII alone, and what to say below the picture.

    A font for all scripts would be 20 MB. `Käse` is drawn as Kase; a name without such letters, or with those of
    another, as its place: `#7`.
    """
    letters = (filterfalse(unicodedata.combining, unicodedata.normalize("NFKD", name)) for name in class_names)
    plain = ["".join(each) for each in letters]
    times = Counter(plain)
    alone = (bool(name) and name.isascii() and times[name] == 1 for name in plain)
    drawn = [name if fits else f"#{place}" for place, (name, fits) in enumerate(zip(plain, alone, strict=True))]
    legend = [f"{sign}: {name}" for sign, name in zip(drawn, class_names, strict=True) if sign[0] == "#" != name[0]]
    return drawn, f"Class {'; '.join(legend)}" if legend else ""


def confusion_picture(confusion: np.ndarray, class_names: list[str]) -> np.ndarray:
    """A confusion matrix as a picture, uint8 [height, width, 3]: rows are the true class, the count in each cell.

    A cell is the darker the larger its share of the row. Above MOST_CLASSES classes the counts and names are left
    out and the cells shrink to a few pixels.
    """
    n = len(class_names)
    if n > MOST_CLASSES:
        return confusion_shades(confusion)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    font = ImageFont.load_default(13)
    class_names = [_cut(name, font, LONGEST_NAME) for name in class_names]
    margin = 12 + max(int(font.getlength(name)) for name in class_names)
    sheet = Image.new("RGB", (margin + n * CELL + 8, margin + n * CELL + 8), PAPER)
    draw = ImageDraw.Draw(sheet)
    for row in range(n):
        y = margin + row * CELL
        draw.text((margin - 6, y + CELL / 2), class_names[row], INK, font, anchor="rm")
        if margin <= CELL:
            draw.text((margin + row * CELL + CELL / 2, margin - 6), class_names[row], INK, font, anchor="mb")
        else:
            upright = Image.new("RGB", (margin, CELL), PAPER)
            ImageDraw.Draw(upright).text((6, CELL / 2), class_names[row], INK, font, anchor="lm")
            sheet.paste(upright.rotate(90, expand=True), (margin + row * CELL, 0))
        for column in range(n):
            x, share = margin + column * CELL, shares[row, column]
            shade = tuple(round(p + share * (a - p)) for p, a in zip(PAPER, ACCENT, strict=True))
            draw.rectangle((x, y, x + CELL - 2, y + CELL - 2), shade)
            if confusion[row, column]:
                ink = PAPER if share > 0.5 else INK
                draw.text((x + CELL / 2, y + CELL / 2), str(confusion[row, column]), ink, font, anchor="mm")
    return np.asarray(sheet)


def confusion_shades(confusion: np.ndarray) -> np.ndarray:
    """The whole matrix in about SHADES pixels a side, without names: uint8 [height, width, 3], the darker the larger a
    cell's share of its row. If there are more classes than pixels, neighbours are counted together."""
    together = -(-len(confusion) // SHADES)
    if together > 1:
        starts = np.arange(0, len(confusion), together)
        confusion = np.add.reduceat(np.add.reduceat(confusion, starts, axis=0), starts, axis=1)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    shades = np.array(PAPER) + shares[..., None] * (np.array(ACCENT) - np.array(PAPER))
    scale = max(1, SHADES // len(confusion))
    return np.kron(shades.astype(np.uint8), np.ones((scale, scale, 1), np.uint8))


def picture_sheet(shown: list[Shown]) -> np.ndarray:
    """Pictures with two lines below each, uint8 [height, width, 3]: the answer, green or red, and what it should be.

    Pictures of one size or several are scaled to the same width, pixels kept sharp.
    """
    font = ImageFont.load_default(12)
    side, lines = 128, 36
    columns = min(6, max(len(shown), 1))
    rows = math.ceil(len(shown) / columns)
    sheet = Image.new("RGB", (columns * (side + 8) + 8, rows * (side + lines + 8) + 8), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, (pixels, answer, probability, truth) in enumerate(shown):
        x, y = 8 + i % columns * (side + 8), 8 + i // columns * (side + lines + 8)
        drawn = as_image(pixels).convert("RGB")
        scale = side / max(drawn.size)
        size = (max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale)))
        sheet.paste(drawn.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR), (x, y))
        sure, colour = f" {page_percent(probability, 0)}".replace(NO_BREAK_SPACE, " "), GOOD if answer == truth else BAD
        draw.text((x, y + side + 3), _cut(answer, font, side - font.getlength(sure)) + sure, colour, font)
        if answer != truth:
            draw.text((x, y + side + 18), _cut(f"true: {truth}", font, side), colour, font)
    return np.asarray(sheet)


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """The text, or as much of it as fits `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
