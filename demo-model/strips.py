"""Rows of pictures for the documents: what goes in on the left, a wider gap, then what comes of it."""

from PIL import Image, ImageDraw, ImageFont

HEIGHT, GAP = 176, 6  # of a picture, and between two, in pixels
LABEL = 22  # size of the letters; a page shows a row at about half its size
BORDER = "#8c8c8c"


def scaled(picture, height):
    return picture.convert("RGB").resize((max(1, round(picture.width * height / picture.height)), height), Image.LANCZOS)


def labelled(picture, label):
    """The picture with a thin border, so that white does not vanish into the page, and with `label` in the middle below."""
    font = ImageFont.load_default(size=LABEL)
    ImageDraw.Draw(picture).rectangle([0, 0, picture.width - 1, picture.height - 1], outline=BORDER)
    width = max(picture.width, round(font.getlength(label)) + 2)
    both = Image.new("RGB", (width, picture.height + round(1.5 * LABEL)), "white")
    both.paste(picture, ((width - picture.width) // 2, 0))
    ImageDraw.Draw(both).text((width / 2, picture.height + LABEL * 0.75), label, fill="black", font=font, anchor="mm")
    return both


def strip(path, pictures, labels=None, given=1, height=HEIGHT):
    """Saves pictures side by side; the first `given`, what goes in, stand a little apart."""
    parts = [scaled(picture, height) for picture in pictures]
    if labels:
        parts = [labelled(part, label) for part, label in zip(parts, labels, strict=True)]
    gaps = [0] + [3 * GAP if index == given else GAP for index in range(1, len(parts))]
    row = Image.new("RGB", (sum(gaps) + sum(part.width for part in parts), parts[0].height), "white")
    place = 0
    for gap, part in zip(gaps, parts, strict=True):
        row.paste(part, (place + gap, 0))
        place += gap + part.width
    row.save(path, quality=82, optimize=True)
