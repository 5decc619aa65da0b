"""What runs in the environment of each tool: it writes models and the tool's own answers.

Nothing here imports the service.
"""
