"""The phantom: a seeded synthetic head CT in Hounsfield units, with masks of the five subtypes.

Reading order: canvas (shapes on one thin cut), head (whose it is), cranium, face, brain, bleeds, scanner, beam,
belongings, scan (a whole patient); then roster (who is in a written phantom), one module a layout, writers.
Nothing in it is copied from a patient; it is for teaching and testing, not for medical use.
"""

from hemokit.datasets.phantom.scan import Phantom, make_phantom, make_scan
from hemokit.datasets.phantom.writers import phantom_root, write_phantom

__all__ = ["Phantom", "make_phantom", "make_scan", "phantom_root", "write_phantom"]
