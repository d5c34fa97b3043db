"""Stochastic Lorenz attractor."""
