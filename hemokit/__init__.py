"""hemokit: deep learning on head CT, honestly and hands-on. For education; not a medical device.

Reading order is import order; a module imports only what stands above it:

ground      checks, files, labels, windows
formats     one file of one kind -> an array or a table, or one clear error
floor 1     tables, masks, metrics, manifests, splits
datasets    one folder -> the slice table (one row = one slice); and the phantom
judging     plots
doors       check (exercises), lessons, doctor, fetch, __main__ (command line)

`import hemokit` itself imports nothing.
"""

__version__ = "0.1.0"
