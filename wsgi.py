"""The application under the name by which WSGI servers find it in a clone."""

from predictor.wsgi import app

__all__ = ["app"]
