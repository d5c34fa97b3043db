"""Two generative models of sequences, trained by the evidence lower bound on the observations alone.

==============  =====================================================================================================
``elbo``        its terms: products of Gaussian experts, divergences, log-likelihoods that leave missing samples out
``model``       what both models share: encoders' inputs, decoders' likelihoods, and what training asks of a model
``mvae``        the multimodal variational autoencoder: a recurrent encoder per modality, a latent per bin
``plrnn``       the piecewise-linear recurrent network: its dynamics are the prior expert of every bin
``training``    windows with hidden samples, gradient steps by the engine of ``neurodyn.training``, early stopping
``inference``   the filtered state of trials of any length, a stretch of bins at a time
==============  =====================================================================================================

They need JAX; the baselines that stand on them (``baselines.vae``, ``baselines.piecewise``) import them when they fit.
"""
