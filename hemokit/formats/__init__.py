"""One file of one kind -> an array or a table, or one `HemokitError` that names the file.

`csv_files` (tables of text), `image_files` (JPEG, PNG), `nifti_files` and `dicom_files` share one
contract: a whole, checked result or a `HemokitError`; never another exception, a warning, or part of
the pixels. Sizes are read from headers first, so that a small file that unpacks to gigabytes is
refused before memory is taken (`bounded`). What a format itself cannot show stands in its module: damage
inside the data of a JPEG, for one. Nothing here knows about data sets.
"""
