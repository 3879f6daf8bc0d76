"""Pictures for TensorBoard, drawn with Pillow: a confusion matrix, and a sheet of examples with captions."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CELL = 44
MOST_CLASSES = 40
SHADES = 800
INK, PAPER, ACCENT = (30, 32, 36), (255, 255, 255), (26, 94, 184)
GOOD, BAD = (22, 110, 60), (176, 36, 36)


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


def picture_sheet(pictures: list[np.ndarray], captions: list[str], correct: list[bool]) -> np.ndarray:
    """Pictures with a caption below each, uint8 [height, width, 3]; captions are green or red as `correct` says.

    Args:
        pictures: uint8 [h, w, 1 or 3], of one size or several; each is scaled to the same width, pixels kept sharp.
    """
    font = ImageFont.load_default(12)
    side, line = 128, 20
    columns = min(6, max(len(pictures), 1))
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new("RGB", (columns * (side + 8) + 8, rows * (side + line + 8) + 8), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, (picture, caption, right) in enumerate(zip(pictures, captions, correct, strict=True)):
        x, y = 8 + i % columns * (side + 8), 8 + i // columns * (side + line + 8)
        drawn = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).convert("RGB")
        scale = side / max(drawn.size)
        size = (max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale)))
        sheet.paste(drawn.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR), (x, y))
        while len(caption) > 4 and font.getlength(caption) > side:
            caption = caption[:-4] + "..."
        draw.text((x, y + side + 3), caption, GOOD if right else BAD, font)
    return np.asarray(sheet)
