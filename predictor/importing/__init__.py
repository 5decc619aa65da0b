"""What is uploaded -> the graph that is served: bundles of files, external weights, graphs to be adapted."""
