"""`hemokit run`: the lessons one after another, with a line for each on the terminal."""

import sys
from pathlib import Path

from hemokit.checks import check_choice, counted, problem
from hemokit.course.lessons import PROFILES, QUICK_SILENCE, choose_lessons, find_lessons, run_lessons
from hemokit.course.pages import duration
from hemokit.course.phantoms import draw_phantoms


def run_course(numbers, *, root=None, profile="quick", out="hemokit_run", seed=0, notebooks=None):
    """Run lessons, printing what comes of each, and name the index of the pages at the end.

    Without `root` the phantoms that the lessons share are drawn first.

    Args:
        numbers: list of lesson numbers as text; empty for all.
        root: folder of real data, or None for the phantom.
        profile: "quick" or "paper".
        out: folder for pages and executed notebooks.
        seed: whole number from 0.
        notebooks: folder of other notebooks than the course's own, or None.

    Returns:
        0 if every lesson ran through, else 1.

    Raises:
        HemokitError: an unknown lesson or profile, a negative seed, no data set in `root`, an `out` that is a file, a
            phantom that cannot be written.
        KeyboardInterrupt: Ctrl-C; the kernel has ended, and the pages of the finished lessons are there.
    """
    check_choice(profile, PROFILES, "profile")
    if seed < 0:
        raise problem(f"seed is {seed}", "a whole number from 0", "Choose another seed.")
    if Path(out).exists() and not Path(out).is_dir():
        raise problem(f"{out} is a file", "a folder for the pages", "Choose another --out.")
    lessons = choose_lessons(find_lessons(notebooks), numbers)
    data, parameters = _data(root)
    parameters |= {"PROFILE": profile, "SEED": seed}
    if root is None:  # now, and not in the time of the first lesson that wants them
        draw_phantoms([lesson.number for lesson in lessons], profile=profile, seed=seed)
    width = max(len(lesson.slug) for lesson in lessons)
    progress = _Progress(len(lessons), width)
    outcomes = run_lessons(
        lessons,
        out,
        parameters,
        summary=f"Profile {profile}, data: {data}, seed {seed}.",
        silence=QUICK_SILENCE if profile == "quick" else None,
        on_start=progress.start,
        on_cell=progress.cell,
        on_end=progress.end,
    )
    failed = [outcome.lesson.number for outcome in outcomes if outcome.failure]
    total = duration(sum(outcome.seconds for outcome in outcomes))
    print(f"{len(outcomes) - len(failed)} of {counted(len(outcomes), 'lesson')} ran through in {total}.")
    print(f"Open this in a browser: {Path(out).resolve() / 'index.html'}")
    if failed:
        print(f"Failed: {', '.join(failed)}; their pages end at the cell that failed.", file=sys.stderr)
    return int(bool(failed))


def _data(root):
    """What the data are called on the pages, and the parameter that names them (none for the phantom)."""
    if root is None:
        return "the synthetic phantom", {}
    from hemokit.datasets import find_dataset
    from hemokit.manifests import is_phantom

    name, inside = find_dataset(root)
    kind = "a synthetic phantom" if is_phantom(inside) else "real data"
    return f"{kind} ({name}) in the folder {inside.name}", {"DATA": str(Path(root).expanduser().resolve())}


class _Progress:
    """A line when a lesson has ended; before that a bar of its cells on a terminal, elsewhere a line that it began."""

    def __init__(self, count, width):
        self.count, self.width, self.number, self.bar = count, width, 0, None

    def start(self, lesson):
        from tqdm import tqdm

        self.number += 1
        self.label = f"[{self.number}/{self.count}] {lesson.slug:<{self.width}}"
        self.bar = tqdm(desc=self.label, unit="cell", leave=False, disable=not sys.stderr.isatty())
        if self.bar.disable:
            print(f"{self.label}  begins", flush=True)

    def cell(self, done, total):
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def end(self, outcome):
        self.bar.close()
        print(f"{self.label}  {'FAILED' if outcome.failure else 'ok':<6}  {duration(outcome.seconds)}", flush=True)
        if outcome.failure:
            print(f"        {outcome.failure}", flush=True)
