"""What gunicorn loads in each worker: the project's application, with the chosen mechanism switched off."""

import importlib

from bench.ablate.rows import chosen

for _patch in chosen().worker:
    _patch()
app = importlib.import_module("wsgi").app
