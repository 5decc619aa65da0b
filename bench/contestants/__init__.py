"""The contestants of `make bench`, one a file; another file is another contestant.

A file begins with a block of script metadata (PEP 723): `dependencies` are what pip installs for it in a
virtual environment of its own; without the key it runs in the project's environment and folder, and so by its
gunicorn.conf.py. `[tool.bench]` has the fields of `bench.contestant.Contestant`. Files without such a block
are what contestants share.
"""
