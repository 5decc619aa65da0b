"""HTTP: blueprints translate requests and answers; they decide nothing."""
