"""What a pipeline is made of: source bundles, notebooks, and what a function can reach."""
