"""From a file and what came with it to a model's specification, with a reason for each choice."""
