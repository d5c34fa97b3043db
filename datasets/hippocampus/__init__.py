"""Hippocampal units and field potentials."""
