"""The benchmark: whole processes side by side on real brokers; ratios count, not absolute figures."""
