"""What gunicorn loads in each worker, after the fork."""

from predictor.app import create_app
from predictor.config import Settings

app = create_app(Settings.from_environment())
