"""Ratings, tournaments, replays and pages: works on `games.Policy` objects and payoff tensors."""
