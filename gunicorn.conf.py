"""How gunicorn runs the service; every figure comes from the settings."""

import math

from predictor import logs
from predictor.server import clients, hooks, lifetime, memory_files, start

_settings = start.settings_of_server()

wsgi_app = "predictor.wsgi:app"
bind = _settings.bind
worker_class = "predictor.server.worker.BalancedThreadWorker"
logger_class = "predictor.server.worker.ServerLogger"
logconfig_dict = logs.configuration(_settings.log, _settings.log_level)
workers = hooks.worker_count(_settings)
# An image that waits in the queue holds a thread, and so does a client that sends or reads slowly; whatever
# waits, there are threads for everything else. One is started when it is needed.
threads = _settings.threads + _settings.max_queue + clients.SLOW_CLIENTS
# The kernel would wait for a client that does not read, without a limit.
sendfile = False

# A worker that is told to stop finishes what it has begun: a download and a run may take this long, and what
# lies around them, or a client that is slow to read, a few seconds.
graceful_timeout = max(5, math.ceil(_settings.fetch_seconds + _settings.run_seconds))
timeout = 60
# Longer than nginx keeps its idle connections to us (60 s), so that it never writes to a closed one.
keepalive = 75
# Workers are replaced now and then, not all at once, so that a slow leak of a library cannot add up.
max_requests = 100_000
max_requests_jitter = 20_000
# No header moves the service to another path; by default a caller on this machine could, and get a 500.
forwarder_headers = ""
# No more than there are files for that a worker may open.
worker_connections = start.raise_file_limit(threads)
worker_tmp_dir = memory_files.heartbeats(_settings.data)
# Its default name is one for all servers of a user, which would take it from each other.
control_socket_disable = True

# Counts what a worker was good for, so that those that die at once are replaced ever more slowly.
post_request = lifetime.answered
_hooks = hooks.Hooks(_settings, workers)
on_starting, on_exit = _hooks.on_starting, _hooks.on_exit
pre_fork, post_fork = _hooks.pre_fork, _hooks.post_fork
post_worker_init, worker_abort = _hooks.post_worker_init, _hooks.worker_abort
worker_exit, child_exit = _hooks.worker_exit, _hooks.child_exit
