# /// script
# [tool.bench]
# name = "this service, from its cache"
# command = ["-m", "gunicorn"]
# computes = false
# [tool.bench.environment]
# PREDICTOR_BIND = "127.0.0.1:{port}"
# PREDICTOR_DATA = "{folder}"
# PREDICTOR_DEVICE = "cpu"
# ///
"""This service, which knows the answer already: all of it is the project's own."""
