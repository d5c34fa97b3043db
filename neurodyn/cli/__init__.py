"""The command line, ``neurodyn``: one module per sub-command."""
