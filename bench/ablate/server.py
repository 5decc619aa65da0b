"""What gunicorn reads in place of `gunicorn.conf.py`: that file, and what the chosen row changes of it."""

from pathlib import Path

from bench.ablate.rows import chosen

_project = Path("gunicorn.conf.py")
_row = chosen()
for _patch in _row.master:
    _patch()
exec(compile(_project.read_text(), str(_project), "exec"), globals())
globals().update(_row.settings)
wsgi_app = "bench.ablate.wsgi:app"
