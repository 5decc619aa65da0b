# /// script
# [tool.bench]
# name = "this service, cache off"
# command = ["-m", "gunicorn"]
# uploads = true
# many = true
# [tool.bench.environment]
# PREDICTOR_BIND = "127.0.0.1:{port}"
# PREDICTOR_DATA = "{folder}"
# PREDICTOR_DEVICE = "cpu"
# PREDICTOR_CACHE = "off"
# ///
"""This service, which computes every answer: all of it is the project's own."""
