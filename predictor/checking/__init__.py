"""The disposable process that tries an upload."""
