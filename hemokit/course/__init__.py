"""Running the lessons: what `hemokit run` does.

alt_text    what a figure shows, in words, from the notebook into the page
pages       executed notebooks as HTML pages, and their index
kernels     execute a notebook so that Ctrl-C ends it at any moment, and its kernel
phantoms    the synthetic patients that several lessons share, drawn once
lessons     find lessons, choose some, execute them one after another
terminal    the same with a progress line for each lesson
"""
