# /// script
# [tool.bench]
# name = "this service, /v2 in JSON"
# command = ["-m", "gunicorn"]
# uploads = true
# path = "/v2/models/default/infer"
# form = "v2-json"
# [tool.bench.environment]
# PREDICTOR_BIND = "127.0.0.1:{port}"
# PREDICTOR_DATA = "{folder}"
# PREDICTOR_DEVICE = "cpu"
# PREDICTOR_CACHE = "off"
# ///
"""This service by the Open Inference Protocol without its binary extension: the image in base64."""
