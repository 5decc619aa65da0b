"""Multipart forms as urllib3 writes them; Werkzeug's client leaves out a line end of empty files."""

from typing import Any

from flask.testing import FlaskClient
from urllib3 import encode_multipart_formdata


def post(client: FlaskClient, path: str, *parts: tuple[str, Any], **options: Any) -> Any:
    """Send a form.

    Args:
        client: sends it.
        path: where to.
        parts: each a field's name with its text, or with file name (or None), bytes and media type.
        options: of the client's `post`.
    """
    body, content_type = encode_multipart_formdata(list(parts), boundary="b")
    return client.post(path, data=body, content_type=content_type, **options)
