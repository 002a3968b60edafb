"""The language model over latents: its flow head and its sampler."""
