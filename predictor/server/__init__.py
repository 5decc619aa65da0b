"""What runs inside gunicorn: the worker class, its start and end, its answers to malformed HTTP."""
