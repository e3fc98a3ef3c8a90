"""Text as a picture: a grey mask of some words, in whatever fonts this machine has.

The titles and prompts of a rehearsal come in any script. Pillow draws one font at a time, so the
text is cut into runs and fontconfig is asked which font has a run's characters. Without fontconfig,
or without a fitting font, the words are still drawn (as boxes, in the worst case): a rehearsal
never fails over a glyph. It knows nothing of video.
"""

import shutil
import subprocess
from functools import cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_LATIN_END = 0x250
_BLOCK_BITS = 8  # fontconfig is asked once for 256 neighbouring characters


def lettered(text: str, *, size: int, columns: int, lines: int) -> NDArray[np.uint8]:
    """Draw ``text`` as a mask (0 = nothing, 255 = ink) of at most ``lines`` lines.

    ``size`` is the height of the letters in pixels and ``columns`` the width of a line in
    characters; what does not fit ends in an ellipsis. The mask is as large as its ink needs.
    """
    rows = _wrapped(text, columns=columns, lines=lines)
    leading = size * 4 // 3
    canvas = Image.new("L", (size * columns * 2, leading * len(rows) + size // 2), 0)
    pen = ImageDraw.Draw(canvas)
    for index, row in enumerate(rows):
        x = 0.0
        for block, run in groupby(row, key=_block):
            words = "".join(run)
            font = _font(block, size)
            try:
                pen.text((x, index * leading), words, fill=255, font=font)
                x += pen.textlength(words, font=font)
            except (OSError, UnicodeError, ValueError):
                continue  # a broken font costs its run, not the video
    box = canvas.getbbox()
    return np.asarray(canvas.crop(box) if box else canvas.crop((0, 0, size, size)), np.uint8)


def _wrapped(text: str, *, columns: int, lines: int) -> list[str]:
    """Break at spaces where there are some, else anywhere (Chinese has none)."""
    rows = [""]
    for word in text[: columns * lines * 2].split():
        if rows[-1] and len(rows[-1]) + 1 + len(word) <= columns:
            rows[-1] += " " + word
            continue
        if rows[-1]:
            rows.append("")
        pieces = [word[start : start + columns] for start in range(0, len(word), columns)]
        rows[-1] = pieces[0]
        rows.extend(pieces[1:])
    if len(rows) > lines:
        rows = [*rows[: lines - 1], rows[lines - 1][: columns - 1] + "…"]
    return ["".join(char if char.isprintable() else " " for char in row) for row in rows]


def _block(char: str) -> int:
    point = ord(char)
    return 0 if point < _LATIN_END or char == "…" else point >> _BLOCK_BITS


@cache
def _font(block: int, size: int) -> _Font:
    file = _font_file(block)
    try:
        return ImageFont.truetype(file, size) if file else ImageFont.load_default(size)
    except OSError:  # bitmap-only fonts (most colour emoji) refuse other sizes
        return ImageFont.load_default(size)


@cache
def _font_file(block: int) -> str | None:
    program = shutil.which("fc-match")
    if program is None:
        return None
    sample = (block << _BLOCK_BITS) + 0x40 if block else 0x41
    pattern = f"sans:scalable=true:charset={sample:x}"
    try:
        done = subprocess.run(  # noqa: S603 - the pattern is a hexadecimal number
            [program, "-f", "%{file}", pattern],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout or None
