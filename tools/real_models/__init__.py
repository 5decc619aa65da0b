"""Image classifiers made with the tools that people use, and the service's answers beside the tools' own."""
