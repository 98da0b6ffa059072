"""What the benchmark scripts share: measuring, reporting, facts about the machine, peers and the mpmath oracle."""
