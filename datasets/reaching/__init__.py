"""Monkey reaching."""
