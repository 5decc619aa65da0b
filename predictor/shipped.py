"""Where the files lie that ship with the service but are no Python modules: pages, styles, configuration.

The wheel holds them inside the package, since an installation has no other place of its own; in a clone
they lie at the top, where people look for them.
"""

from pathlib import Path

_PACKAGE = Path(__file__).parent
INSTALLED = (_PACKAGE / "gunicorn.conf.py").exists()
"""Whether the package was installed from its wheel; a clone has the files beside the package."""


def shipped(name: str) -> Path:
    """A file or folder that ships with the service.

    Args:
        name: its path in a clone, such as `templates` or `gunicorn.conf.py`.
    """
    return (_PACKAGE if INSTALLED else _PACKAGE.parent) / name
