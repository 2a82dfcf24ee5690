"""A model on a user's files: masks in their geometry, a table of slices, a table of scans; all of it or nothing."""

from numbers import Real
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.apply.figures import UNKNOWN, csv_text, slice_figures, volume_of
from hemokit.apply.inputs import MASK_FOLDER, SCANS, SLICES, Refused, find_sources, read_scan
from hemokit.apply.outputs import write_masks
from hemokit.apply.windowing import check_seen, how_read, outputs_of, windows_of
from hemokit.checks import HemokitError, counted, problem
from hemokit.export.cards import caveats
from hemokit.files import write_whole_folder
from hemokit.predictions import NOTICE, slice_scores
from hemokit.progress import progress_bar

REFUSED, README = "refused.csv", "README.txt"


class Result(NamedTuple):
    """`slices` and `scans`: the tables as written; `refused`: a `Refused` a file; `others`: how many of other kinds."""

    slices: pd.DataFrame
    scans: pd.DataFrame
    refused: list
    others: int
    folder: Path


def predict_files(exported, path, out, *, threshold=None, progress=None):
    """Run a model on a file, or on all files in a folder, and write what it found.

    Args:
        exported: `export.Exported`, or anything with its `card` and `probabilities`.
        path: a JPG, PNG, NIfTI or DICOM file, or a folder with some (a DICOM series is one scan).
        out: folder to make; it must not be there. `slices.csv` has a row for each slice, `scans.csv` for each scan
            with its volume in mL, or "unknown" where the spacing is; `masks` the masks; `refused.csv` (where there
            are any) what could not be used and why; `README.txt` says how it came about.
        threshold: of pixels, from 0 to 1; None takes that of the card. Whether a slice is called hemorrhage is decided
            by the card's threshold of slices, where it has one, else by whether its mask has a pixel.
        progress: True or False; None shows a bar on a terminal where there is much to do.

    Returns:
        Result. A map is brought back to the slice's own size before the threshold, so masks have that size.

    Raises:
        HemokitError: `out` is there, nothing to read, no file that can be used (the reason of the first), no
            threshold or one that is not in [0, 1], a model of several masks.
    """
    out, card = Path(out), exported.card
    _check(card, out, threshold)
    threshold = card.threshold if threshold is None else threshold
    sources, refused, others = find_sources(path)
    if len(sources) == 1:
        check_seen(sources[0].kind, card, sources[0].files[0])
    slices, scans, reasons = [], [], []
    with write_whole_folder(out) as folder:
        total = sum(len(one.files) for one in sources)
        with progress_bar(None, total=total, description="predict", unit="file", progress=progress) as bar:
            for source in sources:
                try:
                    rows, row = _predict_scan(exported, source, folder / MASK_FOLDER, threshold)
                    slices, scans = slices + rows, [*scans, row]
                except HemokitError as error:
                    reasons.append(str(error))
                    refused += [Refused(name, reasons[-1]) for name in _names(source, path)]
                bar.update(len(source.files))
        if not scans:
            came = f"none of {counted(len(sources), 'scan')} could be used"
            raise HemokitError(reasons[0] if len(sources) == 1 else f"{came}; the first: {reasons[0]}")
        result = Result(pd.DataFrame(slices), pd.DataFrame(scans), refused, others, out)
        _write_tables(result, card, threshold, folder)
    return result


def _names(source, path):
    """The names of a source's files, as they stand in the folder that was given."""
    root = Path(path) if Path(path).is_dir() else Path(path).parent
    return [file.relative_to(root).as_posix() for file in source.files]


def _check(card, out, threshold):
    if out.exists():
        raise problem(f"{out} is there already", "a folder to make", "Choose another --out.")
    if threshold is not None and not (isinstance(threshold, Real) and 0 <= threshold <= 1):
        came = f"threshold is {threshold!r}"
        raise problem(came, "a number from 0 to 1", "Probabilities lie there: 50 percent are 0.5.")
    if threshold is not None and len(card.output_shape) == 1:
        came = f"a threshold of pixels for a model of {counted(card.output_shape[0], 'label')}"
        raise problem(came, "none", "Leave --threshold out: the table has the probability of each label.")
    if len(card.output_shape) == 3 and card.output_shape[-1] != 1:
        came = f"a model of {card.output_shape[-1]} masks"
        raise problem(came, "one mask", "Build one mask of them (models.unet.one_mask) and export that.")
    if len(card.output_shape) == 3 and card.threshold is None and threshold is None:
        raise problem("the model's card names no threshold", "one of pixels", "Give --threshold 0.5, say.")


def _predict_scan(exported, source, folder, threshold):
    """(rows of the slices, row of the scan) after its masks are written."""
    card, scan = exported.card, read_scan(source)
    check_seen(scan.kind, card, scan.files[0])
    told = {"scan": source.name, "kind": scan.kind, "read": how_read(scan.kind, card)}
    size, shape = card.input_shape[:2], scan.values.shape[1:]
    told["resized"] = "no" if tuple(shape) == tuple(size) else f"{_by(shape)} to {_by(size)} and back"
    given = list(outputs_of(exported.probabilities, scan, windows_of(card), size[0]))
    maps = np.stack([one for one, _ in given])
    if maps.ndim == 2:
        return _label_rows(maps, scan, told, card)
    masks = maps >= np.float32(threshold)
    written, notes = write_masks(masks, scan, source.name, folder)
    rows = _mask_rows([slice_scores(own) for _, own in given], maps, masks, scan, told, card)
    return rows, _scan_row(masks, rows, scan, told, (*scan.notes, *notes), written)


def _mask_rows(scores, maps, masks, scan, told, card):
    """`scores` are the `slice_scores` of the model's own maps: its threshold of slices was chosen on such."""
    rows = []
    for number, ((mean, top, _), heights, mask, file) in enumerate(zip(scores, maps, masks, scan.files, strict=True)):
        figures = slice_figures(heights.max(), mask, scan.spacing_mm)
        rows.append({
            "scan": told["scan"], "slice_index": number, "file": file.name,
            "mean_probability": round(float(mean), 8), "top_probability": round(float(top), 6),
            "hemorrhage": _called(top, figures["mask_pixels"], card), **figures, "notice": NOTICE,
        })  # fmt: skip
    return rows


def _called(top, pixels, card):
    """Whether a slice is called hemorrhage: by the threshold of slices where there is one, else by its mask."""
    return int(pixels > 0) if card.slice_threshold is None else int(top >= card.slice_threshold)


def _scan_row(masks, rows, scan, told, notes, written):
    known = None not in scan.spacing_mm
    why = "no spacing in the file" if scan.kind == "picture" else "the distance of slices is not one number"
    if scan.kind == "dicom" and scan.spacing_mm[1] is None:
        why = "the size of a pixel is not one number"
    return {
        **told, "slices": len(rows), "slices_with_hemorrhage": sum(one["hemorrhage"] for one in rows),
        "volume_ml": volume_of(masks, scan.spacing_mm),
        "spacing_mm": " x ".join(f"{one:g}" for one in scan.spacing_mm) if known else f"{UNKNOWN}: {why}",
        "masks": "; ".join(written), "notes": " ".join(notes), "notice": NOTICE,
    }  # fmt: skip


def _label_rows(got, scan, told, card):
    """Rows of a classifier: a probability for each label, no mask."""
    rows = []
    for number, (values, file) in enumerate(zip(got, scan.files, strict=True)):
        named = {f"probability_{name}": round(float(one), 6) for name, one in zip(card.outputs, values, strict=True)}
        rows.append({"scan": told["scan"], "slice_index": number, "file": file.name, **named, "notice": NOTICE})
    top = {f"top_probability_{name}": round(float(one), 6) for name, one in zip(card.outputs, got.max(0), strict=True)}
    return rows, {**told, "slices": len(rows), **top, "notes": " ".join(scan.notes), "notice": NOTICE}


def _write_tables(result, card, threshold, folder):
    tables = {SLICES: result.slices, SCANS: result.scans}
    if result.refused:
        tables[REFUSED] = pd.DataFrame(result.refused).assign(notice=NOTICE)
    for name, table in tables.items():
        (folder / name).write_text(csv_text(table), encoding="utf-8", newline="")
    (folder / README).write_text("\n".join(lines_of(result, card, threshold)) + "\n", encoding="utf-8")


def lines_of(result, card, threshold):
    """What was done, in sentences: list of str. The first says that it is no medical device."""
    height, width = card.input_shape[:2]
    resized = f"Slices are padded to a square and resized to {height} x {width}"
    if len(card.output_shape) == 3:
        resized += "; probabilities are brought back to the slice's size before the threshold"
    lines = [
        f"{NOTICE[0].upper()}{NOTICE[1:]}.",
        f"Model: {card.name} ({card.format}, {card.precision}), trained on {card.trained_on or 'unknown data'}.",
        *caveats(card),
        f"{resized}.{_thresholds_told(card, threshold)}",
        f"Used: {counted(len(result.scans), 'scan')} with {counted(len(result.slices), 'slice')}; "
        f"refused: {counted(len(result.refused), 'file')}; other kinds of file, not looked at: {result.others}.",
    ]
    return lines + [f"Refused: {reason}" for reason in dict.fromkeys(one.reason for one in result.refused)]


def _thresholds_told(card, threshold):
    """From which threshold on pixels and slices are called hemorrhage, and where the thresholds come from."""
    if len(card.output_shape) == 1:
        return ""
    own = threshold == card.threshold
    chosen = f"chosen on {card.chosen_on}" if card.chosen_on else "of the model's card"
    said = f" A pixel is called hemorrhage from {threshold:.4g} on ({chosen if own else 'given by the user'})."
    if card.slice_threshold is None:
        return f"{said} A slice is called so where its mask has a pixel."
    rule = "where the mean of its highest 1 % of probabilities (top_probability)"
    return f"{said} A slice is called so {rule} is at least {card.slice_threshold:.4g} ({chosen})."


def _by(shape):
    return " x ".join(map(str, shape))
