"""Language models over codes in digits: the model with its depth head, and the sampler."""
