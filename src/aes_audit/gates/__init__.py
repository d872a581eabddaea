"""Gates: thresholds, verdicts and baselines."""
