"""The command line: `hemokit doctor | phantom | data | run | train | predict | evaluate`.

Only names and texts stand at the top of these modules; each command imports what it needs when it runs, so that
--help is quick. `main` puts the commands together and turns every error of a user's into one sentence.
"""
