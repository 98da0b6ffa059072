"""Scripts that measure gpujax: speed beside its peers, accuracy against mpmath, start-up, agreement across devices."""
