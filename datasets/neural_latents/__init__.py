"""Neural Latents Benchmark."""
