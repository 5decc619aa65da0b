"""Faster forms of a model, made by quantisation, with proof of their speed and of their answers."""
