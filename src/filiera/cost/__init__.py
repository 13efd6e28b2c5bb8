"""What work takes: prices, meters, forecasts and budgets."""
