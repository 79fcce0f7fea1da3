"""Training, the same for every family of models: knows neither a model nor a metric."""
