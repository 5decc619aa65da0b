"""`make ablate`: the service with one mechanism switched off at a time, against the service as it is.

Nothing in the product knows of it. `rows` says what can be switched off and where that counts, `patches` how;
gunicorn gets `server` as its configuration, which is the project's own, and `wsgi` as its application, which
switches the mechanism off in each worker before it loads the project's.
"""
