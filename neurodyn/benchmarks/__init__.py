"""Speed and memory of the package, each figure beside a named baseline of the same run."""
