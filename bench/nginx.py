"""nginx in front of a contestant, the same for everybody: it keeps connections, caches and limits nothing."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tests.live.service import free_port

_START_SECONDS = 10.0
_SETTINGS = """
worker_processes 1; daemon off; pid {folder}/pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off; client_max_body_size 64m; client_body_buffer_size 4m;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream contestant {{ server {address}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://contestant; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


@contextmanager
def nginx(url: str) -> Iterator[str]:
    """The same URL through nginx, for as long as the block runs."""
    parts, port = urlsplit(url), free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "nginx.conf")
        settings.write_text(_SETTINGS.format(folder=folder, address=parts.netloc, port=port))
        process = subprocess.Popen(["nginx", "-p", folder, "-c", str(settings)], stderr=subprocess.DEVNULL)
        try:
            _wait(f"http://127.0.0.1:{port}/", process)
            yield parts._replace(netloc=f"127.0.0.1:{port}").geturl()
        finally:
            process.terminate()
            process.wait(_START_SECONDS)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(requests.ConnectionError):
            requests.get(url, timeout=_START_SECONDS)
            return
        time.sleep(0.02)
    raise RuntimeError("nginx does not start")
