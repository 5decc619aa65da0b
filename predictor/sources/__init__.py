"""From the place where a model lies, a registry, a bucket or a web server, to its files in a folder."""
