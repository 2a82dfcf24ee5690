"""What is said of a slice and of a scan: the highest probability, pixels, area, volume; "unknown" where it is.

The tables of `hemokit predict` and of the page's download take them from here.
"""

from hemokit.masks import volume_ml

UNKNOWN = "unknown"


def slice_figures(top, mask, spacing_mm):
    """The figures of one slice.

    Args:
        top: highest probability of a pixel.
        mask: bool (height, width).
        spacing_mm: (slice, row, column), None where it is not known.

    Returns:
        dict of max_probability, mask_pixels and mask_area_mm2, which is "unknown" where the size of a pixel is.
    """
    pixels, area = int(mask.sum()), pixel_area(spacing_mm)
    return {
        "max_probability": round(float(top), 6), "mask_pixels": pixels,
        "mask_area_mm2": UNKNOWN if area is None else round(pixels * area, 3),
    }  # fmt: skip


def pixel_area(spacing_mm):
    """Square millimeters of a pixel; None where a distance is not known."""
    return None if None in spacing_mm[1:] else spacing_mm[1] * spacing_mm[2]


def volume_of(masks, spacing_mm):
    """Milliliters of the masks (slices, height, width) of a scan, to 0.0001; "unknown" where a distance is."""
    return UNKNOWN if None in spacing_mm else round(volume_ml(masks, spacing_mm), 4)


def csv_text(table):
    """A table of such figures as the text of a CSV file."""
    return table.to_csv(index=False, lineterminator="\n")
