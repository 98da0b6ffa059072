"""Tier 1: special functions and the conventions of a pure function; no knowledge of finance, importable alone."""
