"""Soccer of point masses in the plane: a small game with continuous actions, in pure JAX."""
